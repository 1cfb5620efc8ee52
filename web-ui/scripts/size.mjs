// @ts-check
/** Bytes of the first page (entry, what it imports, the hosts page), as served with brotli. Over the limit: exit 1. */
import { readFileSync, statSync } from "node:fs";
import { fileURLToPath } from "node:url";

const LIMIT = 200 * 1024;
const dist = fileURLToPath(new URL("../dist/", import.meta.url));
/** @type {Record<string, { file: string; imports?: string[]; css?: string[]; assets?: string[] }>} */
const manifest = JSON.parse(readFileSync(`${dist}.vite/manifest.json`, "utf8"));
const files = new Set();
/** @param {string} key */
function walk(key) {
  const chunk = manifest[key];
  if (!chunk || files.has(chunk.file)) return;
  files.add(chunk.file);
  for (const file of [...(chunk.css ?? []), ...(chunk.assets ?? [])]) files.add(file);
  for (const next of chunk.imports ?? []) walk(next);
}
for (const key of ["index.html", "src/app/AppShell.vue", "src/features/hosts/HostsPage.vue"]) {
  if (!manifest[key]) throw new Error(`${key} is not in the manifest: build first`);
  walk(key);
}
const size = (/** @type {string} */ file) => (statSync(`${dist}${file}.br`, { throwIfNoEntry: false }) ?? statSync(`${dist}${file}`)).size;
const total = [...files].reduce((sum, file) => sum + size(file), 0);
process.stdout.write(`first load ${total} bytes brotli in ${files.size} files, limit ${LIMIT}\n`);
if (total > LIMIT) process.exitCode = 1;

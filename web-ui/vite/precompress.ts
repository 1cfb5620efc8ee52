import { readdir, readFile, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { brotliCompressSync, constants, gzipSync } from "node:zlib";
import type { Plugin } from "vite";

/** Below this many bytes the header of a compressed answer eats the gain. */
const WORTH_IT = 512;
const TEXT = /\.(js|css|svg|json|txt|map)$/;

async function* files(dir: string): AsyncGenerator<string> {
  for (const entry of await readdir(dir, { withFileTypes: true })) {
    const path = join(dir, entry.name);
    if (entry.isDirectory()) yield* files(path);
    else yield path;
  }
}

/**
 * Writes `.br` and `.gz` beside every text file, so that the controller serves bytes and never compresses at run time.
 * `index.html` is left out: its nonce differs with each answer.
 */
export function precompress(): Plugin {
  let outDir = "dist";
  return {
    name: "windflow-precompress",
    apply: "build",
    configResolved(config) {
      outDir = join(config.root, config.build.outDir);
    },
    async closeBundle() {
      if (!(await stat(outDir).catch(() => null))) return;
      for await (const path of files(outDir)) {
        if (!TEXT.test(path) || path.includes(".vite")) continue;
        const raw = await readFile(path);
        if (raw.length < WORTH_IT) continue;
        const brotli = brotliCompressSync(raw, {
          params: { [constants.BROTLI_PARAM_QUALITY]: 11, [constants.BROTLI_PARAM_SIZE_HINT]: raw.length },
        });
        await writeFile(`${path}.br`, brotli);
        await writeFile(`${path}.gz`, gzipSync(raw, { level: 9 }));
      }
    },
  };
}

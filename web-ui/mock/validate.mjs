// @ts-check
/** A stand-in for the server's check: indentation by tab, a missing colon, unknown keys of a service. */
const KNOWN = /^(image|command|entrypoint|environment|ports|volumes|networks|depends_on|restart|labels|healthcheck|build|container_name|env_file|user|working_dir|expose)$/;

/** @param {import("../src/api/types").StackSpec} spec @returns {import("../src/api/types").Problem[]} */
export function check(spec) {
  /** @type {import("../src/api/types").Problem[]} */
  const problems = [];
  const file = spec.files[0];
  const lines = (file?.content ?? "").split("\n");
  const say = (/** @type {number} */ n, /** @type {number} */ column, /** @type {string} */ message, /** @type {string} */ hint) => problems.push({ file: file?.path ?? "", line: n + 1, column, severity: "error", message, hint });
  if (!lines.some((line) => /^services:/.test(line))) say(0, 1, "no services", "A Compose file needs a top-level key `services`.");
  let section = "";
  lines.forEach((line, n) => {
    if (/^\S+:/.test(line)) section = line.split(":")[0] ?? "";
    if (/^\t/.test(line)) say(n, 1, "a tab may not indent YAML", "Use spaces.");
    const key = /^ {4}([\w-]+)(:?)/.exec(line);
    if (section !== "services" || !key) return;
    if (!key[2]) say(n, 5, `expected ':' after "${key[1]}"`, "");
    else if (!KNOWN.test(key[1] ?? "")) say(n, 5, `unknown key "${key[1]}" in a service`, key[1] === "imagee" ? "Did you mean `image`?" : "");
  });
  return problems;
}

#!/usr/bin/env node
// @ts-check
/**
 * Chromium in a network of its own. On the engine's machine every container brings a network interface, and for each one a
 * browser drops all of its connections: a test would see that, and not the page. Inside there is the loopback only, and on
 * it one port that leads, over a socket file, to the controller outside. Playwright starts this in place of the browser.
 */
import { execFileSync, spawn } from "node:child_process";
import { connect, createServer } from "node:net";
import { fileURLToPath } from "node:url";

const env = (/** @type {string} */ name) => {
  const value = process.env[name];
  if (!value) throw new Error(`${name} is not set`);
  return value;
};
const args = process.argv.slice(2);
/** The browser is steered over the descriptors 3 and 4. @type {"inherit"[]} */
const stdio = ["inherit", "inherit", "inherit", "inherit", "inherit"];
/** @param {import("node:child_process").ChildProcess} child */
const follow = (child) => child.on("exit", (code) => process.exit(code ?? 1)).on("error", (error) => {
  process.stderr.write(`${error.message}\n`);
  process.exit(1);
});

if (args[0] === "--inside") {
  execFileSync("ip", ["link", "set", "lo", "up"]);
  const outside = env("WINDFLOW_E2E_SOCKET");
  const server = createServer((inner) => {
    const outer = connect(outside);
    inner.pipe(outer).pipe(inner);
    inner.on("error", () => outer.destroy());
    outer.on("error", () => inner.destroy());
  });
  server.listen(Number(env("WINDFLOW_E2E_PORT")), "127.0.0.1", () => follow(spawn(env("WINDFLOW_E2E_CHROMIUM"), args.slice(1), { stdio })));
} else {
  follow(spawn("unshare", ["--net", process.execPath, fileURLToPath(import.meta.url), "--inside", ...args], { stdio }));
}

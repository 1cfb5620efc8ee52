// @ts-check
/**
 * A controller and hosts for the browser to look at: the real programs of WINDFLOW_BIN, in a folder of their own, on free
 * ports. `close` ends what was started and removes what it made, on the engine too; a signal to this process does the same.
 */
import { spawn, execFileSync } from "node:child_process";
import { createSocket } from "node:dgram";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { connect, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";

const BIN = resolve(process.env["WINDFLOW_BIN"] ?? "../target/debug");
const START_MS = 30_000;
const STOP_MS = 15_000;
const LOOK_MS = 50;

/** Waits until `look` gives something true. @template T @param {string} what @param {() => T | Promise<T>} look */
export async function until(what, look, ms = START_MS) {
  const end = Date.now() + ms;
  for (;;) {
    const found = await look();
    if (found) return found;
    if (Date.now() > end) throw new Error(`not within ${ms / 1_000} s: ${what}`);
    await new Promise((done) => setTimeout(done, LOOK_MS));
  }
}
/** @returns {Promise<number>} */
const freeTcp = () => new Promise((done, fail) => {
  const server = createServer().on("error", fail).listen(0, "127.0.0.1", () => {
    const address = server.address();
    server.close(() => done(typeof address === "object" && address ? address.port : 0));
  });
});
/** @returns {Promise<number>} */
const freeUdp = () => new Promise((done, fail) => {
  const socket = createSocket("udp4").on("error", fail).bind(0, "127.0.0.1", () => {
    const { port } = socket.address();
    socket.close(() => done(port));
  });
});

export class World {
  /** @type {Map<string, { child: import("node:child_process").ChildProcess, log: string[] }>} */ #programs = new Map();
  /** Compose projects on the engine that must be gone in the end. @type {Set<string>} */ projects = new Set();
  #folder = mkdtempSync(join(tmpdir(), "windflow-e2e-"));
  base = "";
  #quic = "";
  #door = createServer((inner) => {
    const outer = connect(Number(new URL(this.base).port), "127.0.0.1");
    inner.pipe(outer).pipe(inner);
    inner.on("error", () => outer.destroy());
    outer.on("error", () => inner.destroy());
  });
  #pin = "";

  static async start() {
    const world = new World();
    for (const signal of /** @type {const} */ (["SIGINT", "SIGTERM"])) process.once(signal, () => void world.close().finally(() => process.exit(1)));
    try {
      const [http, quic] = [`127.0.0.1:${await freeTcp()}`, `127.0.0.1:${await freeUdp()}`];
      world.base = `https://${http}`;
      world.#quic = quic;
      world.#spawn("controller", "windflow-controller", ["serve", "--data-dir", join(world.#folder, "controller"), "--http", http, "--quic", quic]);
      await until("the controller writes its setup code", () => {
        world.#mustRun("controller");
        return existsSync(world.#data("setup-code")) && world.#log("controller").includes("controller is ready");
      });
      world.#door.listen(world.socket);
      world.#pin = /CA pin: (\S+)/.exec(world.#log("controller"))?.[1] ?? "";
      return world;
    } catch (error) {
      await world.close();
      throw error;
    }
  }
  /** A socket file that leads to the controller, for a browser in a network of its own. */
  get socket() {
    return join(this.#folder, "http.sock");
  }
  /** The one-time code of the first start. */
  get code() {
    return readFileSync(this.#data("setup-code"), "utf8").trim();
  }
  /** Enrols an agent with the token that the browser shows, as the installer does, and lets it run. @param {string} name @param {string} token @param {"docker" | "fake"} target */
  async host(name, token, target = "docker") {
    const state = join(this.#folder, name);
    mkdirSync(state, { mode: 0o700 });
    const file = join(this.#folder, `${name}.token`);
    writeFileSync(file, token, { mode: 0o600 });
    execFileSync(join(BIN, "windflow-agent"), ["enroll", "--controller", this.#quic, "--ca-pin", this.#pin, "--token-file", file, "--name", name, "--state-dir", state], { stdio: "pipe" });
    rmSync(file);
    this.run(name, target);
  }
  /** Starts the agent of an enrolled host. @param {string} name @param {"docker" | "fake"} target */
  run(name, target = "docker") {
    this.#spawn(name, "windflow-agent", ["run", "--target", target], { WINDFLOW_STATE_DIR: join(this.#folder, name) });
  }
  /** Ends a program and waits for its end. @param {string} name */
  async stop(name) {
    const child = this.#programs.get(name)?.child;
    this.#programs.delete(name);
    if (!child || child.exitCode !== null || child.signalCode !== null) return;
    const ended = new Promise((done) => child.once("exit", done));
    child.kill("SIGTERM");
    const timer = setTimeout(() => child.kill("SIGKILL"), STOP_MS);
    await ended;
    clearTimeout(timer);
  }
  /** The last lines of every program, for the report of a failure. */
  logs() {
    return [...this.#programs].map(([name, { log }]) => `== last lines of ${name}\n${log.join("").split("\n").slice(-12).join("\n")}`).join("\n");
  }
  async close() {
    // Agents first: an agent that lives would put a stack back.
    for (const name of [...this.#programs.keys()].toReversed()) await this.stop(name);
    this.#door.close();
    for (const project of this.projects) sweep(project);
    rmSync(this.#folder, { recursive: true, force: true });
  }
  /** @param {string} file */
  #data(file) {
    return join(this.#folder, "controller", file);
  }
  /** @param {string} name */
  #log(name) {
    return this.#programs.get(name)?.log.join("") ?? "";
  }
  /** @param {string} name */
  #mustRun(name) {
    const child = this.#programs.get(name)?.child;
    if (!child || child.exitCode !== null) throw new Error(`${name} has ended:\n${this.#log(name)}`);
  }
  /** @param {string} name @param {string} program @param {string[]} args @param {Record<string, string>} env */
  #spawn(name, program, args, env = {}) {
    const child = spawn(join(BIN, program), args, { env: { ...process.env, NO_COLOR: "1", ...env }, stdio: ["ignore", "pipe", "pipe"] });
    /** @type {string[]} */ const log = [];
    const keep = (/** @type {Buffer} */ text) => {
      log.push(text.toString());
      if (log.length > 400) log.splice(0, 200);
    };
    child.stdout.on("data", keep);
    child.stderr.on("data", keep);
    child.on("error", (error) => log.push(`${error}\n`));
    this.#programs.set(name, { child, log });
  }
}

/** @param {string[]} args */
export const docker = (...args) => execFileSync("docker", args, { encoding: "utf8", stdio: ["ignore", "pipe", "pipe"] }).trim();

/** Removes whatever is left of a Compose project; says what it was. @param {string} project */
function sweep(project) {
  const filter = ["--filter", `label=com.docker.compose.project=${project}`];
  for (const [list, remove] of [[["ps", "-aq"], ["rm", "-fv"]], [["network", "ls", "-q"], ["network", "rm"]], [["volume", "ls", "-q"], ["volume", "rm"]]]) {
    const left = docker(...(list ?? []), ...filter).split("\n").filter(Boolean);
    if (left.length) docker(...(remove ?? []), ...left);
  }
}

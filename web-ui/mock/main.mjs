// @ts-check
/** The HTTP API in memory, and the built UI under the same content policy as the controller's. `npm run mock [-- --fresh]`. */
import { randomBytes } from "node:crypto";
import { existsSync, readFileSync } from "node:fs";
import { createServer } from "node:http";
import { extname, join, normalize } from "node:path";
import { fileURLToPath } from "node:url";
import { WebSocketServer } from "ws";
import { ADMIN, containersOf, deployment, digestOf, host, newId, servicesOf, stack as makeStack, world } from "./data.mjs";
import { planOf, run, summaryOf } from "./deploy.mjs";
import { check } from "./validate.mjs";

/** @typedef {import("../src/api/types").Deployment} Deployment */
const args = process.argv.slice(2);
const port = Number(process.env["PORT"] ?? 8470);
const fresh = args.includes("--fresh");
const dist = fileURLToPath(new URL("../dist/", import.meta.url));
const db = world(fresh);
let signedIn = args.includes("--signed-in");
let seq = 0;
/** @type {Set<import("node:http").ServerResponse>} */ const fleet = new Set();
/** @type {Map<string, Set<import("node:http").ServerResponse>>} */ const followers = new Map();
const now = () => new Date().toISOString();
/** @param {import("node:http").ServerResponse} to @param {string} name @param {unknown} data */
const sse = (to, name, data) => to.write(`event: ${name}\ndata: ${JSON.stringify(data)}\n\n`);
/** @param {Record<string, unknown>} event */
const tell = (event) => { seq += 1; for (const to of fleet) sse(to, "fleet", { seq, at: now(), ...event }); };

class Refusal extends Error {
  /** @param {number} status @param {string} code @param {string} message @param {string} hint */
  constructor(status, code, message, hint) { super(message); Object.assign(this, { status }); this.status = status; this.body = { code, message, hint, request_id: newId("req") }; }
}
/** @template T @param {T | undefined} it @param {string} what @returns {T} */
function found(it, what) {
  if (!it) throw new Refusal(404, "WF-1004", `There is no such ${what}.`, "Check the id or name; list the objects to see what exists.");
  return it;
}
const stackOf = (/** @type {string} */ id) => found(db.stacks.find((one) => one.id === id), "stack");
const agentOf = (/** @type {string} */ id) => found(db.agents.find((one) => one.id === id), "host");
const latest = (/** @type {string} */ stack, /** @type {string} */ agent) => db.deployments.filter((one) => one.stack === stack && one.agent === agent && one.state.phase === "succeeded").sort((a, b) => b.rev - a.rev)[0];
const runs = (/** @type {string} */ stack, /** @type {string} */ agent) => latest(stack, agent)?.want === "present";

/** @param {Deployment} it */
function start(it) {
  const held = stackOf(it.stack);
  const plan = planOf(held, runs(it.stack, it.agent), it.want !== "present");
  const send = (/** @type {string} */ name, /** @type {unknown} */ data) => { for (const to of followers.get(it.id) ?? []) sse(to, name, data); };
  void run(it, plan, (event) => {
    const tree = it.steps ?? { steps: [] };
    if (event.kind === "planned") tree.steps = event.plan.steps.map((step) => ({ step, state: "pending" }));
    else if (event.kind !== "note") {
      const view = tree.steps.find((one) => one.step.id === event.step);
      if (view && event.kind === "started") Object.assign(view, { state: "running", started_at: event.at });
      if (view && event.kind === "moved") Object.assign(view, event, { kind: undefined, step: view.step });
      if (view && event.kind === "ended") Object.assign(view, { state: event.state, ended_at: event.at, failure: event.failure });
    }
    it.steps = tree;
    send("progress", event);
  }, (state) => {
    it.state = state;
    it.state_at = now();
    send("state", it);
    if (["succeeded", "failed"].includes(state.phase)) send("end", {});
    tell({ kind: "deployment_changed", deployment: it.id, stack: it.stack, agent: it.agent, rev: it.rev, state: state.phase });
  });
}
/** @param {string} stack @param {string[]} agents @param {Deployment["want"]} want @param {number} [back] */
function deploy(stack, agents, want, back) {
  const held = stackOf(stack);
  if (!agents.length) throw new Refusal(400, "WF-1001", "No host was chosen.", "Choose at least one host.");
  held.latest_rev += 1;
  const spec = back ? found(db.revisions.find((one) => one.stack === stack && one.rev === back), "revision").spec : held.spec;
  db.revisions.push({ stack, rev: held.latest_rev, digest: digestOf(spec), want, spec, rollback_of: back ?? null, created_at: now(), created_by: ADMIN.id });
  const made = agents.map((id) => {
    const agent = agentOf(id);
    const it = { ...deployment(held, agent, held.latest_rev, { phase: "queued" }, 0), want };
    db.deployments.push(it);
    if (agent.presence.presence === "connected") start(it);
    return it;
  });
  return { items: made };
}
const containersIn = (/** @type {string} */ stack) => db.agents.filter((agent) => runs(stack, agent.id)).map((agent) => ({ agent: agent.id, observed_at: now(), connected: true, containers: containersOf(stackOf(stack), agent, latest(stack, agent.id)?.rev ?? 1) }));
/** A host enrols by itself a few seconds after a token was made. */
function enrol() {
  const it = host(`garden-${db.agents.length + 1}`, "Debian GNU/Linux 12", 4, 8);
  it.enrolled_at = now();
  db.agents.push(it);
  tell({ kind: "agent_enrolled", agent: it.id, name: it.name });
  tell({ kind: "agent_connected", agent: it.id });
}

/** @type {[string, RegExp, (m: string[], body: any, req: import("node:http").IncomingMessage) => unknown][]} */
const routes = [
  ["GET", /^setup$/, () => ({ needed: db.setupCode !== null })],
  ["POST", /^setup$/, (_m, body) => {
    if (body.code !== db.setupCode) throw new Refusal(403, "WF-1010", "The setup code is wrong, used or expired.", "Read the current code from the controller's console or its data directory (file setup-code).");
    Object.assign(db, { setupCode: null, password: body.password }); ADMIN.name = body.username; signedIn = true;
    return { user: ADMIN, expires_at: now() };
  }],
  ["POST", /^sessions$/, (_m, body) => {
    if (body.username !== ADMIN.name || body.password !== db.password) throw new Refusal(401, "WF-1002", "User name or password is wrong.", "Try again; after several tries there is a growing pause.");
    signedIn = true;
    return { user: ADMIN, expires_at: now() };
  }],
  ["DELETE", /^sessions\/current$/, () => { signedIn = false; }],
  ["GET", /^me$/, () => ADMIN],
  ["GET", /^agents$/, () => ({ items: db.agents })],
  ["GET", /^agents\/(\w+)$/, (m) => agentOf(m[1] ?? "")],
  ["DELETE", /^agents\/(\w+)$/, (m) => { db.agents = db.agents.filter((one) => one.id !== agentOf(m[1] ?? "").id); tell({ kind: "agent_removed", agent: m[1] }); }],
  ["GET", /^agents\/(\w+)\/containers$/, (m) => ({ agent: m[1], observed_at: now(), connected: true, containers: db.stacks.filter((one) => runs(one.id, m[1] ?? "")).flatMap((one) => containersOf(one, agentOf(m[1] ?? ""), one.latest_rev)) })],
  ["POST", /^enrolment-tokens$/, (_m, body, req) => {
    const id = newId("tok");
    const secret = `wfj_${id.slice(4)}_${randomBytes(20).toString("hex")}`;
    const token = { id, note: body?.note ?? "", created_at: now(), created_by: ADMIN.id, expires_at: new Date(Date.now() + 900_000).toISOString(), used_at: null, agent: null, secret };
    db.tokens.push(token);
    if (!args.includes("--no-enrol")) setTimeout(enrol, Number(process.env["MOCK_ENROL_MS"] ?? 4_000));
    return { ...token, installer: `curl -fsSk --pinnedpubkey 'sha256//Vb0pq1dTq8cS5nGmYk9mQ2yTt0Zb7xJ0m1p1n2o3q4=' https://${req.headers.host}/install.sh | sudo WINDFLOW_TOKEN=${secret} sh` };
  }],
  ["POST", /^stacks\/validate$/, (_m, body) => { const problems = check(body.spec); return { ok: problems.every((one) => one.severity !== "error"), problems, services: servicesOf(body.spec).map((one) => one.name) }; }],
  ["GET", /^stacks$/, () => ({ items: db.stacks })],
  ["POST", /^stacks$/, (_m, body) => {
    if (db.stacks.some((one) => one.name === body.name)) throw new Refusal(409, "WF-1005", `A stack named ${body.name} exists already.`, "Choose another name, or edit the existing stack.");
    const it = { ...makeStack(body.name, body.spec, 0), created_at: now(), updated_at: now() };
    db.stacks.push(it); tell({ kind: "stack_changed", stack: it.id });
    return it;
  }],
  ["GET", /^stacks\/(\w+)$/, (m) => stackOf(m[1] ?? "")],
  ["PUT", /^stacks\/(\w+)$/, (m, body, req) => {
    const it = stackOf(m[1] ?? "");
    if (req.headers["if-match"] !== `"${it.version}"`) throw new Refusal(412, "WF-1005", "The stack was changed meanwhile.", "Load it again and repeat the change.");
    return Object.assign(it, { spec: body.spec, digest: digestOf(body.spec), version: it.version + 1, updated_at: now() });
  }],
  ["DELETE", /^stacks\/(\w+)$/, (m) => { db.stacks = db.stacks.filter((one) => one.id !== m[1]); }],
  ["POST", /^stacks\/(\w+)\/plan$/, async (m, body) => {
    await new Promise((done) => setTimeout(done, 350));
    return { items: body.agents.map((/** @type {string} */ agent) => { const plan = planOf(stackOf(m[1] ?? ""), runs(m[1] ?? "", agent)); return { agent, plan, summary: summaryOf(plan) }; }) };
  }],
  ["POST", /^stacks\/(\w+)\/deployments$/, (m, body) => deploy(m[1] ?? "", body.agents, "present")],
  ["POST", /^stacks\/(\w+)\/rollback$/, (m, body) => deploy(m[1] ?? "", body.agents ?? db.agents.filter((one) => runs(m[1] ?? "", one.id)).map((one) => one.id), "present", body.rev)],
  ["POST", /^stacks\/(\w+)\/remove$/, (m, body) => deploy(m[1] ?? "", body.agents ?? db.agents.filter((one) => runs(m[1] ?? "", one.id)).map((one) => one.id), body.volumes ? "absent_with_volumes" : "absent")],
  ["GET", /^stacks\/(\w+)\/revisions$/, (m) => ({ items: db.revisions.filter((one) => one.stack === m[1]) })],
  ["GET", /^stacks\/(\w+)\/containers$/, (m) => ({ items: containersIn(m[1] ?? "") })],
  ["GET", /^deployments$/, () => ({ items: db.deployments.map((one) => ({ ...one, steps: undefined })) })],
  ["GET", /^deployments\/(\w+)$/, (m) => found(db.deployments.find((one) => one.id === m[1]), "deployment")],
  ["POST", /^deployments\/(\w+)\/cancel$/, (m) => Object.assign(found(db.deployments.find((one) => one.id === m[1]), "deployment"), { state: { phase: "cancelled" }, state_at: now() })],
];

const TYPES = /** @type {Record<string, string>} */ ({ ".html": "text/html; charset=utf-8", ".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml", ".json": "application/json" });
/** @param {string} path @param {import("node:http").ServerResponse} res */
function page(path, res) {
  const file = normalize(join(dist, path));
  const asset = file.startsWith(dist) && path !== "/" && extname(file) !== "" && existsSync(file);
  const nonce = randomBytes(16).toString("base64url");
  res.setHeader("Content-Security-Policy", `default-src 'none'; script-src 'self'; style-src 'self' 'nonce-${nonce}'; connect-src 'self'; img-src 'self' data:; font-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'; object-src 'none'; require-trusted-types-for 'script'`);
  res.setHeader("Content-Type", TYPES[asset ? extname(file) : ".html"] ?? "application/octet-stream");
  res.end(asset ? readFileSync(file) : readFileSync(join(dist, "index.html"), "utf8").replaceAll("__CSP_NONCE__", nonce));
}
/** @param {import("node:http").ServerResponse} res @param {Set<import("node:http").ServerResponse>} among */
function feed(res, among) {
  res.writeHead(200, { "Content-Type": "text/event-stream", "Cache-Control": "no-store" });
  res.write(": hello\n\n");
  among.add(res);
  res.on("close", () => among.delete(res));
}

const server = createServer(async (req, res) => {
  const url = new URL(req.url ?? "/", "http://mock");
  if (!url.pathname.startsWith("/api/v1/")) return page(url.pathname, res);
  const path = url.pathname.slice("/api/v1/".length);
  try {
    if (!signedIn && !/^(setup|sessions)$/.test(path)) throw new Refusal(401, "WF-1002", "Nobody is signed in.", "Sign in again; a session or token may have expired or been ended.");
    if (path === "events") return feed(res, fleet);
    const live = /^deployments\/(\w+)\/events$/.exec(path)?.[1];
    if (live) {
      const it = found(db.deployments.find((one) => one.id === live), "deployment");
      const set = followers.get(live) ?? new Set();
      followers.set(live, set);
      feed(res, set);
      return sse(res, "snapshot", it);
    }
    let text = "";
    for await (const chunk of req) text += chunk;
    for (const [method, pattern, handle] of routes) {
      const match = method === req.method ? pattern.exec(path) : null;
      if (!match) continue;
      const answer = await handle([...match], text ? JSON.parse(text) : undefined, req);
      res.writeHead(answer === undefined ? 204 : 200, { "Content-Type": "application/json" });
      return res.end(answer === undefined ? undefined : JSON.stringify(answer));
    }
    throw new Refusal(404, "WF-1004", "There is no such path.", "");
  } catch (error) {
    const refusal = error instanceof Refusal ? error : new Refusal(500, "WF-1009", String(error), "");
    res.writeHead(refusal.status, { "Content-Type": "application/json" });
    res.end(JSON.stringify(refusal.body));
  }
});

const sockets = new WebSocketServer({ server });
const WORDS = ["GET /index.html \x1b[32m200\x1b[0m 1.2 ms", "GET /favicon.ico \x1b[33m404\x1b[0m 0.3 ms", "checkpoint complete: wrote 41 buffers", "POST /api/items \x1b[32m201\x1b[0m 8.9 ms", "\x1b[31;1merror\x1b[0m upstream timed out after 5 s", "connection accepted from 10.0.3.7", "\x1b]0;title\x07worker 3 idle", "cache \x1b[36mhit\x1b[0m ratio 0.94"];
sockets.on("connection", (socket, req) => {
  const url = new URL(req.url ?? "/", "http://mock");
  const held = db.stacks.find((one) => url.pathname.includes(one.id));
  const agent = url.searchParams.get("agent") ?? db.agents[0]?.id;
  const wanted = url.searchParams.get("service");
  const names = held ? servicesOf(held.spec).map((one) => one.name).filter((one) => !wanted || one === wanted) : [];
  let at = 0;
  const line = (/** @type {number} */ age) => {
    const service = names[at % names.length] ?? "web";
    socket.send(JSON.stringify({ agent, kind: "line", seq: at, service, container: `${held?.name}-${service}-1`, source: at % 7 === 4 ? "stderr" : "stdout", at: new Date(Date.now() - age).toISOString(), text: WORDS[(at * 5) % WORDS.length] }));
    at += 1;
  };
  for (let n = 40; n > 0; n -= 1) line(n * 900);
  socket.send(JSON.stringify({ agent, kind: "gap", from: at, lost: 12, reason: "reader too slow" }));
  const timer = setInterval(() => line(0), 350);
  socket.on("close", () => clearInterval(timer));
});
setInterval(() => {
  for (const one of db.agents) if (one.presence.presence === "connected") one.presence = { ...one.presence, proven_at: now() };
}, 5_000);
server.listen(port, "127.0.0.1", () => process.stdout.write(`mock on http://127.0.0.1:${port}${db.setupCode ? `, setup code ${db.setupCode}` : `, ${ADMIN.name} / ${db.password}`}\n`));

// @ts-check
/**
 * A plausible fleet in memory.
 * @typedef {import("../src/api/types").Agent} Agent
 * @typedef {import("../src/api/types").Stack} Stack
 * @typedef {import("../src/api/types").Deployment} Deployment
 * @typedef {import("../src/api/types").Revision} Revision
 * @typedef {import("../src/api/types").EnrolmentToken} Token
 * @typedef {import("../src/api/types").Container} Container
 * @typedef {import("../src/api/types").StackSpec} Spec
 */
import { createHash, randomBytes } from "node:crypto";

const ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz";
/** @param {string} prefix */
export const newId = (prefix) => `${prefix}_${[...randomBytes(26)].map((byte, n) => (n === 0 ? "0" : ALPHABET[byte % 32])).join("")}`;
export const ago = (/** @type {number} */ ms) => new Date(Date.now() - ms).toISOString();
const MIN = 60_000, HOUR = 3_600_000, DAY = 86_400_000;
/** @param {Spec} spec */
export const digestOf = (spec) => createHash("sha256").update(JSON.stringify(spec)).digest("hex");
export const ADMIN = { id: newId("usr"), name: "admin" };

/** @param {string} name @param {string} os @param {number} cpus @param {number} gib @param {number | null} offline @returns {Agent} */
export function host(name, os, cpus, gib, offline = null, kind = /** @type {"docker" | "podman"} */ ("docker")) {
  return {
    id: newId("agt"), name, labels: {}, enrolled_at: ago(40 * DAY), last_seen_at: null, version: 1,
    inventory: {
      hostname: name, os, kernel: "6.1.0-28-amd64", arch: cpus > 3 ? "x86_64" : "aarch64", cpus, memory_bytes: gib * 2 ** 30, agent_version: "0.1.0",
      engine: { kind, version: kind === "docker" ? "28.3.2" : "5.4.1", api_version: kind === "docker" ? "1.51" : "1.41" }, targets: ["docker"], capabilities: ["deploy", "logs", "plan"],
    },
    presence: offline === null
      ? { presence: "connected", since: ago(3 * DAY), proven_at: ago(2_000), rtt_us: 900 + Math.floor(Math.random() * 30_000), remote: `192.168.1.${10 + cpus}:41${cpus}22` }
      : { presence: "offline", since: ago(offline), reason: "no packet for 25 s" },
  };
}
/** @param {string} compose @param {string} env @returns {Spec} */
export const spec = (compose, env = "") => ({
  compose_files: [], files: [{ path: "compose.yaml", content: compose }, ...(env ? [{ path: ".env", content: env }] : [])], env: {}, profiles: [],
  policy: { remove_orphans: true, pull_always: false, health_timeout_s: 300, queue_timeout_s: 0 },
});
/** @param {string} name @param {Spec} it @param {number} rev @returns {Stack} */
export const stack = (name, it, rev) => ({ id: newId("stk"), name, spec: it, digest: digestOf(it), version: rev + 1, latest_rev: rev, created_at: ago(30 * DAY), updated_at: ago(5 * HOUR), updated_by: ADMIN.id });

const PHOTOS = `services:\n  server:\n    image: photoprism/photoprism:250707\n    ports:\n      - "2342:2342"\n    depends_on:\n      - db\n    volumes:\n      - originals:/photoprism/originals\n  db:\n    image: mariadb:11\n    environment:\n      MARIADB_DATABASE: photos\n    volumes:\n      - data:/var/lib/mysql\nvolumes:\n  originals:\n  data:\n`;
const GRAFANA = `services:\n  grafana:\n    image: grafana/grafana:12.1.0\n    ports:\n      - "3000:3000"\n  prometheus:\n    image: prom/prometheus:v3.5.0\n`;
const PROXY = `services:\n  caddy:\n    image: caddy:2.10\n    ports:\n      - "80:80"\n      - "443:443"\n`;

/** The services of a Compose text and their images; enough of YAML for a mock. @param {Spec} it */
export function servicesOf(it) {
  /** @type {{ name: string; image: string }[]} */
  const out = [];
  let inside = false;
  for (const line of (it.files[0]?.content ?? "").split("\n")) {
    if (/^\S/.test(line)) inside = line.startsWith("services:");
    const name = /^ {2}([\w-]+):\s*$/.exec(line)?.[1];
    if (inside && name) out.push({ name, image: "scratch" });
    const image = /^\s+image:\s*(\S+)/.exec(line)?.[1];
    const last = out.at(-1);
    if (inside && image && last) last.image = image;
  }
  return out;
}
/** @param {Stack} held @param {Agent} agent @param {number} rev @returns {Container[]} */
export const containersOf = (held, agent, rev) => servicesOf(held.spec).map((service, n) => ({
  id: createHash("sha256").update(held.id + agent.id + service.name).digest("hex").slice(0, 12), name: `${held.name}-${service.name}-1`, project: held.name, service: service.name, rev,
  image: service.image, state: "running", health: n === 0 ? "healthy" : "none", status: "Up 5 hours", created_at: ago(5 * HOUR),
  ports: /ports:/.test(held.spec.files[0]?.content ?? "") && n === 0 ? [{ host_ip: "0.0.0.0", host_port: Number(/"(\d+):/.exec(held.spec.files[0]?.content ?? "")?.[1] ?? 8080), container_port: 80, protocol: "tcp" }] : [],
}));
/** @param {Stack} held @param {Agent} agent @param {number} rev @param {Deployment["state"]} state @param {number} age @returns {Deployment} */
export const deployment = (held, agent, rev, state, age) => ({
  id: newId("dep"), op: newId("op"), stack: held.id, stack_name: held.name, rev, want: "present", agent: agent.id, state, view: { view: "known" },
  state_at: ago(Math.max(0, age - 21_000)), created_at: ago(age), created_by: ADMIN.id, steps: { steps: [] },
});

/** @param {boolean} fresh start as a new installation: no user, no host, no stack */
export function world(fresh) {
  /** @type {{ setupCode: string | null; password: string; agents: Agent[]; stacks: Stack[]; deployments: Deployment[]; revisions: Revision[]; tokens: (Token & { secret: string })[] }} */
  const it = { setupCode: fresh ? "7QKF-2M9X-WD4T" : null, password: "windflow-mock", agents: [], stacks: [], deployments: [], revisions: [], tokens: [] };
  if (fresh) return it;
  const [attic, basement, office, plant] = [host("attic", "Debian GNU/Linux 12", 4, 16), host("basement", "Ubuntu 24.04.3 LTS", 8, 32), host("office-pi", "Raspberry Pi OS 12", 2, 4, 3 * HOUR), host("plant-07", "Fedora Linux 42", 16, 64, null, "podman")];
  it.agents.push(attic, basement, office, plant);
  const photos = stack("photos", spec(PHOTOS, "TZ=Europe/Paris\n"), 3), grafana = stack("grafana", spec(GRAFANA), 7), proxy = stack("edge-proxy", spec(PROXY), 2);
  it.stacks.push(photos, grafana, proxy);
  for (const one of it.stacks) for (let rev = 1; rev <= one.latest_rev; rev += 1) it.revisions.push({ stack: one.id, rev, digest: createHash("sha256").update(one.id + rev).digest("hex"), want: "present", spec: one.spec, rollback_of: one === grafana && rev === 6 ? 4 : null, created_at: ago((one.latest_rev - rev) * 3 * DAY + 5 * HOUR), created_by: ADMIN.id });
  const good = /** @type {const} */ ({ phase: "succeeded" });
  it.deployments.push(
    deployment(photos, attic, 2, good, 3 * DAY), deployment(photos, attic, 3, good, 5 * HOUR), deployment(grafana, basement, 7, good, 5 * HOUR), deployment(grafana, basement, 6, good, 3 * DAY),
    deployment(proxy, basement, 2, good, 6 * HOUR), deployment(proxy, plant, 1, good, 4 * DAY),
    { ...deployment(proxy, plant, 2, { phase: "rolled_back", failure: { code: "WF-2003", message: "Port 443 on 0.0.0.0 is already taken on plant-07, so container edge-proxy-caddy-1 could not start.", hint: "Choose another host port, or stop what uses it." } }, 50 * MIN) },
    { ...deployment(proxy, office, 2, { phase: "applying", done: 2, total: 5 }, 3 * HOUR), view: { view: "unknown", last: "applying", since: ago(3 * HOUR) } },
    deployment(grafana, office, 7, { phase: "queued" }, 2 * HOUR),
  );
  return it;
}

// @ts-check
/**
 * Plans, and deployments that move as a real one does.
 * @typedef {import("../src/api/types").Step} Step
 * @typedef {import("../src/api/types").Plan} Plan
 * @typedef {import("../src/api/types").Progress} Progress
 * @typedef {import("../src/api/types").Deployment} Deployment
 * @typedef {import("../src/api/types").Stack} Stack
 */
import { servicesOf } from "./data.mjs";

/** @param {Stack} stack @param {boolean} there whether the host runs it already @param {boolean} [absent] @returns {Plan} */
export function planOf(stack, there, absent = false) {
  /** @type {Step[]} */
  const steps = [];
  /** @param {Step["resource"]["kind"]} kind @param {string} name @param {Step["action"]} action @param {string} text @param {string | null} service @param {Partial<Step["reason"]>} more */
  const add = (kind, name, action, text, service = null, more = {}) => steps.push({ id: steps.length, resource: { kind, name }, action, service, reason: { text, ...more }, after: [] });
  const services = servicesOf(stack.spec);
  if (absent) {
    for (const { name } of services) add("container", `${stack.name}-${name}-1`, "remove", "the stack shall be absent", name);
    add("network", `${stack.name}_default`, "remove", "the stack shall be absent");
    return { stack: stack.name, steps, warnings: [], world: "mock" };
  }
  add("network", `${stack.name}_default`, there ? "keep" : "create", there ? "is as it should be" : "does not exist");
  services.forEach(({ name, image }, n) => {
    const changed = there && n === 0;
    if (!there || changed) add("image", image, "pull", "is not on the host", name);
    if (!there) add("container", `${stack.name}-${name}-1`, "create", "does not exist", name);
    else if (changed) add("container", `${stack.name}-${name}-1`, "recreate", "the image changed", name, { key: "image", old: image.replace(/:.*/, ":previous"), new: image });
    else add("container", `${stack.name}-${name}-1`, "keep", "is as it should be", name);
    if (!there || changed) add("container", `${stack.name}-${name}-1`, "start", "the container is new", name);
  });
  return { stack: stack.name, steps, warnings: [], world: "mock" };
}
/** @param {Plan} plan */
export function summaryOf(plan) {
  const count = (/** @type {Step["action"][]} */ ...actions) => new Set(plan.steps.filter((step) => actions.includes(step.action)).map((step) => step.resource.name)).size;
  return { create: count("create"), change: count("recreate", "update"), remove: count("remove"), keep: count("keep") };
}

const TICK_MS = Number(process.env["MOCK_TICK_MS"] ?? 220);
const pause = () => new Promise((done) => setTimeout(done, TICK_MS));
const SIZE = 48 * 2 ** 20;

/**
 * Runs one deployment to its end.
 * @param {Deployment} it @param {Plan} plan
 * @param {(event: Progress) => void} progress @param {(state: Deployment["state"]) => void} move
 */
export async function run(it, plan, progress, move) {
  const time = () => new Date().toISOString();
  for (const phase of /** @type {const} */ (["offered", "accepted", "preparing"])) {
    await pause();
    if (it.state.phase === "cancelled") return;
    move({ phase });
  }
  progress({ kind: "planned", plan });
  for (const [n, step] of plan.steps.entries()) {
    move({ phase: "applying", done: n, total: plan.steps.length });
    progress({ kind: "started", step: step.id, at: time() });
    if (step.action === "pull") {
      for (let part = 0; part <= 8; part += 1) {
        progress({ kind: "moved", step: step.id, current: (SIZE * part) / 8, total: SIZE, unit: "bytes", detail: part < 6 ? `layer ${1 + (part % 3)} of 3` : "extracting" });
        await pause();
      }
    } else await pause();
    if (it.stack_name.includes("fail") && step.action === "start") {
      const failure = { code: "WF-2008", message: `Container ${step.resource.name} ended with exit code 1 although it should run.`, hint: "Look at the container's exit code and its last log lines." };
      progress({ kind: "ended", step: step.id, state: "failed", at: time(), failure });
      move({ phase: "failed", failure });
      return;
    }
    progress({ kind: "ended", step: step.id, state: "done", at: time(), failure: null });
  }
  move({ phase: "verifying" });
  await pause();
  move({ phase: "succeeded" });
}

/** The same fold as the server's: progress events into the step tree. Pure; a new object per event. */
import type { Progress, Step, Steps, StepView } from "@/api/types";

const MAX_NOTES = 100;

export function fold(tree: Steps, event: Progress): Steps {
  const change = (id: number, patch: Partial<StepView>): Steps => ({
    ...tree,
    steps: tree.steps.map((view) => (view.step.id === id ? { ...view, ...patch } : view)),
  });
  switch (event.kind) {
    case "planned":
      return {
        ...tree,
        warnings: event.plan.warnings ?? [],
        steps: event.plan.steps.map((step) => ({ step, state: "pending" })),
      };
    case "started":
      return change(event.step, { state: "running", started_at: event.at });
    case "moved":
      return change(event.step, { current: event.current, total: event.total, unit: event.unit, detail: event.detail, layers: event.layers ?? [] });
    case "ended":
      return change(event.step, { state: event.state, ended_at: event.at, failure: event.failure ?? null, detail: "" });
    case "note":
      return { ...tree, notes: [...(tree.notes ?? []), event.text].slice(-MAX_NOTES) };
    default:
      return tree;
  }
}

/** What a step that has not begun waits for: steps before it, the phase before its own, or only its turn. */
export interface Waiting {
  key: "after" | "images" | "creation" | "turn";
  steps: Step[];
}

const PHASES: Partial<Record<Step["action"], number>> = { pull: 0, build: 0, create: 1, recreate: 1 };
const phaseOf = (view: StepView) => PHASES[view.step.action] ?? 2;

/** The same rule as the server's. */
export function waiting(all: readonly StepView[], view: StepView): Waiting | null {
  if (view.state !== "pending") return null;
  const open = all.filter((one) => one.state === "pending" || one.state === "running");
  const before = open.filter((one) => view.step.after?.includes(one.step.id));
  if (before.length) return { key: "after", steps: before.map((one) => one.step) };
  const first = Math.min(...open.map(phaseOf));
  return { key: first >= phaseOf(view) ? "turn" : first === 0 ? "images" : "creation", steps: [] };
}

export interface StepGroup {
  /** Service name; "" for what the whole stack shares (networks, volumes, images without a service). */
  service: string;
  steps: StepView[];
}

/** Shared things first, then each service in the order of its first step. */
export function groups(steps: readonly StepView[]): StepGroup[] {
  const by = new Map<string, StepView[]>([["", []]]);
  for (const view of steps) {
    const key = view.step.service ?? "";
    by.set(key, [...(by.get(key) ?? []), view]);
  }
  return [...by].map(([service, views]) => ({ service, steps: views })).filter((group) => group.steps.length > 0);
}

/** What stays as it is: the host has nothing to do for it. */
export const isKept = (view: StepView) => view.step.action === "keep";

/** Share of the work that has ended, 0 to 1; a running step counts with its own part. */
export function done(all: readonly StepView[]): number {
  const steps = all.filter((view) => !isKept(view));
  if (steps.length === 0) return all.length ? 1 : 0;
  const part = (view: StepView) => {
    if (view.state === "pending") return 0;
    if (view.state === "running") return view.total ? Math.min(1, (view.current ?? 0) / view.total) : 0;
    return 1;
  };
  return steps.reduce((sum, view) => sum + part(view), 0) / steps.length;
}

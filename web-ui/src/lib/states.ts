/** Which tone a state has. The words are in the locales under the same keys. */
import type { Agent, Container, Deployment, DeploymentState, Step, StepView } from "@/api/types";

export type Tone = "ok" | "warn" | "bad" | "info" | "idle";
export type Phase = DeploymentState["phase"];

const TONES: Record<Phase, Tone> = {
  queued: "idle", offered: "info", accepted: "info", preparing: "info", applying: "info", verifying: "info",
  succeeded: "ok", failed: "bad", rolling_back: "warn", rolled_back: "warn", rollback_failed: "bad", expired: "bad",
  superseded: "idle", cancelled: "idle", rejected: "bad", diverged: "bad",
};
/** What a plan does to a resource; what stays has none. */
export const ACTION_TONES: Partial<Record<Step["action"], Tone>> = { create: "ok", start: "ok", recreate: "warn", update: "warn", stop: "warn", remove: "bad", pull: "info", build: "info" };
const RUNNING: readonly Phase[] = ["queued", "offered", "accepted", "preparing", "applying", "verifying", "rolling_back"];

export interface Shown {
  /** Key under `deployment.state`. */
  key: Phase | "unknown" | "removed" | "past";
  tone: Tone;
  live: boolean;
  /** Last known phase and since when nothing was heard, if the present state is unknown. */
  last?: string;
  since?: string;
  /** What its host, now away, said last: no longer proven. */
  known?: boolean;
}

/**
 * Those that went well and were followed on their host by one that went well too: what they brought no longer runs. Of a
 * stack and host, all newer deployments must be among them.
 */
export function pastOnes(deployments: readonly Deployment[]): Set<string> {
  const good = deployments.filter((one) => one.state.phase === "succeeded");
  const place = (one: Deployment) => `${one.stack} ${one.agent}`;
  const newest = new Map<string, number>();
  for (const one of good) newest.set(place(one), Math.max(one.rev, newest.get(place(one)) ?? 0));
  return new Set(good.filter((one) => one.rev < (newest.get(place(one)) ?? 0)).map((one) => one.id));
}

/** What may honestly be said about a deployment; `past` if another has come after it, `away` if its host is. */
export function shown(deployment: Pick<Deployment, "state" | "view" | "want">, past = false, away: { since?: string | null } | null = null): Shown {
  if (deployment.view.view === "unknown") {
    return { key: "unknown", tone: "warn", live: false, last: deployment.view.last, since: deployment.view.since };
  }
  const { phase } = deployment.state;
  if (phase === "succeeded" && past) return { key: "past", tone: "idle", live: false };
  if (phase === "succeeded" && deployment.want !== "present") return { key: "removed", tone: "idle", live: false };
  if (phase === "succeeded" && away) return { key: phase, tone: "idle", live: false, known: true, since: away.since ?? undefined };
  return { key: phase, tone: TONES[phase], live: TONES[phase] === "info" };
}

export const isRunning = (deployment: Pick<Deployment, "state">) => RUNNING.includes(deployment.state.phase);
export const failureOf = (state: DeploymentState) => ("failure" in state ? state.failure : null);

export function containerTone(container: Container): Tone {
  if (container.state === "running") return container.health === "unhealthy" ? "bad" : container.health === "starting" ? "info" : "ok";
  if (container.state === "exited") return container.exit_code ? "bad" : "idle";
  if (container.state === "dead" || container.state === "unknown") return "bad";
  return container.state === "restarting" ? "warn" : "idle";
}

export function stepTone(view: StepView): Tone {
  return ({ pending: "idle", running: "info", done: "ok", failed: "bad", skipped: "idle" } as const)[view.state];
}

/** Whether the host has the stack, or may have: a removal that has not succeeded has not removed. */
export const isThere = (deployment: Pick<Deployment, "state" | "want">) =>
  deployment.want === "present" || deployment.state.phase !== "succeeded";

export const isConnected = (agent: Agent) => agent.presence.presence === "connected";

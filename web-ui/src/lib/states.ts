/** Which tone a state has. The words are in the locales under the same keys. */
import type { Agent, Container, Deployment, DeploymentState, StepView } from "@/api/types";

export type Tone = "ok" | "warn" | "bad" | "info" | "idle";
export type Phase = DeploymentState["phase"];

const TONES: Record<Phase, Tone> = {
  queued: "idle", offered: "info", accepted: "info", preparing: "info", applying: "info", verifying: "info",
  succeeded: "ok", failed: "bad", rolling_back: "warn", rolled_back: "warn", rollback_failed: "bad", expired: "bad",
  superseded: "idle", cancelled: "idle", rejected: "bad", diverged: "bad",
};
const RUNNING: readonly Phase[] = ["queued", "offered", "accepted", "preparing", "applying", "verifying", "rolling_back"];

export interface Shown {
  /** Key under `deployment.state`. */
  key: Phase | "unknown" | "removed";
  tone: Tone;
  live: boolean;
  /** Last known phase and since when nothing was heard, if the present state is unknown. */
  last?: string;
  since?: string;
}

/** What may honestly be said about a deployment. */
export function shown(deployment: Pick<Deployment, "state" | "view" | "want">): Shown {
  if (deployment.view.view === "unknown") {
    return { key: "unknown", tone: "warn", live: false, last: deployment.view.last, since: deployment.view.since };
  }
  const { phase } = deployment.state;
  if (phase === "succeeded" && deployment.want !== "present") return { key: "removed", tone: "idle", live: false };
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

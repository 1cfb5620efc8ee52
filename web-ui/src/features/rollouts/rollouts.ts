/** What a rollout and its hosts look like, and the form that makes one. The words are in the locales under the same keys. */
import type { HostState, Rollout, RolloutPlan, RolloutState, RolloutSummary, Targets } from "@/api/types";
import type { Tone } from "@/lib/states";

export type Phase = RolloutState["phase"];

export const PHASE_TONES: Record<Phase, Tone> = {
  pending: "info", running: "info", gate: "info", paused: "warn", succeeded: "ok", incomplete: "warn", stopped: "bad",
  cancelled: "idle", rolling_back: "warn", rolled_back: "warn", rollback_failed: "bad",
};
/** In the order of the summary bar. */
export const HOST_TONES: Record<HostState, Tone> = {
  succeeded: "ok", running: "info", rolling_back: "info", rolled_back: "warn", unknown: "warn", unreachable: "warn",
  failed: "bad", rollback_failed: "bad", waiting: "idle", superseded: "idle", cancelled: "idle", removed: "idle", untouched: "idle",
};

const ENDED: readonly Phase[] = ["succeeded", "incomplete", "stopped", "cancelled", "rolled_back", "rollback_failed"];
export const isOver = (state: RolloutState) => ENDED.includes(state.phase);
export const waveOf = (state: RolloutState): number | null => ("wave" in state ? state.wave : null);

/** The states that hosts are in, with their numbers. */
export function parts(summary: RolloutSummary): { state: HostState; hosts: number; tone: Tone }[] {
  return (Object.keys(HOST_TONES) as HostState[])
    .map((state) => ({ state, hosts: summary[state], tone: HOST_TONES[state] }))
    .filter((part) => part.hosts > 0);
}

/** What may be done with it right now. */
export function acts(rollout: Pick<Rollout, "state" | "waves">): { pause: boolean; resume: boolean; promote: boolean; cancel: boolean; rollback: boolean } {
  const { state } = rollout;
  const open = state.phase === "running" || state.phase === "gate";
  const waits = state.phase === "paused";
  return {
    pause: state.phase === "pending" || open || (waits && !!state.until),
    resume: waits,
    promote: open && state.wave < rollout.waves.length,
    cancel: state.phase === "pending" || open || waits,
    rollback: open || waits || ["succeeded", "incomplete", "stopped", "cancelled", "rollback_failed"].includes(state.phase),
  };
}

/** The form as it is typed. */
export interface Wish {
  selector: string; group: string; agents: string[];
  canary: string; wave: string; manual: boolean; pause: number; gate: number; deadline: number; failures: string; back: boolean;
}
export const wish = (): Wish => ({ selector: "", group: "", agents: [], canary: "1", wave: "25%", manual: false, pause: 30, gate: 30, deadline: 600, failures: "0", back: false });

const AMOUNT = /^(?:\d{1,6}|(?:\d|[1-9]\d|100)%)$/;
const MOST_S = 30 * 24 * 3_600;
const seconds = (value: unknown) => typeof value === "number" && Number.isInteger(value) && value >= 0 && value <= MOST_S;

/** The fields that do not fit. */
export function wrong(it: Wish): ("canary" | "wave" | "pause" | "gate" | "deadline" | "failures")[] {
  const bad: ReturnType<typeof wrong> = [];
  if (it.canary.trim() && (!AMOUNT.test(it.canary.trim()) || /^0+%?$/.test(it.canary.trim()))) bad.push("canary");
  if (!AMOUNT.test(it.wave.trim()) || /^0+%?$/.test(it.wave.trim())) bad.push("wave");
  if (!it.manual && !seconds(it.pause)) bad.push("pause");
  if (!seconds(it.gate)) bad.push("gate");
  if (!seconds(it.deadline)) bad.push("deadline");
  if (!AMOUNT.test(it.failures.trim())) bad.push("failures");
  return bad;
}

export function planOf(it: Wish): RolloutPlan {
  return {
    canary: it.canary.trim() || null,
    wave: it.wave.trim(),
    pause: it.manual ? { kind: "manual" } : { kind: "time", seconds: it.pause },
    gate_s: it.gate, deadline_s: it.deadline, max_failures: it.failures.trim(),
    on_failure: it.back ? "rollback" : "stop",
  };
}
export const targetsOf = (it: Wish): Targets => ({ selector: it.selector.trim() || null, group: it.group || null, agents: it.agents });
export const meansNobody = (it: Wish) => !it.selector.trim() && !it.group && it.agents.length === 0;

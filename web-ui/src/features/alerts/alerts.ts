/** What the pages of alerts show and ask: tones, words, and the form of a rule and of a silence as plain texts. */
import type { Alert, Rule, RuleSpec, Silence, SilenceCreate } from "@/api/types";

export type Severity = RuleSpec["severity"] & string;
export const SEVERITIES = ["info", "warning", "critical"] as const satisfies readonly Severity[];
export type Condition = RuleSpec["condition"];
export type On = Condition["on"];
export const ONS = [
  "metric", "disk_full", "host_offline", "engine_silent", "container_unhealthy", "container_down", "container_restarts",
  "deployment_failed", "rollout_failed", "certificate_expiry", "event",
] as const satisfies readonly On[];
/** Those that can be looked at before they are made. */
export const TRIED: readonly On[] = ["metric", "disk_full", "host_offline", "engine_silent", "container_unhealthy", "container_down", "certificate_expiry"];
/** Those that choose containers. */
export const OF_CONTAINERS: readonly On[] = ["metric", "container_unhealthy", "container_down", "container_restarts", "event"];
export const FUNCTIONS = ["mean", "max", "min", "last", "p50", "p90", "p95", "p99"] as const;
export const METRICS = ["cpu", "memory_share", "memory", "swap", "filesystem_share", "load_1", "container_cpu_seconds", "container_memory_bytes"] as const;
export const DAYS = ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"] as const;

export function toneOf(alert: Alert): "ok" | "warn" | "bad" | "info" | "idle" {
  if (alert.state === "resolved") return "ok";
  if (alert.state === "pending") return "idle";
  return alert.severity === "critical" ? "bad" : alert.severity === "warning" ? "warn" : "info";
}
/** What it is about, beside its host. */
export const partOf = (alert: Pick<Alert, "subject">): string =>
  [alert.subject.stack, alert.subject.part || alert.subject.service].filter(Boolean).join(" / ");

/** A rule as its form holds it: every number is a text, times are in minutes. */
export interface Draft {
  name: string; severity: Severity; on: On; selector: string; agents: string[]; group: string;
  metric: string; function: string; window: string; compare: "above" | "below"; threshold: string; clear: string; key: string;
  stack: string; service: string; stackId: string; within: string; times: string; kinds: string; hold: string;
  hold_for: string; clear_for: string; channels: string[]; note: string; enabled: boolean;
}
const minutes = (seconds: number | undefined): string => String((seconds ?? 0) / 60);
const seconds = (text: string): number => Math.round(number(text) * 60);
const number = (text: string): number => Number(text.trim().replace(",", "."));

export function draftOf(rule: Rule | null): Draft {
  const draft: Draft = {
    name: "", severity: "warning", on: "metric", selector: "", agents: [], group: "", metric: "cpu", function: "mean", window: "5", compare: "above",
    threshold: "0.9", clear: "", key: "", stack: "", service: "", stackId: "", within: "1440", times: "5", kinds: "container.out_of_memory", hold: "60",
    hold_for: "5", clear_for: "0", channels: [], note: "", enabled: true,
  };
  if (!rule) return draft;
  const { spec } = rule;
  const it = spec.condition;
  Object.assign(draft, {
    name: spec.name, severity: spec.severity ?? "warning", on: it.on, hold_for: minutes(spec.for_s), clear_for: minutes(spec.clear_s),
    selector: spec.targets?.selector ?? "", agents: [...(spec.targets?.agents ?? [])], group: spec.targets?.group ?? "",
    channels: [...(spec.channels ?? [])], note: spec.note ?? "", enabled: spec.enabled ?? true,
  });
  if ("containers" in it && it.containers) Object.assign(draft, { stack: it.containers.stack ?? "", service: it.containers.service ?? "" });
  if (it.on === "metric") Object.assign(draft, { metric: it.metric, function: it.function ?? "mean", window: minutes(it.window_s), compare: it.compare, threshold: String(it.threshold), clear: it.clear == null ? "" : String(it.clear), key: it.key ?? "" });
  if (it.on === "disk_full") Object.assign(draft, { window: minutes(it.window_s), within: minutes(it.within_s) });
  if (it.on === "container_restarts") Object.assign(draft, { times: String(it.times), within: minutes(it.within_s) });
  if (it.on === "deployment_failed" || it.on === "rollout_failed") draft.stackId = it.stack ?? "";
  if (it.on === "certificate_expiry") draft.within = minutes(it.within_s);
  if (it.on === "event") Object.assign(draft, { kinds: it.kinds.join(", "), hold: minutes(it.hold_s) });
  return draft;
}
function conditionOf(draft: Draft): Condition {
  const containers = { stack: draft.stack.trim(), service: draft.service.trim() };
  const stack = draft.stackId || undefined;
  switch (draft.on) {
    case "metric": return {
      on: "metric", metric: draft.metric.trim(), function: draft.function, window_s: seconds(draft.window), compare: draft.compare, threshold: number(draft.threshold),
      ...(draft.clear.trim() && { clear: number(draft.clear) }), ...(draft.key.trim() && { key: draft.key.trim() }), containers,
    };
    case "disk_full": return { on: "disk_full", window_s: seconds(draft.window), within_s: seconds(draft.within) };
    case "container_unhealthy": case "container_down": return { on: draft.on, containers };
    case "container_restarts": return { on: draft.on, times: number(draft.times), within_s: seconds(draft.within), containers };
    case "deployment_failed": case "rollout_failed": return { on: draft.on, ...(stack && { stack }) };
    case "certificate_expiry": return { on: draft.on, within_s: seconds(draft.within) };
    case "event": return { on: draft.on, kinds: draft.kinds.split(",").map((kind) => kind.trim()).filter(Boolean), hold_s: seconds(draft.hold), containers };
    default: return { on: draft.on };
  }
}
export function specOf(draft: Draft): RuleSpec {
  const targets = { selector: draft.selector.trim() || null, group: draft.group || null, agents: draft.agents };
  return {
    name: draft.name.trim(), condition: conditionOf(draft), severity: draft.severity, for_s: seconds(draft.hold_for), clear_s: seconds(draft.clear_for),
    channels: draft.channels, note: draft.note, enabled: draft.enabled, ...((targets.selector || targets.group || targets.agents.length > 0) && { targets }),
  };
}
/** Which number of the form is none; the label of its field. */
export function notANumber(draft: Draft): string | null {
  const asked: Record<string, readonly (keyof Draft)[]> = {
    metric: ["window", "threshold"], disk_full: ["window", "within"], container_restarts: ["times", "within"], certificate_expiry: ["within"], event: ["hold"],
  };
  const fields = [...(asked[draft.on] ?? []), "hold_for", "clear_for"] as const;
  return fields.find((field) => String(draft[field]).trim() === "" || !Number.isFinite(number(String(draft[field])))) ?? null;
}

/** A silence as its form holds it. */
export interface Quiet {
  note: string; kind: "once" | "weekly"; hours: string; days: string[]; at: string; minutes: string; zone: string;
  agent: string; stack: string; rule: string; severity: "" | Severity;
}
export const quietOf = (about: Partial<Quiet> = {}): Quiet => ({
  note: "", kind: "once", hours: "2", days: [], at: "02:00", minutes: "60", zone: Intl.DateTimeFormat().resolvedOptions().timeZone ?? "", agent: "", stack: "", rule: "", severity: "", ...about,
});
export function silenceOf(quiet: Quiet, now: number): SilenceCreate {
  const matcher = {
    rule: quiet.rule || null, targets: quiet.agent ? { selector: null, group: null, agents: [quiet.agent] } : null, stack: quiet.stack.trim(), severity: quiet.severity || null,
  };
  const schedule: SilenceCreate["schedule"] = quiet.kind === "once"
    ? { kind: "once", from: new Date(now).toISOString(), until: new Date(now + number(quiet.hours) * 3_600_000).toISOString() }
    : { kind: "weekly", days: quiet.days as never, at: quiet.at, minutes: number(quiet.minutes), zone: quiet.zone };
  return { note: quiet.note.trim(), matcher, schedule };
}
export const isOver = (silence: Silence, now: number): boolean => silence.schedule.kind === "once" && Date.parse(silence.schedule.until) <= now;

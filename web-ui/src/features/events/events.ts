/** What the page of events asks for, and how an event is told. The words are in the locales. */
import type { LocationQuery, LocationQueryRaw } from "vue-router";
import type { FleetEvent } from "@/api/types";

export interface Filter { agent: string; stack: string; kind: string }
const FIELDS = ["agent", "stack", "kind"] as const;

/** What can be asked for together: the names of events, and the ones that the API knows them by. */
export const KINDS = {
  container: ["container"], image: ["image"], storage: ["volume", "network"], engine: ["engine"],
  host: ["agent_enrolled", "agent_connected", "agent_disconnected", "agent_removed", "agent"],
  deployment: ["deployment_changed", "rollout_changed"], stack: ["stack_changed", "stack_deleted"], group: ["group_changed", "group_deleted"],
  alert: ["alert_changed", "alerting_changed"], controller: ["controller_started"],
} as const satisfies Record<string, readonly string[]>;
export type Kind = keyof typeof KINDS;

/** From the address of the page, where the filter lives. */
export function filterOf(query: LocationQuery): Filter {
  const one = (name: string) => (typeof query[name] === "string" ? query[name] : "");
  return { agent: one("agent"), stack: one("stack"), kind: one("kind") };
}
/** Back into it, without what is empty. */
export function addressOf(filter: Filter): LocationQueryRaw {
  return Object.fromEntries(FIELDS.map((name) => [name, filter[name].trim()]).filter(([, value]) => value));
}
export interface Ask { agent?: string; stack?: string; kind?: string }
/** What the controller is asked; a word that is no kind counts as not given. */
export function askOf(filter: Filter): Ask {
  const ask: Ask = {};
  if (filter.agent) ask.agent = filter.agent;
  if (filter.stack.trim()) ask.stack = filter.stack.trim();
  if (filter.kind in KINDS) ask.kind = KINDS[filter.kind as Kind].join(",");
  return ask;
}
/** The address of the feed that goes on behind what is shown. */
export function feedOf(ask: Ask, after?: string): string {
  const query = new URLSearchParams({ ...ask, ...(after ? { after } : {}) });
  return `/api/v1/events/live${query.size ? `?${query.toString()}` : ""}`;
}

/** The name of what happened, as the API filters by it: `agent_connected`, `container.died`. */
export function nameOf(event: FleetEvent): string {
  if (event.kind !== "host") return event.kind;
  const it = event.event;
  if (it.subject === "engine") return it.answers ? "engine.answers" : "engine.silent";
  if (it.subject === "agent") return "agent.started";
  if (it.subject === "missed") return "events.missed";
  return `${it.subject}.${it.action}`;
}
const GOOD = new Set(["container.healthy", "engine.answers", "agent_connected", "agent_enrolled"]);
const BAD = new Set(["container.unhealthy", "container.out_of_memory", "engine.silent", "agent_disconnected", "gap", "events.missed"]);
export type Tone = "ok" | "bad" | "warn" | "idle";
/** What it means for the reader. */
export function toneOf(event: FleetEvent): Tone {
  const name = nameOf(event);
  if (event.kind === "deployment_changed") {
    if (event.state === "succeeded") return "ok";
    return /failed|rolled_back|rejected|expired|diverged/.test(event.state) ? "bad" : "idle";
  }
  // One that ended in order has code 0; 137 and 143 are the usual ones of a stop.
  if (name === "container.died") return [0, 137, 143].includes(exitCodeOf(event) ?? 0) ? "idle" : "warn";
  return GOOD.has(name) ? "ok" : BAD.has(name) ? "bad" : "idle";
}
export function exitCodeOf(event: FleetEvent): number | undefined {
  return event.kind === "host" && event.event.subject === "container" ? event.event.exit_code ?? undefined : undefined;
}
/** When it happened: on a host by its own clock, although it may have been heard of later. */
export const atOf = (event: FleetEvent): string => (event.kind === "host" ? event.event.at : event.at);
export const agentOf = (event: FleetEvent): string | undefined => ("agent" in event ? event.agent ?? undefined : undefined);
/** What it is about, in words that need no translation. */
export function aboutOf(event: FleetEvent): string {
  switch (event.kind) {
    case "host": {
      const it = event.event;
      if (it.subject === "container") return it.image ? `${it.name} · ${it.image}` : it.name;
      if (it.subject === "image") return it.image;
      if (it.subject === "volume") return it.volume;
      if (it.subject === "network") return it.network;
      if (it.subject === "engine") return it.reason ?? "";
      return it.subject === "agent" ? it.version : "";
    }
    case "agent_enrolled": return event.name;
    case "agent_disconnected": return event.reason;
    case "alert_changed": return `${event.rule}: ${event.summary}`;
    case "controller_started": return event.version;
    default: return "";
  }
}
/** Without what only says again in which state something is; the newest first. */
export function condensed(rows: readonly FleetEvent[]): FleetEvent[] {
  const states = new Map<string, string>();
  return rows.toReversed().filter((event) => {
    if (event.kind !== "deployment_changed" && event.kind !== "rollout_changed") return true;
    const key = event.kind === "deployment_changed" ? event.deployment : event.rollout;
    const before = states.get(key);
    states.set(key, event.state);
    return before !== event.state;
  }).toReversed();
}
/** Events that are shown at most; a page that is open for days keeps no more. */
export const SHOWN = 1_000;
/** Puts what has come before what is there: the newest first, each once. */
export function added(shown: readonly FleetEvent[], fresh: readonly FleetEvent[]): FleetEvent[] {
  const known = new Set(shown.map((one) => one.id));
  return [...fresh.filter((one) => one.kind === "gap" || !known.has(one.id)).toReversed(), ...shown].slice(0, SHOWN);
}

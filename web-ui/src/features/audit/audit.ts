/** What the page of the audit trail asks for, and where what it names is found. The words are in the locales. */
import type { LocationQuery, LocationQueryRaw, RouteLocationRaw } from "vue-router";
import type { AuditEntry } from "@/api/types";

/** The filter as it is typed; times as the browser's own field gives them, in the reader's time zone. */
export interface Filter { actor: string; action: string; object: string; from: string; to: string }
const FIELDS = ["actor", "action", "object", "from", "to"] as const;

/** Nouns whose operations can be asked for together. */
export const NOUNS = ["setup", "session", "user", "agent", "enrolment_token", "stack", "deployment", "rollout", "group", "terminal"] as const;

/** From the address of the page, where the filter lives. */
export function filterOf(query: LocationQuery): Filter {
  const one = (name: string) => (typeof query[name] === "string" ? query[name] : "");
  return { actor: one("actor"), action: one("action"), object: one("object"), from: one("from"), to: one("to") };
}
/** Back into it, without what is empty. */
export function addressOf(filter: Filter): LocationQueryRaw {
  return Object.fromEntries(FIELDS.map((name) => [name, filter[name].trim()]).filter(([, value]) => value));
}
/** What the controller is asked; a time that is none counts as not given. */
export function askOf(filter: Filter): Partial<Filter> {
  const ask: Partial<Filter> = {};
  for (const name of FIELDS) {
    const value = filter[name].trim();
    if (!value) continue;
    if (name !== "from" && name !== "to") { ask[name] = value; continue; }
    const at = Date.parse(value);
    if (Number.isFinite(at)) ask[name] = new Date(at).toISOString();
  }
  return ask;
}
/** Whether the two times exclude everything. */
export const isEmptySpan = ({ from, to }: Partial<Filter>) => !!from && !!to && from >= to;

/** The page of the thing with this id, if there is one for its kind. */
export function pageOf(id: string): RouteLocationRaw | null {
  const names = { agt: "host", stk: "stack", dep: "deployment", rol: "rollout" } as const;
  const name = names[id.slice(0, 3) as keyof typeof names];
  return name && id[3] === "_" ? { name, params: { id } } : null;
}
/** Short enough for a table: the kind, and the end, by which ids of one moment differ. */
export const shortId = (id: string) => (id.length > 20 ? `${id.slice(0, 4)}…${id.slice(-6)}` : id);

/** The way of the one deployment that a record is about: `queued → offered`; empty if it moved several, or none. */
export function wayOf(entry: Pick<AuditEntry, "object" | "moves">): string[] {
  const moves = entry.moves ?? [];
  if (moves.length === 0 || moves.some((one) => one.deployment !== entry.object)) return [];
  const first = moves[0]?.from;
  return [...(first ? [first] : []), ...moves.map((one) => one.to)];
}

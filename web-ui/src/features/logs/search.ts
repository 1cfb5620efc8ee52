/** A search in the logs of a fleet: what the page asks for, and what came. The words are in the locales. */
import type { LocationQuery, LocationQueryRaw } from "vue-router";
import type { LogFrame, LogSearched } from "@/api/types";

/** The form; what is empty is not asked for. */
export interface Form { text: string; mode: "text" | "regex"; exact: boolean; level: string; field: string; selector: string; agent: string; stack: string; since: string; until: string }
const EMPTY: Form = { text: "", mode: "text", exact: false, level: "", field: "", selector: "", agent: "", stack: "", since: "24h", until: "" };
export const LEVELS = ["trace", "debug", "info", "warn", "error", "fatal"] as const;
/** How far back, in ms; "" is everything. */
export const SPANS: Record<string, number> = { "15m": 900_000, "1h": 3_600_000, "6h": 21_600_000, "24h": 86_400_000, "7d": 604_800_000, "": 0 };
/** So many lines are kept and shown: the newest. */
export const LIMIT = 1_000;

/** From the address of the page, where the form lives. */
export function formOf(query: LocationQuery): Form {
  const one = (name: string) => (typeof query[name] === "string" ? query[name] : undefined);
  const regex = one("regex");
  return {
    ...EMPTY, text: regex ?? one("search") ?? "", mode: regex === undefined ? "text" : "regex", exact: one("exact") === "1", level: one("level") ?? "",
    field: one("field") ?? "", selector: one("selector") ?? "", agent: one("agent") ?? "", stack: one("stack") ?? "",
    since: one("since") === "all" ? "" : (one("since") ?? EMPTY.since), until: one("until") ?? "",
  };
}
/** Back into it, without what is empty. */
export function addressOf(form: Form): LocationQueryRaw {
  const all = {
    [form.mode === "regex" ? "regex" : "search"]: form.text, exact: form.exact ? "1" : "", level: form.level, field: form.field.trim(), selector: form.selector.trim(),
    agent: form.agent, stack: form.stack, since: form.since === "" ? "all" : form.since === EMPTY.since ? "" : form.since, until: form.until,
  };
  return Object.fromEntries(Object.entries(all).filter(([, value]) => value));
}
/** Whether anything is looked for. */
export const isAsked = (form: Form) => !!(form.text || form.level || form.field.trim());

/** What the controller is asked, at a time of the fleet's clock. */
export function askOf(form: Form, now: number): URLSearchParams {
  const ask = new URLSearchParams();
  if (form.text) ask.set(form.mode === "regex" ? "regex" : "search", form.text);
  if (form.exact) ask.set("case_sensitive", "true");
  for (const name of ["level", "field", "selector", "agent", "stack", "until"] as const) if (form[name].trim()) ask.set(name, form[name].trim());
  const span = SPANS[form.since];
  if (span) ask.set("since", new Date((form.until ? Date.parse(form.until) : now) - span).toISOString());
  ask.set("limit", String(LIMIT));
  return ask;
}

export interface Hit { key: string; agent: string; service: string; container: string; source: string; at: string; text: string }
export interface Trouble { agent: string; reason: string }

/** Everything of one search, newest first. */
export class Found {
  hits: Hit[] = [];
  /** Matches that were let go because there are enough newer ones. */
  older = 0;
  searched = new Map<string, LogSearched>();
  trouble: Trouble[] = [];
  /** Hosts that have ended. */
  ended = 0;
  private fresh: Hit[] = [];

  take(frame: LogFrame): void {
    if (frame.kind === "line") {
      if (this.fresh.length >= 4 * LIMIT) this.settle();
      this.fresh.push({ key: `${frame.agent} ${frame.seq}`, agent: frame.agent, service: frame.service, container: frame.container, source: frame.source, at: frame.at ?? "", text: frame.text });
    } else if (frame.kind === "searched") this.searched.set(frame.agent, frame);
    else if (frame.kind === "gap") this.trouble.push({ agent: frame.agent, reason: frame.reason });
    else {
      this.ended += 1;
      if (!this.searched.has(frame.agent)) this.trouble.push({ agent: frame.agent, reason: frame.reason });
    }
  }
  /** Puts what came since into its place; done once per picture, not per line: more often only where no pictures are drawn. Times are RFC 3339 in UTC: they sort as text. */
  settle(): void {
    if (this.fresh.length === 0) return;
    const all = [...this.hits, ...this.fresh];
    this.fresh = [];
    // What a host sends of one moment comes newest first and stays so: the sort is stable.
    all.sort((a, b) => (a.at < b.at ? 1 : a.at > b.at ? -1 : 0));
    this.older += Math.max(0, all.length - LIMIT);
    this.hits = all.slice(0, LIMIT);
  }
  get bytes(): number { return [...this.searched.values()].reduce((sum, one) => sum + one.bytes, 0); }
  get containers(): number { return [...this.searched.values()].reduce((sum, one) => sum + one.containers, 0); }
  /** From when on nothing is missing that a further search finds: the latest point at which a host stopped, or a line was let go. */
  get completeFrom(): string | null {
    // A host that did not stop by itself has a container that no search reads, which it tells.
    const stops = [...this.searched.values()].flatMap((one) => (one.stopped_by && one.complete_from ? [one.complete_from] : []));
    const last = this.hits.at(-1);
    // Up to it, and of its moment: what was let go may be of the same one.
    if (this.older && last) stops.push(new Date(Date.parse(last.at) + 1).toISOString());
    return stops.toSorted().at(-1) ?? null;
  }
}

/** The parts of a text, those that were looked for marked. Of an expression only the hosts know where it was found. */
export function marksOf(text: string, form: Pick<Form, "text" | "mode" | "exact">): { text: string; hit: boolean }[] {
  if (!form.text || form.mode === "regex") return [{ text, hit: false }];
  const fold = (one: string) => (form.exact ? one : one.toLowerCase());
  const [line, needle] = [fold(text), fold(form.text)];
  // Letters that change their length when they become small would shift everything.
  if (line.length !== text.length) return [{ text, hit: false }];
  const parts: { text: string; hit: boolean }[] = [];
  let from = 0;
  for (let at = line.indexOf(needle); at >= 0; at = line.indexOf(needle, from)) {
    if (at > from) parts.push({ text: text.slice(from, at), hit: false });
    parts.push({ text: text.slice(at, at + needle.length), hit: true });
    from = at + needle.length;
  }
  if (from < text.length) parts.push({ text: text.slice(from), hit: false });
  return parts;
}

/** asciicast v2, and which of its events come next when it is played. Nothing here knows a clock or a screen. */
export interface CastEvent { at: number; kind: "o" | "r" | "m"; text: string }
export interface Cast { columns: number; rows: number; events: CastEvent[]; seconds: number }

/** A pause that is longer is cut to this when pauses are skipped. */
export const LONGEST_PAUSE = 2;

export function castOf(text: string): Cast {
  const [first = "", ...lines] = text.split("\n");
  const head = JSON.parse(first) as { width?: number; height?: number };
  const events: CastEvent[] = [];
  for (const line of lines) {
    if (!line) continue;
    const [at, kind, what] = JSON.parse(line) as [number, string, string];
    // What a newer controller records beyond this is left out.
    if (kind === "o" || kind === "r" || kind === "m") events.push({ at, kind, text: what });
  }
  return { columns: head.width ?? 80, rows: head.height ?? 24, events, seconds: events.at(-1)?.at ?? 0 };
}

/** The same with no pause longer than that. */
export function withoutPauses(cast: Cast, longest = LONGEST_PAUSE): Cast {
  let [before, cut] = [0, 0];
  const events = cast.events.map((event) => {
    cut += Math.max(0, event.at - before - longest);
    before = event.at;
    return { ...event, at: event.at - cut };
  });
  return { ...cast, events, seconds: events.at(-1)?.at ?? 0 };
}

/** Index of the first event behind this time. */
export function behind(cast: Cast, at: number): number {
  let [low, high] = [0, cast.events.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((cast.events[middle]?.at ?? 0) <= at) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** `100x30`, as an event tells it. */
export function sizeOf(text: string): { columns: number; rows: number } | null {
  const found = /^(\d{1,4})x(\d{1,4})$/.exec(text);
  const [columns, rows] = [Number(found?.[1] ?? 0), Number(found?.[2] ?? 0)];
  return columns > 0 && rows > 0 ? { columns, rows } : null;
}

/** `1:02:03`, for people. */
export function timeOf(seconds: number): string {
  const all = Math.floor(seconds);
  const [h, m, s] = [Math.floor(all / 3_600), Math.floor(all / 60) % 60, all % 60];
  const two = (n: number) => String(n).padStart(2, "0");
  return h ? `${h}:${two(m)}:${two(s)}` : `${m}:${two(s)}`;
}

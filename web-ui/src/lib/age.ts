/** Ages and spans of time for people. Server times are compared with the server's clock, not with this machine's. */

/** Server clock minus ours, in ms; learnt from `Date` headers. */
let skew = 0;
export function learnClock(dateHeader: string | null, receivedAt = Date.now()): void {
  const server = dateHeader ? Date.parse(dateHeader) : Number.NaN;
  // The header has whole seconds: less than 2 s of difference says nothing.
  if (!Number.isNaN(server)) skew = Math.abs(server - receivedAt) > 2_000 ? server - receivedAt : 0;
}
export const serverNow = (now = Date.now()): number => now + skew;

/** Milliseconds since `time`, never negative; null without a time. */
export function ageOf(time: string | null | undefined, now: number): number | null {
  if (!time) return null;
  const at = Date.parse(time);
  return Number.isNaN(at) ? null : Math.max(0, now - at);
}

/** `0 s`, `59 s`, `3 min`, `2 h`, `5 d`: short enough for a table, units that read alike in English and French. */
export function shortSpan(ms: number): string {
  const seconds = Math.floor(ms / 1_000);
  if (seconds < 60) return `${seconds} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `${minutes} min`;
  const hours = Math.floor(minutes / 60);
  if (hours < 48) return `${hours} h`;
  return `${Math.floor(hours / 24)} d`;
}

/** How long work took: `< 0.1 s`, `0.4 s`, `12 s`, `3 min 05 s`. */
export function workSpan(ms: number): string {
  if (ms < 50) return "< 0.1 s";
  if (ms < 10_000) return `${(ms / 1_000).toFixed(1)} s`;
  const seconds = Math.round(ms / 1_000);
  if (seconds < 60) return `${seconds} s`;
  return `${Math.floor(seconds / 60)} min ${String(seconds % 60).padStart(2, "0")} s`;
}

/** `mm:ss` left until a time, never more than there is; `00:00` when it is over. */
export function countdown(until: string, now: number): string {
  const left = Math.max(0, Math.floor((Date.parse(until) - now) / 1_000));
  return `${String(Math.floor(left / 60)).padStart(2, "0")}:${String(left % 60).padStart(2, "0")}`;
}

const UNITS = ["B", "KiB", "MiB", "GiB", "TiB"] as const;
export function bytes(value: number): string {
  let scaled = value;
  let unit = 0;
  while (scaled >= 1024 && unit < UNITS.length - 1) {
    scaled /= 1024;
    unit += 1;
  }
  return `${unit === 0 || scaled >= 100 ? Math.round(scaled) : scaled.toFixed(1)} ${UNITS[unit]}`;
}

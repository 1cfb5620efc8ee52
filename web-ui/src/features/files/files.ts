/** Files in containers and volumes of hosts: addresses, names and transfers. The words are in the locales. */
import type { LocationQuery } from "vue-router";
import { ApiError } from "@/api/error";
import type { FileEntry } from "@/api/types";

/** In a container or in a volume, and where in it. */
export interface Spot { container?: string; volume?: string; path: string }

export function spotOf(query: LocationQuery): Spot {
  const one = (name: string) => (typeof query[name] === "string" && query[name] ? query[name] : undefined);
  return { ...(one("volume") ? { volume: one("volume") } : { container: one("container") ?? "" }), path: one("path") ?? "/" };
}
export const below = (path: string, name: string) => `${path === "/" ? "" : path}/${name}`;
export const above = (path: string) => path.slice(0, path.lastIndexOf("/")) || "/";
/** The folders on the way to a path, each with its own. */
export function crumbs(path: string): { name: string; path: string }[] {
  const parts = path.split("/").filter(Boolean);
  return parts.map((name, n) => ({ name, path: `/${parts.slice(0, n + 1).join("/")}` }));
}
export function contentOf(host: string, spot: Spot, archive = false): string {
  const query = new URLSearchParams({ ...(spot.volume ? { volume: spot.volume } : { container: spot.container ?? "" }), path: spot.path });
  if (archive) query.set("archive", "true");
  return `/api/v1/agents/${encodeURIComponent(host)}/files/content?${query}`;
}
/** Folders first, then by name, as a person counts. */
export function sorted(entries: readonly FileEntry[], locale: string): FileEntry[] {
  const order = new Intl.Collator(locale, { numeric: true });
  const folder = (one: FileEntry) => (one.kind === "folder" ? 0 : 1);
  return entries.toSorted((a, b) => folder(a) - folder(b) || order.compare(a.name, b.name));
}
/** As `ls` writes them. */
export function permissions(entry: Pick<FileEntry, "kind" | "mode">): string {
  const letters = [..."rwxrwxrwx"].map((letter, n) => (entry.mode & (0o400 >> n) ? letter : "-"));
  for (const [n, bit, letter] of [[2, 0o4000, "s"], [5, 0o2000, "s"], [8, 0o1000, "t"]] as const) {
    if (entry.mode & bit) letters[n] = letters[n] === "x" ? letter : letter.toUpperCase();
  }
  return { file: "-", folder: "d", link: "l", other: "?" }[entry.kind] + letters.join("");
}

/** Longest text that is shown on the page, in bytes. */
export const SHOWN = 512 * 1024;
/** The text of a file, or `null` if it is none. */
export function textOf(bytes: ArrayBuffer): string | null {
  try {
    const text = new TextDecoder("utf-8", { fatal: true }).decode(bytes);
    return text.includes("\0") ? null : text;
  } catch {
    return null;
  }
}
/** A file that is to be shown: how long it is by now, and its bytes unless they are too many for that. */
export async function read(host: string, spot: Spot): Promise<{ size: number; bytes: ArrayBuffer | null }> {
  const answer = await fetch(contentOf(host, spot)).catch((cause: unknown) => { throw ApiError.unreachable(cause); });
  if (!answer.ok) throw ApiError.from(answer.status, await answer.json().catch(() => null));
  const size = Number(answer.headers.get("content-length"));
  if (size > SHOWN) {
    await answer.body?.cancel();
    return { size, bytes: null };
  }
  return { size, bytes: await answer.arrayBuffer() };
}

/** Sends a file; `told` hears how much of it has left, from 0 to 1. Nothing is written before all of it has arrived. */
export function send(host: string, spot: Spot, file: Blob, archive: boolean, told: (part: number) => void, stop: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open("PUT", contentOf(host, spot, archive));
    request.upload.onprogress = (event) => { if (event.lengthComputable) told(event.loaded / event.total); };
    request.onload = () => {
      if (request.status < 300) return resolve();
      let body: unknown = request.responseText;
      try { body = JSON.parse(request.responseText); } catch { /* a proxy in between */ }
      reject(ApiError.from(request.status, body));
    };
    request.onerror = () => reject(ApiError.unreachable(new Error("cut off")));
    request.onabort = () => reject(new DOMException("stopped", "AbortError"));
    stop.addEventListener("abort", () => request.abort());
    request.send(file);
  });
}

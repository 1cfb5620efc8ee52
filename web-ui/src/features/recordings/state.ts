import type { Recording } from "@/api/types";
import type { Tone } from "@/lib/states";

/** How a recording stands, as a word and its colour. */
export function stateOf(one: Recording): { word: string; tone: Tone } {
  if (one.state === "running") return { word: "running", tone: "info" };
  if (one.state === "not_ended") return { word: "not_ended", tone: "warn" };
  return one.complete ? { word: "whole", tone: "ok" } : { word: "incomplete", tone: "warn" };
}

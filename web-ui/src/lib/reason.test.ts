import { expect, it } from "vitest";
import { reasonText } from "./reason";

/** What the engine's own planning says, out of its sources: a new sentence has to get its French here. */
const sources = import.meta.glob("../../../agent/engine/src/plan/**/*.rs", { query: "?raw", import: "default", eager: true }) as Record<string, string>;
const withoutTests = (source: string) => source.split("#[cfg(test)]")[0] ?? "";
/** Where the sentence is given, and sentences that come there by a variable. */
const said = [/(?:plainly|because|reason)\(\s*(?:format!\(\s*)?"([^"]+)"/g, /"((?:it|a revision|the one|the replacement|the revision|adopted) [a-z -]+)"/g];
const sentences = Object.values(sources).flatMap((source) =>
  said.flatMap((pattern) => [...withoutTests(source).matchAll(pattern)].map((found) => found[1] ?? "")));

it("knows every sentence of the engine in French", () => {
  expect(sentences.length).toBeGreaterThan(15);
  const unknown = sentences.map((text) => text.replaceAll(/\{seconds\}/g, "7").replaceAll(/\{[^}]*\}/g, "x")).filter((text) => reasonText(text, "fr") === text);
  expect(unknown).toEqual([]);
});

it.each([
  ["command changed", "fr", "command a changé"],
  ["it must stay good for 30 s", "fr", "il doit rester bon pendant 30 s"],
  ["what a newer agent says", "fr", "what a newer agent says"],
  ["unchanged", "en", "unchanged"],
])("%s in %s is %s", (text, locale, wanted) => {
  expect(reasonText(text, locale)).toBe(wanted);
});

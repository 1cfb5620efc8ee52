import { expect, test } from "vitest";
import type { LogFrame } from "@/api/types";
import { addressOf, askOf, formOf, Found, LIMIT, marksOf } from "./search";

const NOW = Date.parse("2026-11-23T12:00:00Z");

test.each([
  [{ search: "time out" }, "search=time+out&since=2026-11-22T12%3A00%3A00.000Z&limit=1000"],
  [{ regex: "a+", exact: "1", since: "all" }, "regex=a%2B&case_sensitive=true&limit=1000"],
  [{ level: "error", field: " status>=500 ", selector: "env=prod", since: "1h", until: "2026-11-20T00:00:00.000Z" },
    "level=error&field=status%3E%3D500&selector=env%3Dprod&until=2026-11-20T00%3A00%3A00.000Z&since=2026-11-19T23%3A00%3A00.000Z&limit=1000"],
])("%o asks for %s", (query, wanted) => {
  const form = formOf(query);
  expect(askOf(form, NOW).toString()).toBe(wanted);
  expect(formOf(addressOf(form) as Record<string, string>)).toEqual({ ...form, field: form.field.trim() });
});

const line = (agent: string, seq: number, second: number): LogFrame =>
  ({ kind: "line", agent, seq, service: "web", container: "web-1", source: "stdout", at: new Date(NOW + second * 1000).toISOString(), text: `${agent}${seq}` });

test("hits of all hosts stand in the order of time, the newest are kept, and what is missing is known", () => {
  const found = new Found();
  for (const frame of [line("a", 0, 9), line("a", 1, 5), line("b", 0, 7)]) found.take(frame);
  found.settle();
  found.take(line("b", 1, 5));
  found.settle();
  expect(found.hits.map((hit) => hit.text)).toEqual(["a0", "b0", "a1", "b1"]);
  expect(found.completeFrom).toBeNull();
  found.take({ kind: "searched", agent: "a", containers: 2, bytes: 10, matches: 2, complete_from: new Date(NOW).toISOString(), stopped_by: "matches" });
  found.take({ kind: "end", agent: "a", reason: "done" });
  found.take({ kind: "end", agent: "b", reason: "not connected" });
  expect([found.ended, found.bytes, found.containers, found.trouble, found.completeFrom]).toEqual([2, 10, 2, [{ agent: "b", reason: "not connected" }], new Date(NOW).toISOString()]);
  for (let n = 0; n < LIMIT; n += 1) found.take(line("c", n, 100 - n / 100));
  found.settle();
  expect([found.hits.length, found.older, found.hits.at(-1)?.text, found.completeFrom]).toEqual([LIMIT, 4, "c999", new Date(Date.parse(found.hits.at(-1)!.at) + 1).toISOString()]);
});

test.each([
  ["a Timeout, TIMEOUT", { text: "timeout", mode: "text", exact: false }, ["a ", "*Timeout", ", ", "*TIMEOUT"]],
  ["a Timeout", { text: "timeout", mode: "text", exact: true }, ["a Timeout"]],
  ["a.b", { text: ".", mode: "regex", exact: false }, ["a.b"]],
  ["İstanbul is", { text: "is", mode: "text", exact: false }, ["İstanbul is"]],
] as const)("%s is marked", (text, form, wanted) => {
  expect(marksOf(text, form).map((part) => (part.hit ? "*" : "") + part.text)).toEqual(wanted);
});

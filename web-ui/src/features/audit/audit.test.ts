import { expect, test } from "vitest";
import type { AuditProblem } from "@/api/types";
import en from "@/locales/en.json";
import fr from "@/locales/fr.json";
import { addressOf, askOf, filterOf, isEmptySpan, NOUNS, pageOf, shortId, wayOf } from "./audit";

const none = { actor: "", action: "", object: "", from: "", to: "" };

test("the filter lives in the address and survives the way there and back", () => {
  expect(filterOf({})).toEqual(none);
  expect(filterOf({ actor: ["a", "b"], other: "x" })).toEqual(none);
  const filter = { ...none, actor: " ada ", action: "stack", from: "2026-11-22T08:30" };
  expect(addressOf(filter)).toEqual({ actor: "ada", action: "stack", from: "2026-11-22T08:30" });
  expect(filterOf({ actor: "ada", action: "stack", from: "2026-11-22T08:30" })).toEqual({ ...filter, actor: "ada" });
});

test("the controller is asked in its own time, and never for what is no time", () => {
  expect(askOf(none)).toEqual({});
  const { from, ...rest } = askOf({ ...none, object: " stk_1 ", from: "2026-11-22T08:30", to: "soon" });
  expect(rest).toEqual({ object: "stk_1" });
  expect(Date.parse(from ?? "")).toBe(new Date(2026, 10, 22, 8, 30).getTime());
  const span = (from: string, to: string) => isEmptySpan(askOf({ ...none, from, to }));
  expect([span("2026-11-22T08:30", "2026-11-22T08:31"), span("2026-11-22T08:30", "2026-11-22T08:30"), span("", "2026-11-22T08:30")]).toEqual([false, true, false]);
});

test.each([
  ["agt_01", "host"], ["stk_01", "stack"], ["dep_01", "deployment"], ["rol_01", "rollout"], ["grp_01", null], ["user", null], ["", null],
])("%s is on the page %s", (id, name) => expect(pageOf(id)).toEqual(name && { name, params: { id } }));

test("ids are short, words stay whole", () => {
  expect([shortId("dep_01hzyx8k3m4n5p6q7r8s9tabcd"), shortId("enrolment")]).toEqual(["dep_…9tabcd", "enrolment"]);
});

test("the way of one deployment is told, that of several is not", () => {
  const move = (deployment: string, from: string | null, to: string) => ({ deployment, from, to });
  expect(wayOf({ object: "a", moves: [move("a", null, "queued"), move("a", "queued", "offered")] })).toEqual(["queued", "offered"]);
  expect(wayOf({ object: "a", moves: [move("a", "queued", "offered"), move("a", "offered", "accepted")] })).toEqual(["queued", "offered", "accepted"]);
  expect(wayOf({ object: "s", moves: [move("a", null, "queued")] })).toEqual([]);
  expect(wayOf({ object: "s" })).toEqual([]);
});

test("every noun and every kind of problem has its words in both languages", () => {
  const kinds: Record<AuditProblem["kind"], true> = {
    record_changed: true, record_missing: true, record_twice: true, record_unsealed: true, open_missing: true,
    seal_missing: true, seal_unreadable: true, seal_detached: true, head_wrong: true,
  };
  for (const words of [en.audit, fr.audit]) {
    expect(Object.keys(words.noun).toSorted()).toEqual([...NOUNS].toSorted());
    for (const part of [words.problem, words.meaning, words.remedy]) expect(Object.keys(part).toSorted()).toEqual(Object.keys(kinds).toSorted());
  }
});

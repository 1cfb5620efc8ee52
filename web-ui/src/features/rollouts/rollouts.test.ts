import { expect, test } from "vitest";
import type { RolloutState, RolloutSummary } from "@/api/types";
import { acts, HOST_TONES, meansNobody, parts, planOf, targetsOf, wish, wrong } from "./rollouts";

test("the parts of a summary add up and leave out what is not there", () => {
  const none = Object.fromEntries(Object.keys(HOST_TONES).map((state) => [state, 0]));
  const summary = { ...none, total: 5, succeeded: 3, failed: 1, waiting: 1 } as unknown as RolloutSummary;
  expect(parts(summary).map((part) => part.state)).toEqual(["succeeded", "failed", "waiting"]);
  expect(parts(summary).reduce((sum, part) => sum + part.hosts, 0)).toBe(summary.total);
});

test("only what the state allows can be pressed", () => {
  const may = (state: RolloutState) => Object.entries(acts({ state, waves: [1, 2] })).filter(([, on]) => on).map(([act]) => act).join(" ");
  expect(may({ phase: "pending" })).toBe("pause cancel");
  expect(may({ phase: "running", wave: 1 })).toBe("pause promote cancel rollback");
  expect(may({ phase: "gate", wave: 2 })).toBe("pause cancel rollback");
  expect(may({ phase: "paused", wave: 2, why: { cause: "between" }, until: null })).toBe("resume cancel rollback");
  expect(may({ phase: "paused", wave: 2, why: { cause: "between" }, until: "2026-01-01T00:00:00Z" })).toBe("pause resume cancel rollback");
  expect(may({ phase: "succeeded" })).toBe("rollback");
  expect(may({ phase: "rolled_back", why: { reason: "failures", failed: 1, limit: 0 } })).toBe("");
});

test("the form becomes a plan, or says what is wrong", () => {
  const it = { ...wish(), selector: " site=paris ", manual: true };
  expect(wrong(it)).toEqual([]);
  expect(targetsOf(it)).toEqual({ selector: "site=paris", group: null, agents: [] });
  expect(planOf({ ...it, canary: "" })).toMatchObject({ canary: null, wave: "25%", pause: { kind: "manual" }, on_failure: "stop" });
  expect(meansNobody(wish())).toBe(true);
  expect(wrong({ ...it, canary: "0", wave: "0%", manual: false, pause: -1, gate: 0.5, failures: "101%" })).toEqual(["canary", "wave", "pause", "gate", "failures"]);
});

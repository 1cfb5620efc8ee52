import { expect, it } from "vitest";
import type { FleetEvent } from "@/api/types";
import { aboutOf, added, addressOf, askOf, atOf, condensed, exitCodeOf, feedOf, filterOf, nameOf, SHOWN, toneOf } from "./events";

const died = (exit_code: number): FleetEvent => ({
  id: "1-2", at: "2026-11-23T10:00:00Z", kind: "host", agent: "agt_1", life: 1,
  event: { seq: 1, at: "2026-11-23T09:59:00Z", subject: "container", action: "died", container: "c", name: "web-1", image: "nginx:1", exit_code },
});
const moved = (state: string): FleetEvent => ({ id: "1-3", at: "2026-11-23T10:00:00Z", kind: "deployment_changed", deployment: "dep_1", stack: "stk_1", agent: "agt_1", rev: 1, state });
const engine = (answers: boolean): FleetEvent => ({ id: "1-4", at: "", kind: "host", agent: "agt_1", life: 1, event: { seq: 2, at: "", subject: "engine", answers, reason: answers ? "" : "gone" } });

it("asks for what the address of the page says", () => {
  const filter = filterOf({ agent: "agt_1", kind: "storage", stack: " shop " });
  expect(askOf(filter)).toEqual({ agent: "agt_1", kind: "volume,network", stack: "shop" });
  expect(addressOf(filter)).toEqual({ agent: "agt_1", kind: "storage", stack: "shop" });
  expect(askOf(filterOf({ kind: "nonsense" }))).toEqual({});
  expect(feedOf({})).toBe("/api/v1/events/live");
  expect(feedOf({ kind: "engine" }, "3-7")).toBe("/api/v1/events/live?kind=engine&after=3-7");
});

it.each([
  [died(0), "container.died", "idle"], [died(1), "container.died", "warn"], [died(143), "container.died", "idle"],
  [moved("succeeded"), "deployment_changed", "ok"], [moved("failed"), "deployment_changed", "bad"], [moved("applying"), "deployment_changed", "idle"],
  [engine(true), "engine.answers", "ok"], [engine(false), "engine.silent", "bad"],
] as const)("names and judges %j", (event, name, tone) => {
  expect(nameOf(event)).toBe(name);
  expect(toneOf(event)).toBe(tone);
});

it("tells what it is about and when it happened there", () => {
  expect([aboutOf(died(1)), atOf(died(1)), exitCodeOf(died(7))]).toEqual(["web-1 · nginx:1", "2026-11-23T09:59:00Z", 7]);
  expect(aboutOf(engine(false))).toBe("gone");
});

it("says a state once", () => {
  const way = ["succeeded", "verifying", "applying", "applying", "applying", "queued"];
  const other: FleetEvent = { ...moved("applying"), deployment: "dep_2" } as FleetEvent;
  const rows = [...way.slice(0, 3).map(moved), other, ...way.slice(3).map(moved)];
  expect(condensed(rows).map((event) => (event.kind === "deployment_changed" ? event.state : ""))).toEqual(["succeeded", "verifying", "applying", "applying", "queued"]);
});

it("shows the newest first, each once, and not more than so many", () => {
  const one = (n: number): FleetEvent => ({ ...moved("queued"), id: `1-${n}` });
  const gap: FleetEvent = { id: "1-2", at: "", kind: "gap", lost: 3 };
  expect(added([one(2), one(1)], [one(2), one(3), gap, one(4)]).map((event) => `${event.id}${event.kind === "gap" ? " gap" : ""}`)).toEqual(["1-4", "1-2 gap", "1-3", "1-2", "1-1"]);
  expect(added([], Array.from({ length: SHOWN + 5 }, (_, n) => one(n)))).toHaveLength(SHOWN);
});

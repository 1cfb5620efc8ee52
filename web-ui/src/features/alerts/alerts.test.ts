import { expect, test } from "vitest";
import type { Alert, Rule } from "@/api/types";
import { draftOf, notANumber, partOf, quietOf, silenceOf, specOf, toneOf, type Draft } from "./alerts";

const rule = (spec: Rule["spec"]): Rule => ({ id: "rul_1", spec, since: "", created_at: "", updated_at: "", pending: 0, firing: 0, version: 1 });
const base: Omit<Rule["spec"], "condition"> = { name: "r", severity: "warning", for_s: 300, clear_s: 60, channels: [], note: "look", enabled: true };

test.each<Rule["spec"]>([
  { ...base, condition: { on: "metric", metric: "cpu", function: "p95", window_s: 90, compare: "below", threshold: 0.25, clear: 0.5, key: "eth0", containers: { stack: "shop", service: "web" } } },
  { ...base, condition: { on: "disk_full", window_s: 21_600, within_s: 86_400 }, targets: { selector: "env=prod", group: "grp_1", agents: ["agt_1"] } },
  { ...base, condition: { on: "host_offline" }, enabled: false, severity: "critical" },
  { ...base, condition: { on: "container_restarts", times: 4, within_s: 600, containers: { stack: "", service: "" } }, channels: ["chn_1"] },
  { ...base, condition: { on: "rollout_failed", stack: "stk_1" } },
  { ...base, condition: { on: "deployment_failed" } },
  { ...base, condition: { on: "certificate_expiry", within_s: 21_600 } },
  { ...base, condition: { on: "event", kinds: ["container.died", "agent_removed"], hold_s: 3_600, containers: { stack: "shop", service: "" } } },
])("a rule goes through its form unchanged: $condition.on", (spec) => {
  expect(specOf(draftOf(rule(spec)))).toEqual(spec);
  expect(notANumber(draftOf(rule(spec)))).toBeNull();
});
test("what is no number is named, where it counts", () => {
  const check = (change: Partial<Draft>, field: string | null) => expect(notANumber({ ...draftOf(null), ...change })).toBe(field);
  check({}, null);
  check({ threshold: "much" }, "threshold");
  check({ threshold: "0,5", window: "" }, "window");
  check({ on: "host_offline", threshold: "much", hold_for: "x" }, "hold_for");
});
test("alerts and silences in words", () => {
  const alert = { severity: "critical", state: "firing", subject: { stack: "shop", service: "web", part: "shop-web-1" } } as Alert;
  expect([toneOf(alert), toneOf({ ...alert, state: "pending" } as Alert), toneOf({ ...alert, state: "resolved" } as Alert)]).toEqual(["bad", "idle", "ok"]);
  expect(partOf(alert)).toBe("shop / shop-web-1");
  expect(silenceOf(quietOf({ note: " move ", agent: "agt_1", hours: "1.5" }), 0)).toEqual({
    note: "move", matcher: { rule: null, targets: { selector: null, group: null, agents: ["agt_1"] }, stack: "", severity: null }, schedule: { kind: "once", from: "1970-01-01T00:00:00.000Z", until: "1970-01-01T01:30:00.000Z" },
  });
  expect(silenceOf(quietOf({ note: "m", kind: "weekly", days: ["monday"], zone: "" }), 0).schedule).toEqual({ kind: "weekly", days: ["monday"], at: "02:00", minutes: 60, zone: "" });
});

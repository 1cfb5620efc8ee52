import { expect, test } from "vitest";
import type { Plan, ResourcePlan, StepView } from "@/api/types";
import { changesOf, stepOf, treeOf } from "./plan";
import { waiting } from "./steps";

const resource = (kind: ResourcePlan["resource"]["kind"], name: string, service: string | null): ResourcePlan => ({ resource: { kind, name }, service, action: "create", reason: { text: "" }, steps: [] });

test("images, what is shared, then each service", () => {
  const tree = treeOf([resource("image", "i", "web"), resource("network", "n", null), resource("container", "web-1", "web"), resource("container", "db-1", "db"), resource("container", "web-2", "web")]);
  expect(tree.map((group) => [group.key, group.service, group.resources.map((one) => one.resource.name)])).toEqual([
    ["images", "", ["i"]], ["shared", "", ["n"]], ["service web", "web", ["web-1", "web-2"]], ["service db", "db", ["db-1"]],
  ]);
});

test("a reason that lists no changes has its own", () => {
  const one = resource("container", "a", "web");
  expect(changesOf(one)).toEqual([]);
  one.reason = { text: "", key: "services.web", at: "compose.yaml:2:3" };
  expect(changesOf(one)).toEqual([{ key: "services.web", old: undefined, new: undefined, at: "compose.yaml:2:3" }]);
  one.reason.changes = [{ key: "a" }, { key: "b" }];
  expect(changesOf(one)).toHaveLength(2);
});

test("what a step waits for", () => {
  const view = (id: number, action: StepView["step"]["action"], after: number[], state: StepView["state"] = "pending"): StepView =>
    ({ step: { id, action, after, resource: { kind: "container", name: `c${id}` }, reason: { text: "" } }, state });
  const steps = [view(0, "pull", []), view(1, "create", []), view(2, "start", [1]), view(3, "stop", [])];
  const keys = () => steps.map((step) => waiting(steps, step)?.key ?? null);
  expect(keys()).toEqual(["turn", "images", "after", "images"]);
  steps[0]!.state = "done";
  expect(keys()).toEqual([null, "turn", "after", "creation"]);
  steps[1]!.state = "done";
  expect(keys()).toEqual([null, null, "turn", "turn"]);
  expect(stepOf({ steps: steps.map((one) => one.step) } as Plan, 2)?.action).toBe("start");
});

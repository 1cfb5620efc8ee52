import { expect, test } from "vitest";
import type { Group } from "@/api/types";
import { bodyOf, namesNobody, targetsOf, whyNot, wishOf } from "./groups";

const paris: Group = {
  id: "grp_1", name: "paris", selector: "site=paris", agents: ["agt_1"], hosts: ["agt_1", "agt_2"], version: 3,
  created_at: "2026-11-22T00:00:00Z", updated_at: "2026-11-22T00:00:00Z", updated_by: "usr_1",
};

test("the form of a group gives back what it was given, and changes nothing of it", () => {
  const it = wishOf(paris);
  expect(bodyOf(it)).toEqual({ name: "paris", selector: "site=paris", agents: ["agt_1"] });
  it.agents.push("agt_3");
  expect(paris.agents).toEqual(["agt_1"]);
  expect(bodyOf({ name: " lyon ", selector: "  ", agents: ["agt_2"] })).toEqual({ name: "lyon", selector: null, agents: ["agt_2"] });
  expect(targetsOf(wishOf(paris))).toEqual({ selector: "site=paris", group: null, agents: ["agt_1"] });
  expect([namesNobody(wishOf(null)), namesNobody(wishOf(paris))]).toEqual([true, false]);
});

test.each([
  ["", "site=paris", "why.nameGroup"],
  ["  ", "site=paris", "why.nameGroup"],
  ["é".repeat(64), "site=paris", null],
  ["x".repeat(65), "site=paris", "why.longName"],
  [" paris ", "site=paris", "why.takenName"],
  ["lyon", " ", "why.groupOfNobody"],
  ["lyon", "site=lyon", null],
])("%j with %j: %s", (name, selector, why) => expect(whyNot({ name, selector, agents: [] }, [paris])).toBe(why));

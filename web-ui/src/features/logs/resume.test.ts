import { expect, test } from "vitest";
import { Resume } from "./resume";

const line = (text: string, ms: number, container = "a") => ({ container, text, at: new Date(ms).toISOString() });

/** Shows `before`, cuts, shows `after`; gives from when it asks and which of `after` are new. */
function check(before: ReturnType<typeof line>[], after: ReturnType<typeof line>[], since: number | null, fresh: string[]) {
  const resume = new Resume();
  expect(resume.start()).toBeNull();
  expect(before.every((one) => resume.isNew(one))).toBe(true);
  expect(resume.start()).toBe(since === null ? null : new Date(since).toISOString());
  expect(after.filter((one) => resume.isNew(one)).map((one) => one.text)).toEqual(fresh);
}

test("nothing seen: everything is new", () => check([], [line("x", 1)], null, ["x"]));
test("what was seen is left out, what came meanwhile is not", () =>
  check([line("x", 1), line("y", 5)], [line("x", 1), line("y", 5), line("z", 6)], 5, ["z"]));
test("another line of the same millisecond is new", () =>
  check([line("x", 5)], [line("x", 5), line("y", 5)], 5, ["y"]));
test("each container goes on from its own line", () =>
  check([line("x", 9), line("m", 3, "b")], [line("m", 3, "b"), line("n", 4, "b"), line("x", 9), line("y", 10)], 3, ["n", "y"]));
test("once past the cut, an older line is one that came out of order", () =>
  check([line("x", 5)], [line("y", 7), line("w", 4)], 5, ["y", "w"]));
test("lines without a time are always shown", () => {
  const resume = new Resume();
  expect([resume.isNew({ container: "a", text: "x" }), resume.start(), resume.isNew({ container: "a", text: "x" })]).toEqual([true, null, true]);
});

import { expect, test } from "vitest";
import { every, type Page, type PageQuery } from "./pages";

async function check(pages: Page<number>[], expected: number[], asked: (string | undefined)[]) {
  const seen: PageQuery[] = [];
  const got = await every((query) => {
    seen.push(query);
    return Promise.resolve(pages[seen.length - 1] ?? pages.at(-1) ?? { items: [] });
  });
  expect(got).toEqual(expected);
  expect(seen.map((query) => query.cursor)).toEqual(asked);
}

test("one page", () => check([{ items: [1, 2] }], [1, 2], [undefined]));
test("null ends a list too", () => check([{ items: [1], next_cursor: null }], [1], [undefined]));
test("pages are followed, empty ones too", () => check(
  [{ items: [1], next_cursor: "a" }, { items: [], next_cursor: "b" }, { items: [2] }], [1, 2], [undefined, "a", "b"],
));
test("a cursor that repeats does not go on for ever", () => check(
  [{ items: [1], next_cursor: "a" }, { items: [2], next_cursor: "a" }], [1, 2], [undefined, "a"],
));

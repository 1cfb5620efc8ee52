import { expect, test } from "vitest";
import { above, below, contentOf, crumbs, permissions, sorted, spotOf, textOf } from "./files";

test("places are told by the address", () => {
  expect(spotOf({ container: "web-1" })).toEqual({ container: "web-1", path: "/" });
  expect(spotOf({ volume: "data", path: "/a b" })).toEqual({ volume: "data", path: "/a b" });
  expect(contentOf("agt_1", { volume: "data", path: "/a&b/é" }, true)).toBe("/api/v1/agents/agt_1/files/content?volume=data&path=%2Fa%26b%2F%C3%A9&archive=true");
  expect(contentOf("agt_1", { container: "web-1", path: "/" })).toBe("/api/v1/agents/agt_1/files/content?container=web-1&path=%2F");
});

test("paths go down and up", () => {
  expect([below("/", "a"), below("/a", "b c"), above("/a/b"), above("/a"), above("/")]).toEqual(["/a", "/a/b c", "/a", "/", "/"]);
  expect(crumbs("/a/b c")).toEqual([{ name: "a", path: "/a" }, { name: "b c", path: "/a/b c" }]);
  expect(crumbs("/")).toEqual([]);
});

const entry = (name: string, kind: "file" | "folder" | "link" | "other", mode = 0o644) => ({ name, kind, mode, size: 1, modified: null, target: null });

test("folders come first, and numbers as they count", () => {
  const names = sorted([entry("b10", "file"), entry("b9", "file"), entry("z", "folder"), entry("a", "link")], "en").map((one) => one.name);
  expect(names).toEqual(["z", "a", "b9", "b10"]);
});

test.each([
  ["file", 0o644, "-rw-r--r--"], ["folder", 0o1777, "drwxrwxrwt"], ["file", 0o4755, "-rwsr-xr-x"], ["file", 0o6644, "-rwSr-Sr--"], ["other", 0, "?---------"],
] as const)("%s %o reads %s", (kind, mode, wanted) => expect(permissions({ kind, mode })).toBe(wanted));

test("text is told from what is none", () => {
  const bytes = (...all: number[]) => new Uint8Array(all).buffer;
  expect([textOf(bytes(0x68, 0xc3, 0xa9, 10)), textOf(bytes(0xff)), textOf(bytes(1, 0, 1)), textOf(bytes())]).toEqual(["hé\n", null, null, ""]);
});

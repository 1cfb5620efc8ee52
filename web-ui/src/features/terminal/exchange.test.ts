import { expect, test } from "vitest";
import { Exchange, PIECE, STDERR, STDOUT, UNTAKEN } from "./exchange";

function message(kind: number, from: number, text: string): ArrayBuffer {
  const bytes = new TextEncoder().encode(text);
  const all = new Uint8Array(9 + bytes.length);
  all[0] = kind;
  new DataView(all.buffer).setBigUint64(1, BigInt(from));
  all.set(bytes, 9);
  return all.buffer;
}
const text = (bytes: Uint8Array | null) => (bytes ? new TextDecoder().decode(bytes) : null);

function check(messages: [number, number, string][], expected: (string | null)[], position: number) {
  const exchange = new Exchange();
  expect(messages.map(([kind, from, body]) => text(exchange.shown(message(kind, from, body))))).toEqual(expected);
  expect(exchange.position).toBe(position);
}

test("output follows on", () => check([[STDOUT, 0, "ab"], [STDERR, 2, "c"]], ["ab", "c"], 3));
test("what was shown is left out", () => check([[STDOUT, 0, "ab"], [STDOUT, 0, "ab"], [STDOUT, 1, "bcd"]], ["ab", null, "cd"], 4));
test("what a newer controller says is left out", () => check([[9, 0, "ab"], [STDOUT, 0, ""]], [null, null], 0));
test("a gap moves on", () => {
  const exchange = new Exchange();
  exchange.skipped(0, 10);
  expect(text(exchange.shown(message(STDOUT, 8, "abc")))).toBe("c");
});

test("input is kept until it was taken, and sent again from there", () => {
  const exchange = new Exchange();
  const type = (word: string) => exchange.typed(new TextEncoder().encode(word)).map(text);
  const again = (input: number) => exchange.again(input).map(text).join("|");
  expect(type("abc")).toEqual(["abc"]);
  type("def");
  expect(again(0)).toBe("abc|def");
  expect(again(2)).toBe("c|def");
  exchange.took(4);
  expect(again(4)).toBe("ef");
  // A host that says less than before has not forgotten anything.
  expect(again(3)).toBe("ef");
  expect(again(6)).toBe("");
});

test("a long paste waits for the host's word", () => {
  const exchange = new Exchange();
  const sizes = (all: Uint8Array[]) => all.reduce((sum, one) => sum + one.length, 0);
  expect(sizes(exchange.typed(new Uint8Array(UNTAKEN + 100)))).toBe(UNTAKEN);
  expect(sizes(exchange.typed(new Uint8Array(7)))).toBe(0);
  expect(sizes(exchange.took(40))).toBe(40);
  expect(sizes(exchange.took(40))).toBe(0);
  // After a cut: what the host has not, and no more than may be under way.
  expect(sizes(exchange.again(50))).toBe(UNTAKEN);
  expect(sizes(exchange.took(UNTAKEN + 107))).toBe(0);
  expect(sizes(exchange.typed(new Uint8Array(3)))).toBe(3);
});

test("long input goes in pieces", () => {
  const exchange = new Exchange();
  expect(exchange.typed(new Uint8Array(PIECE * 2 + 1)).map((one) => one.length)).toEqual([PIECE, PIECE, 1]);
  expect(exchange.again(PIECE + 1).map((one) => one.length)).toEqual([PIECE]);
});

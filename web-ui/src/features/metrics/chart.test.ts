import { describe, expect, it } from "vitest";
import { highest, lines, ticks, times } from "./chart";

describe("charts", () => {
  it("has round numbers on its axis", () => {
    expect(ticks(1)).toEqual([0, 0.25, 0.5, 0.75, 1]);
    expect(ticks(7)).toEqual([0, 2, 4, 6, 8]);
    expect(ticks(0)).toEqual([0, 1]);
    expect(ticks(3 * 1024, 1024)).toEqual([0, 1, 2, 3].map((one) => one * 1024));
    for (const most of [0.03, 0.9, 12, 999, 1_000, 123_456, 7e9]) {
      const found = ticks(most, 1024);
      expect(found.length).toBeLessThanOrEqual(6);
      expect(found.at(-1)).toBeGreaterThanOrEqual(most);
    }
  });
  it("leaves holes where nothing was measured", () => {
    const same = (value: number) => value;
    expect(lines([1, 2, null, 3], same, same)).toBe("M0.0 1.0h0.01L1.0 2.0M3.0 3.0h0.01");
    expect(lines([null], same, same)).toBe("");
    expect(highest([[1, null], [null, 5]])).toBe(5);
  });
  it("has whole times on its axis", () => {
    const found = times(0, 3_600_000, 6);
    expect(found.length).toBeLessThanOrEqual(6);
    expect(found.every((at) => at % 600_000 === 0)).toBe(true);
  });
});

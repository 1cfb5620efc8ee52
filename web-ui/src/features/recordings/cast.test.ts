import { describe, expect, it } from "vitest";
import { behind, castOf, sizeOf, timeOf, withoutPauses } from "./cast";

const TEXT = '{"version":2,"width":100,"height":30}\n[0.010, "o", "h\\u001b[1m"]\n[1.000, "r", "120x40"]\n[61.500, "m", "gap"]\n[62.000, "x", "?"]\n[62.000, "o", "end"]\n';

describe("recordings", () => {
  it("are read, and newer events are left out", () => {
    const cast = castOf(TEXT);
    expect([cast.columns, cast.rows, cast.seconds]).toEqual([100, 30, 62]);
    expect(cast.events.map((event) => event.kind)).toEqual(["o", "r", "m", "o"]);
    expect(cast.events[0]?.text).toBe("h\u001b[1m");
    expect(castOf('{"version":2}\n')).toEqual({ columns: 80, rows: 24, events: [], seconds: 0 });
  });
  it("lose their long pauses", () => {
    const short = withoutPauses(castOf(TEXT));
    expect(short.events.map((event) => Number(event.at.toFixed(3)))).toEqual([0.01, 1, 3, 3.5]);
    expect(short.seconds).toBeCloseTo(3.5);
  });
  it("know what comes behind a time", () => {
    const cast = castOf(TEXT);
    expect([-1, 0.01, 0.5, 61.5, 99].map((at) => behind(cast, at))).toEqual([0, 1, 1, 3, 4]);
  });
  it("tell sizes and times", () => {
    expect(sizeOf("100x30")).toEqual({ columns: 100, rows: 30 });
    for (const bad of ["", "0x1", "1x", "99999x1", "axb"]) expect(sizeOf(bad)).toBeNull();
    expect([0, 61.9, 3_723].map(timeOf)).toEqual(["0:00", "1:01", "1:02:03"]);
  });
});

import { describe, expect, test } from "vitest";
import { createI18n } from "vue-i18n";
import { ApiError } from "@/api/error";
import type { Deployment, Plan, Steps } from "@/api/types";
import { type Away, whyAway } from "@/features/hosts/useAway";
import en from "@/locales/en.json";
import fr from "@/locales/fr.json";
import { ageOf, bytes, countdown, learnClock, serverNow, shortSpan, workSpan } from "./age";
import { parseAnsi, stripAnsi } from "./ansi";
import { Ring } from "./ring";
import { isThere, pastOnes, shown } from "./states";
import { done, fold, groups } from "./steps";

describe("ansi", () => {
  test.each([
    ["plain", [["plain", ""]]],
    ["\x1b[31mred\x1b[0m x", [["red", "fg-1"], [" x", ""]]],
    ["\x1b[1;92mok\x1b[22m on\x1b[m", [["ok", "fg-10 bold"], [" on", "fg-10"]]],
    ["\x1b[38;5;196mhot\x1b[39m", [["hot", "fg-9"]]],
    ["\x1b[38;2;10;10;200mblue", [["blue", "fg-12"]]],
    ["\x1b[7minv", [["inv", "fg-inv bg-inv"]]],
    ["a\x1b[2Jb\x1b[10;3Hc", [["abc", ""]]],
    ["\x1b]0;title\x07t", [["t", ""]]],
    ["\x1b]52;c;ZXZpbA==\x1b\\t", [["t", ""]]],
    ["\x1b]8;;https://example.org\x1b\\link\x1b]8;;\x1b\\", [["link", ""]]],
    ["\x1bP1$r\x1b\\d", [["d", ""]]],
    ["\x9b31mc1", [["c1", "fg-1"]]],
    ["bell\x07\x00\r tab\there", [["bell tab\there", ""]]],
    ["cut \x1b[3", [["cut ", ""]]],
    ["cut \x1b", [["cut ", ""]]],
    ["<img src=x>", [["<img src=x>", ""]]],
  ])("%j", (line, spans) => {
    expect(parseAnsi(line).map((span) => [span.text, span.style])).toEqual(spans);
    expect(stripAnsi(line)).toBe(spans.map(([text]) => text).join(""));
  });
  test("no control character survives random input", () => {
    for (let n = 0; n < 2_000; n += 1) {
      const line = String.fromCharCode(...Array.from({ length: 24 }, () => [27, 91, 93, 109, 59, 48, 51, 49, 65, 7, 92, 155, 144, 156][Math.floor(Math.random() * 14)] ?? 0));
      // oxlint-disable-next-line no-control-regex -- control characters are the subject
      expect(stripAnsi(line)).not.toMatch(/[\x00-\x08\x0a-\x1f\x7f-\x9f]/);
    }
  });
});

test("a full ring drops the oldest and counts it", () => {
  const ring = new Ring<number>(3);
  for (const n of [1, 2, 3, 4, 5]) ring.push(n);
  expect([ring.toArray(), ring.length, ring.dropped]).toEqual([[3, 4, 5], 3, 2]);
  ring.clear();
  expect([ring.toArray(), ring.dropped]).toEqual([[], 0]);
  expect(() => new Ring(0)).toThrow(RangeError);
});

describe("age", () => {
  const noon = Date.parse("2026-11-21T12:00:00Z");
  test("presence age never goes negative and follows the server's clock", () => {
    expect(ageOf("2026-11-21T11:59:58Z", noon)).toBe(2_000);
    expect(ageOf("2026-11-21T12:00:09Z", noon)).toBe(0);
    expect(ageOf(null, noon)).toBeNull();
    learnClock("Sat, 21 Nov 2026 12:00:00 GMT", noon - 3_600_000);
    expect(serverNow(noon - 3_600_000)).toBe(noon);
    learnClock("Sat, 21 Nov 2026 12:00:00 GMT", noon + 900);
    expect(serverNow(noon)).toBe(noon);
  });
  test.each([[0, "0 s"], [59_999, "59 s"], [60_000, "1 min"], [7_200_000, "2 h"], [4 * 86_400_000, "4 d"]])("%d", (ms, text) => expect(shortSpan(ms)).toBe(text));
  test("other spans", () => {
    expect([workSpan(-3), workSpan(49), workSpan(420), workSpan(12_400), workSpan(185_000)]).toEqual(["< 0.1 s", "< 0.1 s", "0.4 s", "12 s", "3 min 05 s"]);
    expect([countdown("2026-11-21T12:14:59Z", noon), countdown("2026-11-21T11:00:00Z", noon)]).toEqual(["14:59", "00:00"]);
    expect([bytes(0), bytes(1536), bytes(16 * 2 ** 30)]).toEqual(["0 B", "1.5 KiB", "16.0 GiB"]);
  });
});

describe("api errors", () => {
  test("our shape, foreign JSON, a proxy's page, nothing at all", () => {
    const ours = ApiError.from(409, { code: "WF-1005", message: "taken", hint: "rename", request_id: "req_1" });
    expect([ours.code, ours.message, ours.hint, ours.requestId, ours.retryable]).toEqual(["WF-1005", "taken", "rename", "req_1", false]);
    expect(ApiError.from(502, { oops: 1 }).message).toBe("HTTP 502");
    expect(ApiError.from(502, "<html>bad gateway</html>").message).toBe("HTTP 502");
    expect(ApiError.unreachable(new TypeError("x")).retryable).toBe(true);
  });
});

describe("step tree", () => {
  const step = (id: number, service: string | null): Plan["steps"][number] => ({ id, service, action: "create", resource: { kind: "container", name: `c${id}` }, reason: { text: "" } });
  const plan: Plan = { stack: "s", steps: [step(0, null), step(1, "web"), step(2, "db"), step(3, "web")], warnings: ["w"] };
  test("folds as the server does", () => {
    let tree: Steps = fold({ steps: [] }, { kind: "planned", plan });
    expect([tree.steps.length, tree.warnings]).toEqual([4, ["w"]]);
    tree = fold(tree, { kind: "started", step: 1, at: "t1" });
    tree = fold(tree, { kind: "moved", step: 1, current: 5, total: 10, unit: "bytes", detail: "layer" });
    expect(done(tree.steps)).toBe(0.125);
    tree = fold(tree, { kind: "ended", step: 1, state: "done", at: "t2" });
    tree = fold(tree, { kind: "ended", step: 99, state: "done", at: "t2" });
    expect(tree.steps[1]).toMatchObject({ state: "done", started_at: "t1", ended_at: "t2" });
    for (let n = 0; n < 120; n += 1) tree = fold(tree, { kind: "note", text: `${n}` });
    expect([tree.notes?.length, tree.notes?.[0]]).toEqual([100, "20"]);
    expect(groups(tree.steps).map((group) => [group.service, group.steps.length])).toEqual([["", 1], ["web", 2], ["db", 1]]);
  });
});

test("a silent host is shown as unknown, with its age", () => {
  const base = { want: "present", state: { phase: "applying", done: 1, total: 2 } } as const;
  expect(shown({ ...base, view: { view: "known" } })).toMatchObject({ key: "applying", live: true });
  expect(shown({ ...base, view: { view: "unknown", last: "applying", since: "t" } })).toEqual({ key: "unknown", tone: "warn", live: false, last: "applying", since: "t" });
});

test("what runs on a host that is away is the last that is known, and not green", () => {
  const base = { want: "present", state: { phase: "succeeded" }, view: { view: "known" } } as const;
  expect(shown(base)).toMatchObject({ key: "succeeded", tone: "ok" });
  expect(shown(base, false, { since: "t" })).toEqual({ key: "succeeded", tone: "idle", live: false, known: true, since: "t" });
  expect(shown({ ...base, state: { phase: "queued" } }, false, { since: "t" }).known).toBeUndefined();
});

test("why a host is away is told in the reader's language, or as the controller put it", () => {
  const away = (cause: Away["cause"]) => whyAway((key) => key, { presence: "offline", cause, reason: "its words", since: null });
  expect([away("silent"), away("other"), away(undefined)]).toEqual(["hosts.away.silent", "its words", "its words"]);
});

test.each([
  ["present", "queued", true], ["present", "succeeded", true], ["present", "failed", true],
  ["absent", "applying", true], ["absent", "failed", true], ["absent", "succeeded", false], ["absent_with_volumes", "succeeded", false],
])("wanted %s and %s: there is %s", (want, phase, there) => {
  expect(isThere({ want, state: { phase } } as Deployment)).toBe(there);
});

describe("texts", () => {
  const flat = (it: object, path = ""): string[] => Object.entries(it).flatMap(([key, value]) => (typeof value === "string" ? [path + key] : flat(value, `${path}${key}.`)));
  test("French has every English text", () => expect(flat(fr).toSorted()).toEqual(flat(en).toSorted()));
  test.each(["en", "fr"])("every %s text compiles", (locale) => {
    const { global } = createI18n<false>({ legacy: false, locale, messages: { en, fr } as never });
    const t = global.t as unknown as (key: string, n: number) => string;
    for (const key of flat(en)) expect(() => t(key, 2), key).not.toThrow();
  });
});

test("a deployment is past when a later one went well on its host", () => {
  const one = (agent: string, rev: number, phase: string) => ({ id: `${agent}${rev}`, stack: "s", agent, rev, state: { phase } }) as Deployment;
  const all = [one("a", 3, "queued"), one("a", 2, "succeeded"), one("a", 1, "succeeded"), one("b", 2, "failed"), one("b", 1, "succeeded"), one("c", 1, "failed")];
  expect([...pastOnes(all)]).toEqual(["a1"]);
});

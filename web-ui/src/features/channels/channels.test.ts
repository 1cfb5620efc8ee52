import { expect, test } from "vitest";
import type { Channel, Notice } from "@/api/types";
import { bodyOf, headersOf, KINDS, outcomeOf, settingsOf, whyNot, wishOf } from "./channels";

const hook: Channel = {
  id: "chn_1", name: "hook", place: "hook.example:443", secrets: ["url", "key", "headers.A"], version: 3, standard: false, enabled: true,
  settings: { kind: "webhook", url: "", key: "", headers: { A: "" } },
  delivery: { group_by: ["host"], wait_s: 1, interval_s: 2, repeat_s: 0, resolved: false, severity: "critical" }, templates: { title: "t", body: "" },
  created_at: "2026-11-22T00:00:00Z", updated_at: "2026-11-22T00:00:00Z", updated_by: "usr_1",
};

test("the form gives back what it was given, with the secrets left as they are", () => {
  const body = bodyOf(wishOf(hook));
  expect(body).toMatchObject({ name: "hook", settings: hook.settings, delivery: hook.delivery, templates: hook.templates, standard: false, enabled: true, forget: [] });
});

test("each kind sends only what it has", () => {
  const wish = { ...wishOf(null), host: " mail ", to: "a@b, c@d\n", url: "https://x ", token: "t", topic: "q", server: "https://s", chat: "1" };
  for (const kind of KINDS) expect(settingsOf({ ...wish, kind }).kind).toBe(kind);
  expect(settingsOf({ ...wish, kind: "email" })).toMatchObject({ host: "mail", port: 587, tls: "starttls", to: ["a@b", "c@d"] });
  expect(settingsOf({ ...wish, kind: "slack" })).toEqual({ kind: "slack", url: "https://x" });
  expect(settingsOf({ ...wish, kind: "ntfy" })).toEqual({ kind: "ntfy", server: "https://s", topic: "q", token: "t" });
});

test("headers are lines", () => {
  expect(headersOf("A: b:c\n\n  D:\nE")).toEqual({ A: "b:c", D: "", E: "" });
});

test.each([
  ["", "channels.why.name"], ["x".repeat(65), "channels.why.long"], ["other", "channels.why.taken"], ["ok", null],
] as const)("a name %j: %s", (name, why) => {
  expect(whyNot({ ...wishOf(null), name }, [{ name: "other" }])).toBe(why);
});

test("an outcome has a word, a tone and what was said", () => {
  const notice = (state: Notice["state"]) => ({ state }) as Notice;
  expect(outcomeOf(notice({ state: "sent", at: "", said: "200 OK" }))).toEqual({ state: "sent", tone: "ok", said: "200 OK" });
  expect(outcomeOf(notice({ state: "failed", at: "", error: "no" })).tone).toBe("bad");
  expect(outcomeOf(notice({ state: "waiting", next: "", error: "down" }))).toEqual({ state: "waiting", tone: "warn", said: "down" });
});

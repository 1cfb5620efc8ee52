/** The form of a channel, and what becomes of it. The words are in the locales. */
import type { Channel, ChannelSave, ChannelSettings, ChannelDelivery, ChannelTemplates, Notice } from "@/api/types";

export const KINDS = ["email", "slack", "discord", "teams", "telegram", "ntfy", "gotify", "webhook"] as const;
export type Kind = (typeof KINDS)[number];

/** The form as it is typed: every field that any kind has. */
export interface ChannelWish {
  name: string; kind: Kind; standard: boolean; enabled: boolean;
  host: string; port: string; tls: "tls" | "starttls" | "none"; user: string; password: string; from: string; to: string;
  url: string; key: string; headers: string; token: string; chat: string; thread: string; server: string; topic: string;
  delivery: ChannelDelivery; templates: ChannelTemplates; forget: string[];
}

const PORT = "587";
const DELIVERY: ChannelDelivery = { group_by: ["rule"], wait_s: 30, interval_s: 300, repeat_s: 14_400, resolved: true, severity: "info" };

/** A channel as the form shows it; without one, an empty form. Secrets are never there. */
export function wishOf(channel: Channel | null): ChannelWish {
  const it = (channel?.settings ?? {}) as Record<string, unknown>;
  const text = (name: string) => (typeof it[name] === "string" ? it[name] : "");
  return {
    name: channel?.name ?? "", kind: channel?.settings.kind ?? "email", standard: channel?.standard ?? true, enabled: channel?.enabled ?? true,
    host: text("host"), port: it.port === undefined ? PORT : String(it.port), tls: (text("tls") || "starttls") as ChannelWish["tls"], user: text("user"), password: "",
    from: text("from"), to: Array.isArray(it.to) ? it.to.join(", ") : "",
    url: "", key: "", headers: Object.keys((it.headers ?? {}) as object).map((name) => `${name}: `).join("\n"), token: "",
    chat: text("chat"), thread: text("thread"), server: text("server"), topic: text("topic"),
    delivery: { ...DELIVERY, ...channel?.delivery }, templates: { title: channel?.templates.title ?? "", body: channel?.templates.body ?? "" }, forget: [],
  };
}

/** `Name: value` a line. A value that is left empty stays as it was. */
export function headersOf(text: string): Record<string, string> {
  const lines = text.split("\n").map((line) => line.trim()).filter(Boolean);
  return Object.fromEntries(lines.map((line) => {
    const at = line.indexOf(":");
    return at < 0 ? [line, ""] : [line.slice(0, at).trim(), line.slice(at + 1).trim()];
  }));
}

export function settingsOf(it: ChannelWish): ChannelSettings {
  const server = it.server.trim();
  switch (it.kind) {
    case "email": return {
      kind: "email", host: it.host.trim(), port: Number(it.port), tls: it.tls, user: it.user, password: it.password, from: it.from.trim(),
      to: it.to.split(/[,\n]/).map((one) => one.trim()).filter(Boolean),
    };
    case "webhook": return { kind: "webhook", url: it.url.trim(), key: it.key, headers: headersOf(it.headers) };
    case "telegram": return { kind: "telegram", token: it.token.trim(), chat: it.chat.trim(), thread: it.thread.trim(), server };
    case "ntfy": return { kind: "ntfy", server, topic: it.topic.trim(), token: it.token.trim() };
    case "gotify": return { kind: "gotify", server, token: it.token.trim() };
    default: return { kind: it.kind, url: it.url.trim() };
  }
}

export const bodyOf = (it: ChannelWish): ChannelSave => ({
  name: it.name.trim(), settings: settingsOf(it), delivery: it.delivery, templates: it.templates, standard: it.standard, enabled: it.enabled, forget: it.forget,
});

const MOST_CHARACTERS = 64;
/** Why it cannot be saved, as a key of the locales. What only the controller can judge, it says itself. */
export function whyNot(it: ChannelWish, others: readonly Pick<Channel, "name">[]): "channels.why.name" | "channels.why.long" | "channels.why.taken" | null {
  const name = it.name.trim();
  if (!name) return "channels.why.name";
  if ([...name].length > MOST_CHARACTERS) return "channels.why.long";
  return others.some((one) => one.name === name) ? "channels.why.taken" : null;
}

/** How a notification got on: tone of its mark, and what was said. */
export function outcomeOf(notice: Notice): { state: "waiting" | "sent" | "failed"; tone: "ok" | "warn" | "bad"; said: string } {
  switch (notice.state.state) {
    case "sent": return { state: "sent", tone: "ok", said: notice.state.said ?? "" };
    case "failed": return { state: "failed", tone: "bad", said: notice.state.error };
    default: return { state: "waiting", tone: "warn", said: notice.state.error };
  }
}

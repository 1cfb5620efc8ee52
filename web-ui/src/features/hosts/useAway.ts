import { computed, type MaybeRefOrGetter, toValue } from "vue";
import { useAgents } from "@/api/queries";
import type { Agent, Presence } from "@/api/types";

export type Away = Extract<Presence, { presence: "offline" }>;

export function awayOf(agents: readonly Agent[] | undefined, id: string): Away | null {
  const presence = agents?.find((one) => one.id === id)?.presence;
  return presence?.presence === "offline" ? presence : null;
}

/** The absence of a host, null while it is connected: what it said last may no longer be so. */
export function useAway(agent: MaybeRefOrGetter<string | undefined>) {
  const agents = useAgents();
  return computed(() => awayOf(agents.data.value, toValue(agent) ?? ""));
}

/** Why it is away, in the reader's language; a cause without words of its own is told as the controller put it. */
export function whyAway(t: (key: string) => string, away: Away): string {
  return !away.cause || away.cause === "other" ? away.reason : t(`hosts.away.${away.cause}`);
}

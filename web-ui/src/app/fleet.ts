/** The fleet's event feed: tells the cache what to load again and people what happened. */
import { useQueryClient } from "@tanstack/vue-query";
import { useI18n } from "vue-i18n";
import { useFeed } from "@/api/live";
import type { Agent, Deployment, FleetEvent } from "@/api/types";
import { toast } from "./toasts";

const SAID = ["succeeded", "failed", "rolled_back"] as const;

export function useFleet() {
  const cache = useQueryClient();
  const { t } = useI18n();
  const nameOf = (id?: string) => cache.getQueryData<Agent[]>(["agents"])?.find((one) => one.id === id)?.name ?? "";
  const again = (...keys: string[]) => {
    for (const key of keys) void cache.invalidateQueries({ queryKey: [key] });
  };

  function take(data: unknown): void {
    const event = data as FleetEvent;
    if (event.kind.startsWith("agent_")) again("agents", "agent", "tokens");
    else if (event.kind.startsWith("stack_")) again("stacks", "stack");
    else if (event.kind === "deployment_changed") again("deployments", "deployment", "revisions", "containers", "stacks", "stack");
    else again("agents", "stacks", "deployments", "containers");
    say(event);
  }
  function say(event: FleetEvent): void {
    const host = event.name || nameOf(event.agent);
    if (event.kind === "agent_connected" && host) toast(t("toast.agent_connected", { name: host }), "ok");
    if (event.kind === "agent_disconnected" && host) toast(t("toast.agent_disconnected", { name: host }), "warn");
    const state = SAID.find((one) => one === event.state);
    if (event.kind !== "deployment_changed" || !state) return;
    const stack = cache.getQueryData<Deployment[]>(["deployments"])?.find((one) => one.stack === event.stack)?.stack_name;
    if (stack) toast(t(`toast.${state}`, { stack, rev: event.rev, host }), state === "succeeded" ? "ok" : "bad");
  }
  return useFeed("/api/v1/events", { fleet: take });
}

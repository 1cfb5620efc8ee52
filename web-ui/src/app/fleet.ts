/** The fleet's event feed: tells the cache what to load again and people what happened. */
import { useQueryClient } from "@tanstack/vue-query";
import { onScopeDispose } from "vue";
import { useI18n } from "vue-i18n";
import { useFeed } from "@/api/live";
import type { Agent, FleetEvent, Stack } from "@/api/types";
import { toast } from "./toasts";

/** A deploy to many hosts sends many events at once: what they make stale is loaded again once. */
const TOGETHER_MS = 120;
const SAID = ["succeeded", "failed", "rolled_back", "rollback_failed"] as const;
/** Nouns of the cache that an event makes stale. */
const STALE: Record<FleetEvent["kind"], readonly string[]> = {
  agent_enrolled: ["agents", "tokens"],
  agent_connected: ["agents", "agent", "deployments", "deployment", "containers", "rollouts", "rollout"],
  agent_disconnected: ["agents", "agent", "deployments", "deployment", "containers", "rollouts", "rollout"],
  agent_changed: ["agents", "agent", "groups"],
  agent_removed: ["agents", "agent", "deployments", "containers", "groups", "rollouts", "rollout"],
  stack_changed: ["stacks", "stack"],
  stack_deleted: ["stacks", "deployments"],
  deployment_changed: ["deployments", "deployment", "revisions", "stacks", "stack", "rollouts", "rollout"],
  rollout_changed: ["rollouts", "rollout", "stacks", "stack"],
  group_changed: ["groups"],
  group_deleted: ["groups"],
  containers_changed: ["containers"],
  host: [],
  alert_changed: ["alerts"],
  alerting_changed: ["alerts", "rules", "silences", "channels"],
  controller_started: ["agents", "agent", "stacks", "stack", "deployments", "deployment", "containers", "rollouts", "rollout", "groups", "alerts", "rules", "silences", "channels"],
  gap: ["agents", "agent", "stacks", "stack", "deployments", "deployment", "revisions", "containers", "tokens", "rollouts", "rollout", "groups", "alerts", "rules", "silences", "channels"],
};

export function useFleet() {
  const cache = useQueryClient();
  const { t } = useI18n();
  const stale = new Set<string>();
  let timer: ReturnType<typeof setTimeout> | undefined;
  const hostName = (id: string) => cache.getQueryData<Agent[]>(["agents"])?.find((one) => one.id === id)?.name ?? "";
  const stackName = (id: string) => cache.getQueryData<Stack[]>(["stacks"])?.find((one) => one.id === id)?.name;

  function again(): void {
    timer = undefined;
    for (const noun of stale) void cache.invalidateQueries({ queryKey: [noun] });
    stale.clear();
  }
  function take(data: unknown): void {
    const event = data as FleetEvent;
    // A newer server may tell of things that this page does not know.
    for (const noun of STALE[event.kind] ?? STALE.gap) stale.add(noun);
    timer ??= setTimeout(again, TOGETHER_MS);
    say(event);
  }
  function say(event: FleetEvent): void {
    if (event.kind === "agent_connected" || event.kind === "agent_disconnected") {
      const name = hostName(event.agent);
      if (name) toast(t(`toast.${event.kind}`, { name }), event.kind === "agent_connected" ? "ok" : "warn");
    }
    if (event.kind !== "deployment_changed") return;
    const state = SAID.find((one) => one === event.state);
    const stack = stackName(event.stack);
    if (state && stack) toast(t(`toast.${state}`, { stack, rev: event.rev, host: hostName(event.agent) }), state === "succeeded" ? "ok" : "bad");
  }
  onScopeDispose(() => clearTimeout(timer));
  // What happens on hosts makes nothing stale that is not told of otherwise, and is much.
  const kinds = Object.keys(STALE).filter((kind) => kind !== "host" && kind !== "gap");
  return useFeed(`/api/v1/events/live?kind=${kinds.join(",")}`, { fleet: take });
}

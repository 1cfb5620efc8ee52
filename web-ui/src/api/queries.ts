/** Every question the pages ask, with its key in the cache. Keys begin with the noun, so that one event renews all of it. */
import { useQuery } from "@tanstack/vue-query";
import { computed, toValue, type MaybeRefOrGetter } from "vue";
import { HEAL_MS } from "@/app/query";
import { client, unwrap } from "./client";

type Id = MaybeRefOrGetter<string | undefined>;
const path = (id: Id) => ({ params: { path: { id: toValue(id) ?? "" } } });
const keyed = (noun: string, id: Id) => computed(() => [noun, toValue(id)]);
const has = (id: Id) => computed(() => !!toValue(id));

export const useAgents = (every: MaybeRefOrGetter<number> = HEAL_MS) => useQuery({
  queryKey: ["agents"], refetchInterval: () => toValue(every),
  queryFn: async () => (await unwrap(client.GET("/api/v1/agents"))).items,
});
export const useAgent = (id: Id) => useQuery({
  queryKey: keyed("agent", id), enabled: has(id), refetchInterval: HEAL_MS / 3,
  queryFn: () => unwrap(client.GET("/api/v1/agents/{id}", path(id))),
});
export const useAgentContainers = (id: Id) => useQuery({
  queryKey: computed(() => ["containers", "agent", toValue(id)]), enabled: has(id), refetchInterval: HEAL_MS / 3,
  queryFn: () => unwrap(client.GET("/api/v1/agents/{id}/containers", path(id))),
});
export const useStacks = () => useQuery({
  queryKey: ["stacks"], refetchInterval: HEAL_MS,
  queryFn: async () => (await unwrap(client.GET("/api/v1/stacks"))).items,
});
export const useStack = (id: Id) => useQuery({
  queryKey: keyed("stack", id), enabled: has(id),
  queryFn: () => unwrap(client.GET("/api/v1/stacks/{id}", path(id))),
});
export const useRevisions = (id: Id) => useQuery({
  queryKey: keyed("revisions", id), enabled: has(id),
  queryFn: async () => (await unwrap(client.GET("/api/v1/stacks/{id}/revisions", path(id)))).items
    .toSorted((a, b) => b.rev - a.rev),
});
export const useStackContainers = (id: Id) => useQuery({
  queryKey: computed(() => ["containers", "stack", toValue(id)]), enabled: has(id), refetchInterval: HEAL_MS / 3,
  queryFn: async () => (await unwrap(client.GET("/api/v1/stacks/{id}/containers", path(id)))).items,
});
export const useDeployments = () => useQuery({
  queryKey: ["deployments"], refetchInterval: HEAL_MS,
  queryFn: async () => (await unwrap(client.GET("/api/v1/deployments"))).items
    .toSorted((a, b) => b.created_at.localeCompare(a.created_at)),
});
export const useDeployment = (id: Id) => useQuery({
  queryKey: keyed("deployment", id), enabled: has(id),
  queryFn: () => unwrap(client.GET("/api/v1/deployments/{id}", path(id))),
});

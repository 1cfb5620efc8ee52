/** Every question the pages ask, with its key in the cache. Keys begin with the noun, so that one event renews all of it. */
import { useInfiniteQuery, useQuery } from "@tanstack/vue-query";
import { computed, toValue, type MaybeRefOrGetter } from "vue";
import { HEAL_MS } from "@/app/query";
import { client, unwrap } from "./client";
import { every, PAGE } from "./pages";

type Id = MaybeRefOrGetter<string | undefined>;
type EventAsk = { agent?: string; stack?: string; kind?: string };
type AuditAsk = { actor?: string; action?: string; object?: string; from?: string; to?: string };
const byId = (id: Id) => ({ path: { id: toValue(id) ?? "" } });
const path = (id: Id) => ({ params: byId(id) });
const keyed = (noun: string, id: Id) => computed(() => [noun, toValue(id)]);
const has = (id: Id) => computed(() => !!toValue(id));
/** Deployments asked for at once on their own page. */
const SHOWN = 50;

/** Nothing says when a terminal is opened, closed or takes another size. */
const TERMINALS_MS = 3_000;
export const useAgents = (often: MaybeRefOrGetter<number> = HEAL_MS) => useQuery({
  queryKey: ["agents"], refetchInterval: () => toValue(often),
  queryFn: () => every((query) => unwrap(client.GET("/api/v1/agents", { params: { query } }))),
});
export const useAgent = (id: Id) => useQuery({
  queryKey: keyed("agent", id), enabled: has(id), refetchInterval: HEAL_MS / 3,
  queryFn: () => unwrap(client.GET("/api/v1/agents/{id}", path(id))),
});
export const useAgentContainers = (id: Id) => useQuery({
  queryKey: computed(() => ["containers", "agent", toValue(id)]), enabled: has(id), refetchInterval: HEAL_MS,
  queryFn: () => unwrap(client.GET("/api/v1/agents/{id}/containers", path(id))),
});
export const useVolumes = (id: Id) => useQuery({
  queryKey: computed(() => ["volumes", toValue(id)]), enabled: has(id), refetchInterval: HEAL_MS,
  queryFn: async () => (await unwrap(client.GET("/api/v1/agents/{id}/volumes", path(id)))).items,
});
/** What is at a path of a container or volume. It is asked for anew only when somebody looks: it may be much work for a host. */
export const useFiles = (id: Id, spot: MaybeRefOrGetter<{ container?: string; volume?: string; path: string }>) => useQuery({
  queryKey: computed(() => ["files", toValue(id), toValue(spot)]), enabled: has(id), retry: false, refetchOnWindowFocus: false,
  queryFn: () => unwrap(client.GET("/api/v1/agents/{id}/files", { params: { ...byId(id), query: toValue(spot) } })),
});
export const useTokens = (often: MaybeRefOrGetter<number> = HEAL_MS) => useQuery({
  queryKey: ["tokens"], refetchInterval: () => toValue(often),
  queryFn: async () => (await unwrap(client.GET("/api/v1/enrolment-tokens"))).items,
});
export const useStacks = () => useQuery({
  queryKey: ["stacks"], refetchInterval: HEAL_MS,
  queryFn: () => every((query) => unwrap(client.GET("/api/v1/stacks", { params: { query } }))),
});
export const useStack = (id: Id) => useQuery({
  queryKey: keyed("stack", id), enabled: has(id),
  queryFn: () => unwrap(client.GET("/api/v1/stacks/{id}", path(id))),
});
export const useRevisions = (id: Id) => useQuery({
  queryKey: keyed("revisions", id), enabled: has(id),
  queryFn: async () => (await every((query) => unwrap(client.GET("/api/v1/stacks/{id}/revisions", { params: { ...byId(id), query } }))))
    .toSorted((a, b) => b.rev - a.rev),
});
export const useStackContainers = (id: Id) => useQuery({
  queryKey: computed(() => ["containers", "stack", toValue(id)]), enabled: has(id), refetchInterval: HEAL_MS,
  queryFn: async () => (await unwrap(client.GET("/api/v1/stacks/{id}/containers", path(id)))).items,
});
/** What each host was last asked to run: the newest deployment of each stack on each host, newest first. */
export const useLatest = (of: MaybeRefOrGetter<{ stack?: string; agent?: string }> = {}) => useQuery({
  queryKey: computed(() => ["deployments", "latest", toValue(of)]), refetchInterval: HEAL_MS,
  queryFn: async () => (await every((query) => unwrap(client.GET("/api/v1/deployments", { params: { query: { ...query, ...toValue(of), latest: true } } }))))
    .toSorted((a, b) => b.created_at.localeCompare(a.created_at)),
});
/** The history of a stack, newest first, as far as one page goes. */
export const useStackDeployments = (stack: Id) => useQuery({
  queryKey: computed(() => ["deployments", "stack", toValue(stack)]), enabled: has(stack), refetchInterval: HEAL_MS,
  queryFn: async () => (await unwrap(client.GET("/api/v1/deployments", { params: { query: { limit: PAGE, stack: toValue(stack) } } }))).items,
});
/** All deployments, newest first, a page at a time. */
export const useDeployments = () => useInfiniteQuery({
  queryKey: ["deployments", "all"], refetchInterval: HEAL_MS, initialPageParam: undefined as string | undefined,
  queryFn: ({ pageParam: cursor }) => unwrap(client.GET("/api/v1/deployments", { params: { query: { limit: SHOWN, cursor } } })),
  getNextPageParam: (last) => last.next_cursor ?? undefined,
});
export const useDeployment = (id: Id) => useQuery({
  queryKey: keyed("deployment", id), enabled: has(id),
  queryFn: () => unwrap(client.GET("/api/v1/deployments/{id}", path(id))),
});
/** All rollouts, newest first, a page at a time. */
export const useRollouts = () => useInfiniteQuery({
  queryKey: ["rollouts", "all"], refetchInterval: HEAL_MS, initialPageParam: undefined as string | undefined,
  queryFn: ({ pageParam: cursor }) => unwrap(client.GET("/api/v1/rollouts", { params: { query: { limit: SHOWN, cursor } } })),
  getNextPageParam: (last) => last.next_cursor ?? undefined,
});
/** The newest rollout of a stack: the one that runs, or the last one. */
export const useStackRollout = (stack: Id) => useQuery({
  queryKey: computed(() => ["rollouts", "stack", toValue(stack)]), enabled: has(stack), refetchInterval: HEAL_MS,
  queryFn: async () => (await unwrap(client.GET("/api/v1/rollouts", { params: { query: { limit: 1, stack: toValue(stack) } } }))).items[0] ?? null,
});
export const useRollout = (id: Id) => useQuery({
  queryKey: keyed("rollout", id), enabled: has(id), refetchInterval: HEAL_MS,
  queryFn: () => unwrap(client.GET("/api/v1/rollouts/{id}", path(id))),
});
export const useRolloutHosts = (id: Id) => useQuery({
  queryKey: computed(() => ["rollout", toValue(id), "hosts"]), enabled: has(id), refetchInterval: HEAL_MS,
  queryFn: () => every((query) => unwrap(client.GET("/api/v1/rollouts/{id}/hosts", { params: { ...byId(id), query } }))),
});
export const useGroups = () => useQuery({
  queryKey: ["groups"], refetchInterval: HEAL_MS,
  queryFn: () => every((query) => unwrap(client.GET("/api/v1/groups", { params: { query } }))),
});
export interface AlertAsk { state?: string; severity?: "info" | "warning" | "critical"; agent?: string; rule?: string }
/** Alerts, newest first, a page at a time. */
export const useAlerts = (ask: MaybeRefOrGetter<AlertAsk>) => useInfiniteQuery({
  queryKey: computed(() => ["alerts", toValue(ask)]), refetchInterval: HEAL_MS, initialPageParam: undefined as string | undefined,
  queryFn: ({ pageParam: cursor }) => unwrap(client.GET("/api/v1/alerts", { params: { query: { limit: SHOWN, cursor, ...toValue(ask) } } })),
  getNextPageParam: (last) => last.next_cursor ?? undefined,
});
/** How many fire, for the mark in the navigation. */
export const useFiring = () => useQuery({
  queryKey: ["alerts", "firing"], refetchInterval: HEAL_MS,
  queryFn: () => unwrap(client.GET("/api/v1/alerts", { params: { query: { state: "firing", limit: 100 } } })),
});
export const useRules = () => useQuery({
  queryKey: ["rules"], refetchInterval: HEAL_MS,
  queryFn: () => every((query) => unwrap(client.GET("/api/v1/alert-rules", { params: { query } }))),
});
export const useSilences = () => useQuery({
  queryKey: ["silences"], refetchInterval: HEAL_MS,
  queryFn: () => every((query) => unwrap(client.GET("/api/v1/silences", { params: { query } }))),
});
export const useChannels = () => useQuery({
  queryKey: ["channels"], refetchInterval: HEAL_MS,
  queryFn: () => every((query) => unwrap(client.GET("/api/v1/channels", { params: { query } }))),
});
/** The audit trail, newest first, a page at a time. */
export const useAudit = (ask: MaybeRefOrGetter<AuditAsk>, on: MaybeRefOrGetter<boolean>) => useInfiniteQuery({
  queryKey: computed(() => ["audit", toValue(ask)]), enabled: () => toValue(on), refetchInterval: HEAL_MS, initialPageParam: undefined as string | undefined,
  queryFn: ({ pageParam: cursor }) => unwrap(client.GET("/api/v1/audit-records", { params: { query: { limit: SHOWN, cursor, ...toValue(ask) } } })),
  getNextPageParam: (last) => last.next_cursor ?? undefined,
});
/** What happened, the newest first; what happens is another feed. */
export const useEvents = (ask: MaybeRefOrGetter<EventAsk>) => useInfiniteQuery({
  queryKey: computed(() => ["events", toValue(ask)]), refetchOnWindowFocus: false, gcTime: 0, initialPageParam: undefined as string | undefined,
  queryFn: ({ pageParam: cursor }) => unwrap(client.GET("/api/v1/events", { params: { query: { limit: SHOWN, cursor, ...toValue(ask) } } })),
  getNextPageParam: (last) => last.next_cursor ?? undefined,
});
/** Terminals that are open now. */
export const useTerminals = () => useQuery({
  queryKey: ["terminals"], refetchInterval: TERMINALS_MS,
  queryFn: async () => (await unwrap(client.GET("/api/v1/terminals"))).items,
});
/** Recordings of terminals, newest first, a page at a time. */
export const useRecordings = (agent: MaybeRefOrGetter<string | undefined>) => useInfiniteQuery({
  queryKey: computed(() => ["recordings", toValue(agent)]), initialPageParam: undefined as string | undefined,
  queryFn: ({ pageParam: cursor }) => unwrap(client.GET("/api/v1/recordings", { params: { query: { limit: SHOWN, cursor, agent: toValue(agent) } } })),
  getNextPageParam: (last) => last.next_cursor ?? undefined,
});
export const useRecording = (id: Id) => useQuery({
  queryKey: computed(() => ["recording", toValue(id)]), enabled: has(id),
  queryFn: () => unwrap(client.GET("/api/v1/recordings/{id}", { params: byId(id) })),
});
/** Whether the trail is whole: asked when somebody looks, and not by itself. */
export const useAuditVerdict = () => useQuery({
  queryKey: ["audit-verdict"], gcTime: 0, retry: false, refetchOnWindowFocus: false, refetchOnReconnect: false,
  queryFn: () => unwrap(client.GET("/api/v1/audit-records/verdict")),
});

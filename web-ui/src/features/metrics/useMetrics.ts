/** What hosts measure: live, and over time. */
import { useQuery } from "@tanstack/vue-query";
import { computed, shallowRef, toValue, type MaybeRefOrGetter } from "vue";
import { client, unwrap } from "@/api/client";
import { useFeed } from "@/api/live";
import type { HostMetrics } from "@/api/types";

/** The newest of each host by id, as they come. One host is sampled every second while this is open, all of them every ten. */
export function useLiveMetrics(agent?: string) {
  const newest = shallowRef<ReadonlyMap<string, HostMetrics>>(new Map());
  const url = agent ? `/api/v1/metrics/live?agent=${encodeURIComponent(agent)}&every_ms=1000` : "/api/v1/metrics/live";
  const feed = useFeed(url, {
    metrics: (data) => {
      const next = new Map(newest.value);
      for (const one of data as HostMetrics[]) next.set(one.agent, one);
      newest.value = next;
    },
  });
  return { newest, feed };
}

/** How far back a chart reaches. */
export const RANGES = { hour: 3_600_000, day: 86_400_000 } as const;
export type Range = keyof typeof RANGES;

const WANTED = {
  cpu: { metric: "cpu" },
  memory: { metric: "memory" },
  received: { metric: "network_received_bytes", by: "host" },
  sent: { metric: "network_sent_bytes", by: "host" },
  read: { metric: "disk_read_bytes", by: "host" },
  written: { metric: "disk_written_bytes", by: "host" },
} as const;
export type Wanted = keyof typeof WANTED;

export interface History { from: number; stepMs: number; values: Record<Wanted, (number | null)[]> }

/** The charts of one host. */
export const useHistory = (agent: MaybeRefOrGetter<string>, range: MaybeRefOrGetter<Range>) => useQuery({
  queryKey: computed(() => ["metrics", toValue(agent), toValue(range)]),
  refetchInterval: () => (toValue(range) === "hour" ? 15_000 : 120_000),
  queryFn: async (): Promise<History> => {
    const span = RANGES[toValue(range)];
    const to = Date.now();
    const times = { from: new Date(to - span).toISOString(), to: new Date(to).toISOString(), step_s: span / 120 / 1_000 };
    const names = Object.keys(WANTED) as Wanted[];
    const asked = names.map((name) => unwrap(client.GET("/api/v1/metrics/query", { params: { query: { ...WANTED[name], ...times, agent: toValue(agent) } } })));
    const found = await Promise.all(asked);
    const values = Object.fromEntries(names.map((name, index) => [name, (found[index]?.series[0]?.values ?? []).map((value) => value ?? null)]));
    const first = found[0];
    return { from: Date.parse(first?.from ?? times.from), stepMs: (first?.step_s ?? 30) * 1_000, values: values as History["values"] };
  },
});

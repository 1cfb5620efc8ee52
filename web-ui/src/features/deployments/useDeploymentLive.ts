/** A deployment as it moves: the snapshot from the feed, then its events folded in. */
import { ref, watch, type Ref } from "vue";
import { useQueryClient } from "@tanstack/vue-query";
import { useDeployment } from "@/api/queries";
import { useFeed } from "@/api/live";
import type { Deployment, Progress, Steps } from "@/api/types";
import { fold } from "@/lib/steps";

export function useDeploymentLive(id: string) {
  const cache = useQueryClient();
  const query = useDeployment(id);
  const steps: Ref<Steps> = ref({ steps: [] });
  let streamed = false;

  // The saved tree fills the page until the feed speaks, and again whenever the feed has nothing better.
  watch(query.data, (it) => { if (it?.steps && !streamed) steps.value = it.steps; }, { immediate: true });

  function snapshot(data: unknown): void {
    const it = data as Deployment;
    cache.setQueryData(["deployment", id], it);
    if (it.steps && it.steps.steps.length > 0) {
      streamed = true;
      steps.value = it.steps;
    }
  }
  function progress(data: unknown): void {
    streamed = true;
    steps.value = fold(steps.value, data as Progress);
  }
  const feed = useFeed(`/api/v1/deployments/${id}/events`, {
    snapshot, progress, state: snapshot,
    end: () => {
      feed.stop();
      void cache.invalidateQueries({ queryKey: ["deployments"] });
      void query.refetch();
    },
  });
  return { query, steps, feed };
}

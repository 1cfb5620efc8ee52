import { QueryClient } from "@tanstack/vue-query";
import { ApiError } from "@/api/error";

/** Lists are refreshed by the live feed; the interval only heals a feed that was cut unnoticed. */
export const HEAL_MS = 30_000;
const TRIES = 2;

export const queryClient = new QueryClient({
  defaultOptions: {
    // A controller on this machine or in a plant without internet is reachable whatever the browser thinks of the network.
    mutations: { networkMode: "always" },
    queries: {
      networkMode: "always",
      staleTime: 5_000,
      retry: (count, error) => count < TRIES && error instanceof ApiError && error.retryable,
    },
  },
});

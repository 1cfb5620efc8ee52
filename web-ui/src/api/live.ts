/**
 * Live feeds. `EventSource` reconnects by itself after a cut; when the server answers with an error it gives up for
 * good, so a new one is made here after a pause that grows to 15 s, with jitter.
 */
import { onScopeDispose, ref, type Ref } from "vue";

export type FeedState = "connecting" | "open" | "waiting" | "done";
const FIRST_PAUSE = 500;
const LONGEST_PAUSE = 15_000;
/** A cut that heals sooner is not worth a word. */
const TOLD_MS = 2_500;

export interface Feed {
  state: Ref<FeedState>;
  stop: () => void;
}

/** Calls `on[name]` with the parsed data of each event; `stop` is called with the scope. */
export function useFeed(url: string, on: Record<string, (data: unknown) => void>): Feed {
  const state = ref<FeedState>("connecting");
  let source: EventSource | null = null;
  let timer: ReturnType<typeof setTimeout> | undefined;
  let telling: ReturnType<typeof setTimeout> | undefined;
  let tries = 0;

  const listen = (name: string) => (event: Event) => {
    const data = (event as MessageEvent<string>).data;
    // A network error also arrives as an event, without data.
    if (typeof data !== "string") return;
    on[name]?.(data === "" ? null : JSON.parse(data));
  };
  const open = () => {
    source = new EventSource(url);
    source.onopen = () => {
      tries = 0;
      clearTimeout(telling);
      telling = undefined;
      state.value = "open";
    };
    for (const name of Object.keys(on)) source.addEventListener(name, listen(name));
    source.onerror = () => {
      telling ??= setTimeout(() => { state.value = "waiting"; }, TOLD_MS);
      if (source?.readyState !== EventSource.CLOSED) return;
      const pause = Math.min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** tries) * (0.5 + Math.random() / 2);
      tries += 1;
      timer = setTimeout(open, pause);
    };
  };
  const stop = () => {
    clearTimeout(timer);
    clearTimeout(telling);
    source?.close();
    state.value = "done";
  };
  open();
  onScopeDispose(stop);
  return { state, stop };
}

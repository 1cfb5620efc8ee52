/** One search at a time: WebSocket → `Found` → `shown`, drawn at most once per frame. */
import { onScopeDispose, ref, shallowRef } from "vue";
import type { LogFrame } from "@/api/types";
import { Found } from "./search";

export function useSearch() {
  const shown = shallowRef<{ found: Found; hits: Found["hits"] } | null>(null);
  const state = ref<"idle" | "running" | "done" | "cut" | "refused">("idle");
  const reason = ref("");
  /** Of the search that is meant now; what belongs to another one comes too late. */
  let turn = 0;
  let socket: WebSocket | null = null;
  let frame = 0;

  function stop() {
    turn += 1;
    const old = socket;
    socket = null;
    // One that is still being opened cannot be closed without a complaint of the browser.
    if (old?.readyState === WebSocket.CONNECTING) old.onopen = () => old.close();
    else old?.close();
    cancelAnimationFrame(frame);
    frame = 0;
  }
  async function start(ask: URLSearchParams) {
    stop();
    const mine = turn;
    const found = new Found();
    const draw = () => {
      frame = 0;
      found.settle();
      shown.value = { found, hits: found.hits };
    };
    draw();
    state.value = "running";
    reason.value = "";
    const refusal = await refusalOf(ask);
    if (turn !== mine) return;
    if (refusal !== null) {
      state.value = "refused";
      reason.value = refusal;
      return;
    }
    const url = new URL(`/api/v1/logs?${ask}`, location.href);
    url.protocol = url.protocol.replace("http", "ws");
    socket = new WebSocket(url);
    socket.onmessage = (message) => {
      if (turn !== mine) return;
      found.take(JSON.parse(String(message.data)) as LogFrame);
      frame ||= requestAnimationFrame(draw);
    };
    socket.onclose = (event) => {
      if (turn !== mine) return;
      socket = null;
      draw();
      state.value = event.wasClean ? "done" : "cut";
    };
  }
  /** Ends it; what was found stays. */
  function cancel() {
    stop();
    if (state.value === "running") state.value = "cut";
  }
  onScopeDispose(stop);
  return { shown, state, reason, start, cancel };
}

/** A browser tells nothing of a WebSocket that was refused: the same request without one is answered. `null`: it can be had. */
async function refusalOf(ask: URLSearchParams): Promise<string | null> {
  const answer = await fetch(`/api/v1/logs?${ask}`).catch(() => null);
  if (answer?.ok) return null;
  const body = (await answer?.json().catch(() => null)) as { message?: string } | null;
  return body?.message ?? "";
}

/** What a terminal shows that somebody else has open: WebSocket → screen. A connection that is lost is made again where it was cut. */
import { onScopeDispose, ref, shallowRef } from "vue";
import type { TerminalEnd, TerminalEvent } from "@/api/types";
import { Exchange } from "./exchange";

const AGAIN_MS = 1_000;
/** The controller says something every 20 s: one that is silent for so long is not there. */
const SILENT_MS = 60_000;
const LOOK_MS = 5_000;
/** It is not there any more. */
const NOT_FOUND = "WF-1004";

export function useWatch(id: () => string, write: (bytes: Uint8Array) => void) {
  const state = ref<"connecting" | "open" | "waiting" | "over">("connecting");
  const end = shallowRef<TerminalEnd | null>(null);
  const missing = ref(0);
  const exchange = new Exchange();
  let socket: WebSocket | null = null;
  let timer: ReturnType<typeof setTimeout> | undefined;
  let heard = 0;

  function over(how: TerminalEnd | null) {
    end.value = how;
    state.value = "over";
    drop();
  }
  function drop() {
    clearTimeout(timer);
    const old = socket;
    socket = null;
    old?.close();
  }
  function take(event: TerminalEvent) {
    if (event.kind === "opened") state.value = "open";
    else if (event.kind === "gap") {
      exchange.skipped(event.from, event.lost);
      missing.value += event.lost;
    } else if (event.kind === "ended") over(event);
    else if (event.kind === "lost" && event.code === NOT_FOUND) over(null);
  }
  function connect() {
    const url = new URL(`/api/v1/terminals/${id()}?watch=true&from=${exchange.position}`, location.href);
    url.protocol = url.protocol.replace("http", "ws");
    const next = new WebSocket(url);
    next.binaryType = "arraybuffer";
    socket = next;
    heard = Date.now();
    next.onmessage = (message) => {
      if (socket !== next) return;
      heard = Date.now();
      if (message.data instanceof ArrayBuffer) {
        const bytes = exchange.shown(message.data);
        if (bytes) write(bytes);
      } else take(JSON.parse(String(message.data)) as TerminalEvent);
    };
    next.onclose = () => { if (socket === next) lost(); };
  }
  function lost() {
    drop();
    state.value = "waiting";
    timer = setTimeout(connect, AGAIN_MS);
  }
  const looks = setInterval(() => { if (socket && Date.now() - heard >= SILENT_MS) lost(); }, LOOK_MS);
  onScopeDispose(() => {
    clearInterval(looks);
    drop();
  });
  return { state, end, missing, connect };
}

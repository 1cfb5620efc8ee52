/**
 * A live log: WebSocket → ring → `lines`, drawn at most once per frame. After a cut it goes on from the time of the last
 * line; what comes twice is known by its container, time and text.
 */
import { computed, onScopeDispose, ref, shallowRef, watch, type Ref } from "vue";
import type { LogEvent } from "@/api/types";
import { Ring } from "@/lib/ring";
import { Resume } from "./resume";

export const CAPACITY = 5_000;
const TAIL = 500;
const FIRST_PAUSE = 500;
const LONGEST_PAUSE = 10_000;

export type LogRow = { id: number } & (Extract<LogEvent, { kind: "line" | "gap" }>);
export interface LogTarget {
  stack: string;
  agent: string | undefined;
  service: string;
}

export function useLogs(target: Ref<LogTarget>) {
  const ring = new Ring<LogRow>(CAPACITY);
  const rows = shallowRef<LogRow[]>([]);
  const dropped = ref(0);
  const held = ref(0);
  const services = shallowRef<string[]>([]);
  const state = ref<"connecting" | "open" | "waiting" | "done">("connecting");
  const reason = ref("");
  const paused = ref(false);
  let socket: WebSocket | null = null;
  let timer: ReturnType<typeof setTimeout> | undefined;
  let frame = 0;
  let id = 0;
  let tries = 0;
  let ended = false;
  const resume = new Resume();

  const draw = () => {
    frame = 0;
    if (paused.value) return;
    rows.value = ring.toArray();
    dropped.value = ring.dropped;
    held.value = 0;
  };
  const soon = () => { frame ||= requestAnimationFrame(draw); };
  function add(row: LogRow extends infer R ? R extends { id: number } ? Omit<R, "id"> : never : never) {
    id += 1;
    ring.push({ ...row, id } as LogRow);
    if (paused.value) held.value += 1;
    soon();
  }
  function take(event: LogEvent) {
    if (event.kind === "end") {
      // One end per host; the server closes after the last of them.
      ended = true;
      reason.value = event.reason;
      return;
    }
    // A follow is no search.
    if (event.kind === "searched") return;
    if (event.kind === "line" && !resume.isNew(event)) return;
    if (event.kind === "line" && !services.value.includes(event.service)) services.value = [...services.value, event.service].toSorted();
    add(event);
  }
  function open() {
    const { stack, agent, service } = target.value;
    if (!agent) return;
    const query = new URLSearchParams({ agent, follow: "true", timestamps: "true" });
    const since = resume.start();
    if (since) query.set("since", since);
    else query.set("tail", String(TAIL));
    if (service) query.set("service", service);
    const url = new URL(`/api/v1/stacks/${stack}/logs?${query}`, location.href);
    url.protocol = url.protocol.replace("http", "ws");
    state.value = since ? "waiting" : "connecting";
    const mine = new WebSocket(url);
    socket = mine;
    ended = false;
    mine.onopen = () => {
      if (socket !== mine) return;
      tries = 0;
      state.value = "open";
    };
    mine.onmessage = (message) => { if (socket === mine) take(JSON.parse(String(message.data)) as LogEvent); };
    mine.onclose = () => {
      if (socket !== mine) return;
      if (ended) {
        state.value = "done";
        return;
      }
      state.value = "waiting";
      const pause = Math.min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** tries) * (0.5 + Math.random() / 2);
      tries += 1;
      timer = setTimeout(open, pause);
    };
  }
  function close() {
    clearTimeout(timer);
    const old = socket;
    socket = null;
    old?.close();
  }
  function clear() {
    ring.clear();
    draw();
    rows.value = [];
  }
  watch(computed(() => Object.values(target.value).join(" ")), () => {
    close();
    clear();
    resume.forget();
    open();
  }, { immediate: true });
  watch(paused, (is) => { if (!is) soon(); });
  onScopeDispose(() => {
    close();
    cancelAnimationFrame(frame);
  });
  return { rows, dropped, held, services, state, reason, paused, clear };
}

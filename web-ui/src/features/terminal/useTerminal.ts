/**
 * A terminal on a host: WebSocket ⇄ screen. A connection that is lost is made again, and goes on at the byte where it was
 * cut; the host keeps the process meanwhile.
 */
import { onScopeDispose, ref, shallowRef } from "vue";
import { client, unwrap } from "@/api/client";
import type { TerminalAction, TerminalEnd, TerminalEvent } from "@/api/types";
import { Exchange } from "./exchange";
import type { Screen } from "./screen";

/** In a container, or, without one, on the host itself. */
export interface Place { agent: string; container?: string | undefined; user?: string | undefined }
export type State = "connecting" | "open" | "waiting" | "over" | "failed";

/** The host keeps the process so long. */
const GRACE_S = 60;
const AGAIN_MS = 700;
/** The controller says something every 20 s: one that is silent for so long is not there. */
const SILENT_MS = 60_000;
const LOOK_MS = 5_000;
/** After so much output that was drawn the host is told; a program that is too far ahead waits. */
const SEEN_EVERY = 32 * 1024;

export function useTerminal(place: () => Place) {
  const state = ref<State>("connecting");
  const end = shallowRef<TerminalEnd | null>(null);
  const error = shallowRef<unknown>(null);
  /** Bytes of output that are missing, since the last start. */
  const missing = ref(0);
  const command = ref("");
  const recorded = ref(false);
  let screen: Screen | null = null;
  let exchange = new Exchange();
  let id = "";
  let socket: WebSocket | null = null;
  let timer: ReturnType<typeof setTimeout> | undefined;
  let lostAt = 0;
  let drawn = 0;
  let said = 0;
  let heard = 0;
  /** Up to here the output is drawn for the second time, after the page was loaded again: what the screen answers to old questions is not typed. */
  let old = 0;
  let loaded = false;
  /** Rises with every start: what belongs to an older one is late. */
  let turn = 0;
  const encoder = new TextEncoder();

  const kept = () => `wf-terminal:${place().agent}:${place().container ?? ""}:${place().user ?? ""}`;
  function send(data: string | Uint8Array) {
    if (socket?.readyState === WebSocket.OPEN) socket.send(data as string | Uint8Array<ArrayBuffer>);
  }
  const act = (action: TerminalAction) => send(JSON.stringify(action));
  const resize = () => { if (screen) act({ kind: "resize", columns: screen.term.cols, rows: screen.term.rows }); };

  function draw(bytes: Uint8Array) {
    const [mine, position] = [turn, exchange.position];
    screen?.term.write(bytes, () => {
      if (mine !== turn) return;
      drawn = position;
      if (drawn - said < SEEN_EVERY) return;
      said = drawn;
      act({ kind: "seen", position: drawn });
    });
  }
  function take(event: TerminalEvent) {
    switch (event.kind) {
      case "opened":
        state.value = "open";
        lostAt = 0;
        if (loaded) old = event.position ?? 0;
        loaded = false;
        if (drawn > said) act({ kind: "seen", position: (said = drawn) });
        command.value = event.command.join(" ");
        resize();
        for (const piece of exchange.again(event.input ?? 0)) send(piece);
        break;
      case "taken": for (const piece of exchange.took(event.input)) send(piece); break;
      case "gap":
        exchange.skipped(event.from, event.lost);
        missing.value += event.lost;
        break;
      case "ended":
        // Heard: the host need not keep it.
        act({ kind: "close" });
        over(event);
        break;
      case "lost":
        // Over, or only away: the next attempt says which.
        if (event.code === "WF-1004") over({ cause: "abandoned" });
        break;
    }
  }
  function over(how: TerminalEnd) {
    end.value = how;
    state.value = "over";
    sessionStorage.removeItem(kept());
    drop();
  }
  function drop() {
    clearTimeout(timer);
    const old = socket;
    socket = null;
    old?.close();
  }
  function connect() {
    const mine = turn;
    clearTimeout(timer);
    const url = new URL(`/api/v1/terminals/${id}?from=${exchange.position}`, location.href);
    url.protocol = url.protocol.replace("http", "ws");
    const next = new WebSocket(url);
    next.binaryType = "arraybuffer";
    socket = next;
    heard = Date.now();
    next.onmessage = (message) => {
      if (socket !== next || mine !== turn) return;
      heard = Date.now();
      if (message.data instanceof ArrayBuffer) {
        const bytes = exchange.shown(message.data);
        if (bytes) draw(bytes);
      } else take(JSON.parse(String(message.data)) as TerminalEvent);
    };
    next.onclose = () => {
      if (socket === next && mine === turn && state.value !== "over") lost();
    };
  }
  function lost() {
    socket = null;
    lostAt ||= Date.now();
    if (Date.now() - lostAt > GRACE_S * 1_000) over({ cause: "abandoned" });
    else {
      state.value = "waiting";
      timer = setTimeout(connect, AGAIN_MS);
    }
  }
  const looks = setInterval(() => {
    if (!socket || Date.now() - heard < SILENT_MS) return;
    const silent = socket;
    lost();
    silent.close();
  }, LOOK_MS);
  async function start() {
    const mine = (turn += 1);
    drop();
    exchange = new Exchange();
    [old, loaded] = [0, false];
    [state.value, end.value, error.value, missing.value, lostAt, drawn, said] = ["connecting", null, null, 0, 0, 0, 0];
    screen?.term.reset();
    const { agent, container, user } = place();
    const size = screen ? { columns: screen.term.cols, rows: screen.term.rows } : null;
    try {
      const made = await unwrap(client.POST("/api/v1/terminals", { body: { agent, container: container || null, host: !container, user: user || null, tty: true, stdin: true, command: [], env: ["TERM=xterm-256color"], size, grace_s: GRACE_S } }));
      if (mine !== turn) return void client.DELETE("/api/v1/terminals/{id}", { params: { path: { id: made.id } } });
      id = made.id;
      recorded.value = made.recorded ?? false;
      sessionStorage.setItem(kept(), id);
      connect();
    } catch (cause) {
      if (mine !== turn) return;
      error.value = cause;
      state.value = "failed";
    }
  }
  /** Shows it here: the one that this page had before it was loaded again, or a new one. */
  function show(on: Screen) {
    screen = on;
    on.term.onData((text) => { if (state.value === "open" && drawn >= old) for (const piece of exchange.typed(encoder.encode(text))) send(piece); });
    on.term.onBinary((text) => { if (state.value === "open") for (const piece of exchange.typed(Uint8Array.from(text, (c) => c.charCodeAt(0)))) send(piece); });
    on.term.onResize(resize);
    const before = sessionStorage.getItem(kept());
    if (!before) return void start();
    turn += 1;
    id = before;
    loaded = true;
    connect();
  }
  /** Ends the process. */
  const close = () => act({ kind: "close" });
  onScopeDispose(() => {
    // Left on purpose: nobody comes back for it. A page that is loaded again does not come by here.
    close();
    sessionStorage.removeItem(kept());
    turn += 1;
    clearInterval(looks);
    drop();
  });
  return { state, end, error, missing, recorded, command, show, start, close };
}

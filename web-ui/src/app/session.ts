import { defineStore } from "pinia";
import { ref } from "vue";
import { client, unwrap } from "@/api/client";
import { ApiError } from "@/api/error";
import type { Me } from "@/api/types";

/** Set while this browser has a session: without it nobody asks who is signed in, and no page begins with a refusal. */
const KEPT = "wf-session";

/** Pauses between looks at what became of an order whose answer was lost. */
const LOST_MS = [300, 700, 1_500, 2_500];

/** Who is signed in. The credential itself is an HttpOnly cookie that no script can read. */
export const useSession = defineStore("session", () => {
  const me = ref<Me | null>(null);
  const setupNeeded = ref(false);
  let known: Promise<void> | null = null;

  async function ask(): Promise<void> {
    try {
      me.value = localStorage.getItem(KEPT) ? await unwrap(client.GET("/api/v1/me")) : null;
    } catch (error) {
      if (!(error instanceof ApiError) || error.status !== 401) throw error;
      signedOut();
    }
    if (!me.value) setupNeeded.value = (await unwrap(client.GET("/api/v1/setup"))).needed;
  }
  function opened(user: Me): void {
    localStorage.setItem(KEPT, "1");
    me.value = user;
  }
  function signedOut(): void {
    localStorage.removeItem(KEPT);
    me.value = null;
  }
  /** Asks the server once; later calls wait for the same answer. */
  function ready(): Promise<void> {
    known ??= ask().catch((error: unknown) => {
      known = null;
      throw error;
    });
    return known;
  }
  async function madeMeanwhile(): Promise<boolean> {
    for (const pause of LOST_MS) {
      await new Promise((done) => setTimeout(done, pause));
      if (!(await unwrap(client.GET("/api/v1/setup"))).needed) return true;
    }
    return false;
  }
  async function setUp(code: string, username: string, password: string): Promise<void> {
    try {
      opened((await unwrap(client.POST("/api/v1/setup", { body: { code, username, password } }))).user);
    } catch (error) {
      // The answer was lost, perhaps not the order: the code works once, so what counts is whether somebody exists soon.
      if (!(error instanceof ApiError) || error.status !== 0 || !(await madeMeanwhile())) throw error;
      await signIn(username, password);
    }
    setupNeeded.value = false;
  }
  async function signIn(username: string, password: string): Promise<void> {
    opened((await unwrap(client.POST("/api/v1/sessions", { body: { username, password } }))).user);
  }
  async function signOut(): Promise<void> {
    await unwrap(client.DELETE("/api/v1/sessions/current")).catch(() => undefined);
    signedOut();
  }
  return { me, setupNeeded, ready, setUp, signIn, signOut, signedOut };
});

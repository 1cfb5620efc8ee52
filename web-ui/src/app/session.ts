import { defineStore } from "pinia";
import { ref } from "vue";
import { client, unwrap } from "@/api/client";
import { ApiError } from "@/api/error";
import type { Me } from "@/api/types";

/** Who is signed in. The credential itself is an HttpOnly cookie that no script can read. */
export const useSession = defineStore("session", () => {
  const me = ref<Me | null>(null);
  const setupNeeded = ref(false);
  let known: Promise<void> | null = null;

  async function ask(): Promise<void> {
    try {
      me.value = await unwrap(client.GET("/api/v1/me"));
    } catch (error) {
      if (!(error instanceof ApiError) || error.status !== 401) throw error;
      me.value = null;
      setupNeeded.value = (await unwrap(client.GET("/api/v1/setup"))).needed;
    }
  }
  /** Asks the server once; later calls wait for the same answer. */
  function ready(): Promise<void> {
    known ??= ask().catch((error: unknown) => {
      known = null;
      throw error;
    });
    return known;
  }
  async function setUp(code: string, username: string, password: string): Promise<void> {
    await unwrap(client.POST("/api/v1/setup", { body: { code, username, password } }));
    setupNeeded.value = false;
    await ask();
  }
  async function signIn(username: string, password: string): Promise<void> {
    await unwrap(client.POST("/api/v1/sessions", { body: { username, password } }));
    await ask();
  }
  async function signOut(): Promise<void> {
    await unwrap(client.DELETE("/api/v1/sessions/current")).catch(() => undefined);
    me.value = null;
  }
  return { me, setupNeeded, ready, setUp, signIn, signOut };
});

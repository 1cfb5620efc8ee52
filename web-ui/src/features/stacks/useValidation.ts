/** The server's own check of a spec, a moment after the last key; an answer to an older text is dropped. */
import { ref, shallowRef, watch, type Ref } from "vue";
import { client, unwrap } from "@/api/client";
import { NAME } from "./spec";
import type { Problem, StackSpec } from "@/api/types";

const REST_MS = 300;

export function useValidation(name: Ref<string>, spec: Ref<StackSpec>) {
  const problems = shallowRef<readonly Problem[]>([]);
  const services = shallowRef<readonly string[]>([]);
  const checking = ref(false);
  const failed = ref(false);
  let timer: ReturnType<typeof setTimeout> | undefined;
  let turn = 0;

  async function check(): Promise<void> {
    const mine = ++turn;
    try {
      const answer = await unwrap(client.POST("/api/v1/stacks/validate", { body: { name: NAME.test(name.value) ? name.value : undefined, spec: spec.value } }));
      if (mine !== turn) return;
      problems.value = answer.problems;
      services.value = answer.services;
      failed.value = false;
    } catch {
      if (mine === turn) failed.value = true;
    } finally {
      if (mine === turn) checking.value = false;
    }
  }
  watch(spec, () => {
    checking.value = true;
    clearTimeout(timer);
    timer = setTimeout(() => void check(), REST_MS);
  }, { immediate: true });
  return { problems, services, checking, failed };
}

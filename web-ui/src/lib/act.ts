import { type Ref, computed, ref } from "vue";
import { useQueryClient } from "@tanstack/vue-query";

/** One thing at a time that somebody asked for: whether it is under way, and why it failed. What it changed is read again. */
export function useAct(...nouns: string[]) {
  const cache = useQueryClient();
  const busy = ref(false);
  const error = ref<unknown>(null);
  async function act(what: () => Promise<unknown>) {
    busy.value = true;
    error.value = null;
    try {
      await what();
      await Promise.all(nouns.map((noun) => cache.invalidateQueries({ queryKey: [noun] })));
    } catch (cause) {
      error.value = cause;
    } finally {
      busy.value = false;
    }
  }
  return { busy, error, act };
}

/** What a dialog asks about; it is open as long as there is one. */
export function useAsked<T>() {
  const asked = ref(null) as Ref<T | null>;
  const asking = computed({ get: () => asked.value !== null, set: (is) => { if (!is) asked.value = null; } });
  return { asked, asking };
}

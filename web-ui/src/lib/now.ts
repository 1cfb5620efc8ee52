/** One ticking clock for the whole page; it runs only while something shows an age. */
import { onScopeDispose, readonly, ref } from "vue";
import { serverNow } from "./age";

const now = ref(serverNow());
let users = 0;
let timer: ReturnType<typeof setInterval> | undefined;

/** The server's present time in ms, renewed each second. */
export function useNow() {
  users += 1;
  now.value = serverNow();
  timer ??= setInterval(() => { now.value = serverNow(); }, 1_000);
  onScopeDispose(() => {
    users -= 1;
    if (users === 0) {
      clearInterval(timer);
      timer = undefined;
    }
  });
  return readonly(now);
}

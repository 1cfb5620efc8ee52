import { ref } from "vue";
import type { Tone } from "@/lib/states";

export interface Toast {
  id: number;
  text: string;
  tone: Tone;
}
const SHOWN_MS = 6_000;
const MOST = 3;
let last = 0;
export const toasts = ref<Toast[]>([]);

export function toast(text: string, tone: Tone = "info"): void {
  last += 1;
  const id = last;
  toasts.value = [...toasts.value, { id, text, tone }].slice(-MOST);
  setTimeout(() => drop(id), SHOWN_MS);
}
export function drop(id: number): void {
  toasts.value = toasts.value.filter((one) => one.id !== id);
}

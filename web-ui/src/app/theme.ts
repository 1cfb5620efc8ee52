import { ref } from "vue";

export type Theme = "system" | "light" | "dark";
const KEPT = "wf-theme";
const kept = localStorage.getItem(KEPT);
export const theme = ref<Theme>(kept === "light" || kept === "dark" ? kept : "system");

function show(): void {
  if (theme.value === "system") delete document.documentElement.dataset["theme"];
  else document.documentElement.dataset["theme"] = theme.value;
}

/** The next of system, light, dark; kept in this browser. */
export function turnTheme(): void {
  theme.value = theme.value === "system" ? "light" : theme.value === "light" ? "dark" : "system";
  if (theme.value === "system") localStorage.removeItem(KEPT);
  else localStorage.setItem(KEPT, theme.value);
  show();
}
show();

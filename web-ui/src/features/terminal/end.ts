import type { TerminalEnd } from "@/api/types";

type Words = (key: string, values?: Record<string, unknown>) => string;

/** How a terminal ended, in a sentence. */
export function endText(end: TerminalEnd, t: Words): string {
  const { cause, exit_code: code } = end;
  if (cause !== "exited") return t(`terminal.end.${cause}`);
  return typeof code === "number" ? t("terminal.end.exited", { code }) : t("terminal.end.other");
}

import { createI18n } from "vue-i18n";
import en from "@/locales/en.json";

const LANGUAGES = ["en", "fr"] as const;
export type Language = (typeof LANGUAGES)[number];
const KEPT = "wf-language";

export const i18n = createI18n({ legacy: false, locale: "en", fallbackLocale: "en", messages: { en } as Record<string, typeof en> });

export function chosenLanguage(): Language {
  const wish = localStorage.getItem(KEPT) ?? navigator.language.slice(0, 2);
  return LANGUAGES.find((one) => one === wish) ?? "en";
}

/** Loads the messages if they are not there yet (English is always there), then switches. */
export async function setLanguage(language: Language, keep = false): Promise<void> {
  if (language === "fr" && !i18n.global.availableLocales.includes("fr")) {
    i18n.global.setLocaleMessage("fr", (await import("@/locales/fr.json")).default);
  }
  i18n.global.locale.value = language;
  document.documentElement.lang = language;
  if (keep) localStorage.setItem(KEPT, language);
}

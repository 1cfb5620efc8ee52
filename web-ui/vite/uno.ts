import presetWind3 from "@unocss/preset-wind3";
import type { VitePluginConfig } from "@unocss/vite";

/** Every colour of the page, by role; the values live in `src/ui/tokens.css`, once for light and once for dark. */
const roles = [
  "page", "surface", "raised", "sunken", "line", "line-strong", "ink", "muted", "faint", "accent", "accent-ink",
  "accent-soft", "on-accent", "ok", "ok-soft", "warn", "warn-soft", "bad", "bad-soft", "info", "info-soft", "idle-soft",
] as const;

/** Utility classes are for layout; what a thing looks like is in its component. */
export const unoConfig: VitePluginConfig = {
  presets: [presetWind3({ preflight: "on-demand" })],
  theme: {
    colors: Object.fromEntries(roles.map((role) => [role, `var(--wf-${role})`])),
    borderRadius: { sm: "var(--wf-radius-s)", DEFAULT: "var(--wf-radius)", lg: "var(--wf-radius-l)", full: "999px" },
    fontFamily: { sans: "var(--wf-sans)", mono: "var(--wf-mono)" },
    fontSize: {
      xs: ["var(--wf-text-xs)", "1.4"],
      sm: ["var(--wf-text-s)", "1.45"],
      base: ["var(--wf-text)", "1.55"],
      lg: ["var(--wf-text-l)", "1.4"],
      xl: ["var(--wf-text-xl)", "1.3"],
    },
    breakpoints: { sm: "560px", md: "820px", lg: "1100px" },
  },
  shortcuts: {
    stack: "flex flex-col",
    row: "flex items-center",
    "row-between": "flex items-center justify-between",
    tnum: "[font-variant-numeric:tabular-nums]",
  },
};

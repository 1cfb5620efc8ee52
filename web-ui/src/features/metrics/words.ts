/** Numbers of metrics for people. */
import { bytes } from "@/lib/age";

/** `12.3 %`, `100 %`: with one digit below ten, so that an idle host is not dead. */
export const percent = (share: number): string => `${share < 0.1 && share > 0 ? (share * 100).toFixed(1) : Math.round(share * 100)} %`;

/** Bytes in a second. */
export const rate = (value: number): string => `${bytes(value)}/s`;

/** How full something is, as a tone. */
export const fullness = (share: number): "ok" | "warn" | "bad" => (share >= 0.9 ? "bad" : share >= 0.75 ? "warn" : "ok");

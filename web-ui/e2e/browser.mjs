// @ts-check
/** Debian's Chromium, and a watch over everything that it complains about. */
import { chromium } from "playwright-core";

const FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"];
export const launch = () => chromium.launch({ executablePath: process.env["WINDFLOW_CHROMIUM"] ?? "/usr/bin/chromium", args: FLAGS });

/**
 * Collects policy violations, console errors and uncaught errors of a page.
 * @param {import("playwright-core").Page} page
 */
export async function watch(page) {
  /** @type {string[]} */ const complaints = [];
  await page.exposeFunction("wfReport", (/** @type {string} */ text) => complaints.push(`csp: ${text}`));
  await page.addInitScript(() => {
    document.addEventListener("securitypolicyviolation", (event) => {
      // @ts-expect-error -- put there by exposeFunction
      globalThis.wfReport(`${event.effectiveDirective} ${event.blockedURI} ${event.sample} ${event.sourceFile}:${event.lineNumber}`);
    });
  });
  page.on("pageerror", (error) => complaints.push(`uncaught: ${error.message}`));
  page.on("console", (message) => {
    // A 401 on the first question ("who am I?") is an answer, not a fault; the browser prints it anyway.
    if (message.type() === "error" && !/status of (401|403|422)/.test(message.text())) complaints.push(`console: ${message.text()}`);
  });
  return complaints;
}

// @ts-check
/** Debian's Chromium, a watch over everything that it complains about, and the accessibility check. */
import { execFileSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { fileURLToPath } from "node:url";
import { chromium } from "playwright-core";

const FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"];
const PLACES = ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"];
const AXE = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

/** Whether this user may make a network namespace, which only root may everywhere. */
function mayIsolate() {
  try {
    execFileSync("unshare", ["--net", "ip", "link", "set", "lo", "up"], { stdio: "ignore" });
    return true;
  } catch {
    return false;
  }
}

/** The browser, in a network of its own where that is allowed. @param {import("./world.mjs").World} world */
export function launch(world) {
  const executablePath = process.env["WINDFLOW_CHROMIUM"] ?? PLACES.find((path) => existsSync(path));
  if (!executablePath) throw new Error(`no Chromium at ${PLACES.join(", ")}: run scripts/setup browser, or set WINDFLOW_CHROMIUM`);
  if (!mayIsolate()) return chromium.launch({ executablePath, args: FLAGS });
  const env = { ...process.env, WINDFLOW_E2E_CHROMIUM: executablePath, WINDFLOW_E2E_SOCKET: world.socket, WINDFLOW_E2E_PORT: new URL(world.base).port };
  return chromium.launch({ executablePath: fileURLToPath(new URL("alone.mjs", import.meta.url)), args: FLAGS, env });
}

/**
 * Collects policy violations, console errors and uncaught errors of a page. `answers` are refusals that a test provokes
 * on purpose, as `STATUS /path`: the browser prints each of them as an error.
 * @param {import("playwright-core").Page} page @param {readonly string[]} answers
 */
export async function watch(page, answers = []) {
  /** @type {string[]} */ const complaints = [];
  await page.exposeFunction("wfReport", (/** @type {string} */ text) => complaints.push(`csp: ${text}`));
  await page.addInitScript(() => {
    document.addEventListener("securitypolicyviolation", (event) => {
      // @ts-expect-error -- put there by exposeFunction
      globalThis.wfReport(`${event.effectiveDirective} ${event.blockedURI} ${event.sample} ${event.sourceFile}:${event.lineNumber}`);
    });
  });
  page.on("pageerror", (error) => complaints.push(`uncaught: ${error.stack ?? error.message}`));
  page.on("console", (message) => {
    if (message.type() !== "error" && message.type() !== "warning") return;
    const status = /status of (\d+)/.exec(message.text())?.[1];
    // Where the browser could not have a network of its own, each container makes it drop its connections: no fault of the
    // page, which has to get over it.
    if (message.text().includes("net::ERR_NETWORK_CHANGED")) return;
    const path = message.location().url.replace(/^https?:\/\/[^/]+/, "");
    if (!answers.includes(`${status} ${path}`)) complaints.push(`console: ${message.text()} (${message.location().url})`);
  });
  return complaints;
}

/** Serious and critical violations of the page as it stands, as text. @param {import("playwright-core").Page} page */
export async function axe(page) {
  // An expression of the debugger, not a script of the page: the page's policy stays as strict as it is.
  await page.evaluate(`${AXE};0`);
  return /** @type {string[]} */ (await page.evaluate(async () => {
    // @ts-expect-error -- defined by the line above
    const found = await globalThis.axe.run(document, { resultTypes: ["violations"], runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "best-practice"] });
    return found.violations
      .filter((/** @type {any} */ one) => one.impact === "serious" || one.impact === "critical")
      .flatMap((/** @type {any} */ one) => one.nodes.map((/** @type {any} */ node) => `${one.impact} ${one.id}: ${node.target.join(" ")} — ${node.failureSummary.replaceAll("\n", " ")}`));
  }));
}

// @ts-check
/**
 * The first hour of a user, in a real browser: setup code → administrator → add a host → stack with an error, then
 * without → plan → deploy → live steps → logs; and not one complaint from the browser.
 *
 * WINDFLOW_E2E_URL         base address (https with the controller's own certificate is fine)
 * WINDFLOW_E2E_CODE_FILE   file with the setup code
 * WINDFLOW_E2E_AGENT_CMD   program that enrols a real agent; gets WINDFLOW_TOKEN_FILE in its environment.
 *                          Without it the journey waits for a host to appear by itself (the mock brings one).
 * WINDFLOW_E2E_IMAGE       image of the test stack
 * WINDFLOW_E2E_COMMAND     its command, as a YAML flow sequence; must write lines for ever
 */
import { spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { launch, watch } from "./browser.mjs";

const env = (/** @type {string} */ name, /** @type {string | undefined} */ other) => {
  const value = process.env[name] ?? other;
  if (value === undefined) throw new Error(`${name} is not set`);
  return value;
};
const base = env("WINDFLOW_E2E_URL", undefined).replace(/\/$/, "");
const code = readFileSync(env("WINDFLOW_E2E_CODE_FILE", undefined), "utf8").trim();
const image = env("WINDFLOW_E2E_IMAGE", "nginx:alpine");
const command = process.env["WINDFLOW_E2E_COMMAND"];
const agentCmd = process.env["WINDFLOW_E2E_AGENT_CMD"];
const STACK = process.env["WINDFLOW_E2E_STACK"] ?? "journey";
const LONG_MS = 60_000;

const scratch = mkdtempSync(join(tmpdir(), "windflow-journey-"));
const browser = await launch();
const context = await browser.newContext({ ignoreHTTPSErrors: true, viewport: { width: 1280, height: 860 }, locale: "en", reducedMotion: "reduce" });
const page = await context.newPage();
const complaints = await watch(page);
/** @type {import("node:child_process").ChildProcess | null} */ let agent = null;
const started = Date.now();
const done = (/** @type {string} */ what) => process.stdout.write(`ok ${String(Date.now() - started).padStart(6)} ms  ${what}\n`);
const expect = (/** @type {boolean} */ good, /** @type {string} */ what) => { if (!good) throw new Error(`expected: ${what}`); };
async function typeDocument(/** @type {string} */ text) {
  await page.click(".cm-content");
  await page.keyboard.press("Control+A");
  await page.keyboard.press("Delete");
  await page.evaluate((it) => {
    const data = new DataTransfer();
    data.setData("text/plain", it);
    document.querySelector(".cm-content")?.dispatchEvent(new ClipboardEvent("paste", { clipboardData: data, bubbles: true, cancelable: true }));
  }, text);
}
try {
  await page.goto(base);
  await page.waitForURL("**/setup");
  await page.fill("[name=code]", "WRONG-CODE");
  for (const name of ["password", "again"]) await page.fill(`[name=${name}]`, "a long journey password");
  await page.click("button[type=submit]");
  await page.waitForSelector("[role=alert]");
  await page.fill("[name=code]", code);
  await page.click("button[type=submit]");
  await page.waitForURL("**/hosts");
  done("a wrong setup code is refused, the right one makes the administrator");

  await page.goto(`${base}/hosts/add`);
  const installer = await page.textContent("[data-test=installer]");
  const token = (await page.textContent("[data-test=token]"))?.trim() ?? "";
  expect(!!installer?.includes("install.sh"), `an installer line, got ${installer}`);
  expect(token.startsWith("wfj_"), "an enrolment token");
  done("the installer line is shown");
  if (agentCmd) {
    const file = join(scratch, "token");
    writeFileSync(file, token, { mode: 0o600 });
    agent = spawn(agentCmd, { env: { ...process.env, WINDFLOW_TOKEN_FILE: file }, stdio: "inherit", detached: true });
  }
  await page.waitForSelector("[data-test=host-connected]", { timeout: LONG_MS });
  done("the host is connected, seen without reloading");

  await page.goto(`${base}/stacks/new`);
  await page.fill("[name=stack-name]", STACK);
  await page.waitForSelector(".cm-content");
  const good = `services:\n  web:\n    image: ${image}\n${command ? `    command: ${command}\n` : ""}`;
  await typeDocument(good.replace("    image:", "    imagee:"));
  await page.waitForSelector("[data-test=problems]");
  const problem = await page.textContent("[data-test=problems]");
  expect(/:3:/.test(problem ?? ""), `the problem at line 3, got ${problem}`);
  await page.waitForSelector(".cm-lint-marker-error");
  expect((await page.getAttribute("[data-test=save]", "aria-disabled")) === "true", "no saving with an error");
  done("a wrong key is marked at its line, and saving says why not");
  await typeDocument(good);
  await page.waitForSelector("[data-test=problems]", { state: "detached" });
  await page.click("[data-test=save]:not([aria-disabled])");
  await page.waitForURL("**/deploy");
  const box = page.locator("fieldset input[type=checkbox]").last();
  if (!(await box.isChecked())) await box.check();
  await page.waitForSelector("[data-test=plan] li", { timeout: LONG_MS });
  done("the plan is shown");
  await page.click("[data-test=deploy]:not([aria-disabled])");
  await page.waitForURL("**/deployments/*");
  await page.waitForSelector("[data-test=steps] li", { timeout: LONG_MS });
  done("live steps");
  const ended = await page.waitForSelector("[data-state=succeeded], [data-state=failed], [data-state=rolled_back], [data-state=rejected]", { timeout: LONG_MS });
  const state = await ended.getAttribute("data-state");
  if (state !== "succeeded") throw new Error(`the deployment ended as ${state}: ${await page.textContent("main")}`);
  done("succeeded");

  await page.locator("a", { hasText: "See logs" }).click();
  await page.waitForSelector("[data-test=line]", { timeout: LONG_MS });
  const before = await page.locator("[data-test=line]").count();
  await page.waitForFunction((n) => document.querySelectorAll("[data-test=line]").length > n, before, { timeout: LONG_MS });
  done("logs arrive live");
  expect(complaints.length === 0, `no complaint from the browser, got\n${complaints.join("\n")}`);
  done("0 policy violations, 0 console errors");
} catch (error) {
  await page.screenshot({ path: join(tmpdir(), "windflow-journey-failed.png") }).catch(() => undefined);
  process.stderr.write(`${error instanceof Error ? error.stack : error}\nat ${page.url()}\n${complaints.join("\n")}\npicture: ${join(tmpdir(), "windflow-journey-failed.png")}\n`);
  process.exitCode = 1;
} finally {
  await browser.close();
  if (agent?.pid && agent.exitCode === null) process.kill(-agent.pid, "SIGTERM");
  rmSync(scratch, { recursive: true });
}

// @ts-check
/**
 * The first hour of a user, in a real browser against the real controller, agent and engine: setup code → administrator →
 * add a host → a stack with an error, then without → plan → deploy → live steps → container → logs → search → terminal → files → events → update → rollback →
 * remove; and not one complaint from the browser or the accessibility check.
 *
 * WINDFLOW_BIN      folder with windflow-controller and windflow-agent (default ../target/debug)
 * WINDFLOW_CHROMIUM the browser, if it is not in a usual place
 */
import { mkdirSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { axe, launch, watch } from "./browser.mjs";
import { docker, until, World } from "./world.mjs";

const HOST = "journey-host";
const STACK = `journey-${process.pid}`;
const IMAGE = "windflow-test/busybox:1";
const PASSWORD = "a long journey password";
const LONG_MS = 60_000;
/** As `scripts/size.mjs`: what the first page may weigh on the wire. */
const FIRST_LOAD = 200 * 1024;
const pictures = fileURLToPath(new URL("../../target/journey/", import.meta.url));

/** A stack that writes a line a second; `word` tells its versions apart. @param {string} word */
const compose = (word) => `services:
  web:
    image: ${IMAGE}
    command: ["sh", "-c", "trap exit TERM; n=0; while true; do n=$$((n+1)); echo ${word} $$n; sleep 0.3; done"]
    volumes:
      - data:/data
volumes:
  data: {}
`;

const started = Date.now();
const done = (/** @type {string} */ what) => process.stdout.write(`ok ${String(Date.now() - started).padStart(6)} ms  ${what}\n`);
const expect = (/** @type {unknown} */ good, /** @type {string} */ what) => { if (!good) throw new Error(`expected: ${what}`); };

const world = await World.start();
done("the controller is ready");
world.projects.add(STACK);
const browser = await launch(world);
const context = await browser.newContext({ ignoreHTTPSErrors: true, viewport: { width: 1280, height: 860 }, locale: "en", reducedMotion: "reduce" });
const page = await context.newPage();
page.setDefaultTimeout(LONG_MS);
const complaints = await watch(page, ["403 /api/v1/setup", "401 /api/v1/setup", "400 /api/v1/logs?regex=first%28&limit=1000"]);
/** @type {string[]} */ const barriers = [];
let looked = 0;
async function accessible(/** @type {string} */ what) {
  looked += 1;
  barriers.push(...(await axe(page)).map((one) => `${what}: ${one}`));
}
const button = (/** @type {string} */ name) => page.getByRole("button", { name, exact: true });
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
/** Follows the deployment on the page to its end. @param {string} what */
async function ends(what) {
  await page.waitForURL("**/deployments/*");
  const ended = await page.waitForSelector("[data-state=succeeded], [data-state=failed], [data-state=rolled_back], [data-state=rejected], [data-state=rollback_failed]");
  const state = await ended.getAttribute("data-state");
  if (state !== "succeeded") throw new Error(`${what} ended as ${state}: ${await page.textContent("main")}`);
  const steps = page.locator("[data-test=steps] li");
  expect((await steps.count()) > 0, `${what}: a step tree`);
  expect((await page.locator("[data-test=steps] li.pending, [data-test=steps] li.running").count()) === 0, `${what}: every step has ended`);
}
/** Saves the document in the editor, looks at the plan and deploys it. @param {string} action that the plan must hold */
async function deploy(action) {
  await page.click("[data-test=save]:not([aria-disabled])");
  await page.waitForURL("**/deploy");
  const box = page.locator("fieldset input[type=checkbox]");
  if (!(await box.isChecked())) await box.check();
  await page.waitForSelector("[data-test=plan] li");
  expect((await page.textContent("[data-test=plan]"))?.includes(action), `a plan that says ${action}`);
}
const containers = () => docker("ps", "-q", "--filter", `label=com.docker.compose.project=${STACK}`).split("\n").filter(Boolean);

/** @type {(() => Promise<void>)[]} */
const chapters = [
  async function setup() {
    let bytes = 0;
    let requests = 0;
    /** @type {string[]} */ const plain = [];
    const weigh = async (/** @type {import("playwright-core").Request} */ request) => {
      const sizes = await request.sizes();
      bytes += sizes.responseBodySize;
      requests += 1;
      const coding = (await request.response())?.headers()["content-encoding"];
      if (/\.(js|css)$/.test(request.url()) && sizes.responseBodySize > 1_024 && coding !== "br") plain.push(request.url());
    };
    page.on("requestfinished", weigh);
    await page.goto(world.base);
    await page.waitForURL("**/setup");
    await page.waitForSelector("[name=code]");
    await page.waitForLoadState("networkidle");
    page.off("requestfinished", weigh);
    expect(plain.length === 0, `brotli for every script and sheet, not for ${plain.join(", ")}`);
    expect(bytes > 10_000 && bytes < FIRST_LOAD, `a first page below ${FIRST_LOAD} bytes, got ${bytes}`);
    done(`first load: ${bytes} bytes in ${requests} requests`);
    await accessible("setup");
    await page.fill("[name=code]", "WRONG-CODE");
    for (const name of ["password", "again"]) await page.fill(`[name=${name}]`, PASSWORD);
    await page.click("button[type=submit]");
    await page.waitForSelector("[role=alert]");
    await page.fill("[name=code]", world.code);
    await page.click("button[type=submit]");
    await page.waitForURL("**/hosts");
    done("a wrong setup code is refused, the right one makes the administrator");
  },
  async function addHost() {
    await accessible("hosts, empty");
    await page.locator("a", { hasText: "Add a host" }).first().click();
    const installer = (await page.textContent("[data-test=installer]")) ?? "";
    const token = (await page.textContent("[data-test=token]"))?.trim() ?? "";
    expect(installer.includes(`${world.base}/install.sh`), `an installer line of this controller, got ${installer}`);
    expect(token.startsWith("wfj_") && !installer.includes(token), "a token that is not in the line");
    const script = await (await page.request.get(`${world.base}/install.sh`)).text();
    expect(script.startsWith("#!/bin/sh") && script.includes(world.base), "the installer itself");
    await accessible("add a host");
    done("the installer line and its token are shown");
    await world.host(HOST, token);
    await page.waitForSelector("[data-test=host-connected]");
    done("the host is connected, seen without reloading");
    await accessible("host added");
    await page.locator("a", { hasText: "Open the host" }).click();
    await page.waitForSelector("dl");
    await page.click("[data-test=rename]");
    await page.fill("[name=host-name]", "workshop");
    await page.click("[data-test=rename-confirm]");
    await page.locator("h1", { hasText: "workshop" }).waitFor();
    await accessible("host");
    done("the host is renamed");
  },
  async function tokens() {
    await page.goto(`${world.base}/hosts/add`);
    await page.waitForSelector("[data-test=token]");
    await page.keyboard.press("Escape");
    await page.locator("a", { hasText: "Enrolment tokens" }).click();
    await page.locator("[data-test=token-row]").nth(1).waitFor();
    await accessible("tokens");
    await page.locator("[data-test=token-row] a", { hasText: "workshop" }).waitFor();
    await page.click("[data-test=revoke]");
    await page.click("[data-test=revoke-confirm]");
    await until("the token is gone", async () => (await page.locator("[data-test=token-row]").count()) === 1);
    done("tokens are listed with the host that used them; an open one is revoked");
  },
  async function firstDeploy() {
    await page.goto(`${world.base}/stacks/new`);
    await page.fill("[name=stack-name]", STACK);
    await page.waitForSelector(".cm-content");
    await typeDocument(compose("first").replace("    image:", "    imagee:"));
    await page.waitForSelector("[data-test=problems]");
    const problem = await page.textContent("[data-test=problems]");
    expect(/:3:/.test(problem ?? ""), `the problem at line 3, got ${problem}`);
    await page.waitForSelector(".cm-lint-marker-error");
    expect((await page.getAttribute("[data-test=save]", "aria-disabled")) === "true", "no saving with an error");
    await accessible("editor with a problem");
    done("a wrong key is marked at its line, and saving says why not");
    await typeDocument(compose("first"));
    await page.waitForSelector("[data-test=problems]", { state: "detached" });
    await deploy("create");
    await accessible("plan");
    done("the plan is shown");
    await page.click("[data-test=deploy]:not([aria-disabled])");
    await page.waitForSelector("[data-test=steps] li");
    done("live steps");
    await ends("the first deployment");
    await accessible("deployment");
    expect(containers().length === 1, "one running container on the engine");
    done("the stack runs");
  },
  async function logs() {
    await page.locator("a", { hasText: "See logs" }).click();
    const lines = page.locator("[data-test=line]");
    await lines.filter({ hasText: "first" }).first().waitFor();
    const before = await lines.count();
    await page.waitForFunction((n) => document.querySelectorAll("[data-test=line]").length > n + 2, before);
    await accessible("logs");
    done("logs arrive live");
    await page.locator(".tabs a", { hasText: "Containers" }).click();
    await page.locator("tr", { hasText: "web" }).filter({ hasText: "running" }).waitFor();
    await accessible("stack");
    done("its container is seen running");
  },
  async function search() {
    const address = page.url();
    await page.locator(".side nav a", { hasText: "Logs" }).click();
    await page.waitForURL("**/logs");
    await page.fill("[name=text]", "FIRST");
    await page.click("[data-test=search]");
    await page.locator("[data-test=hit] mark", { hasText: "first" }).first().waitFor();
    await page.waitForSelector("[data-test=search-state] >> text=done");
    expect(page.url().includes("search=FIRST"), "the search is in the address");
    await accessible("search");
    await page.selectOption("[name=since]", "");
    await page.getByLabel("Regular expression").check();
    await page.fill("[name=text]", "first(");
    await page.click("[data-test=search]");
    await page.locator("[data-test=search-sum]", { hasText: "`first(` is no regular expression" }).waitFor();
    await page.fill("[name=text]", "^nothing of the kind$");
    await page.click("[data-test=search]");
    await page.locator("h2", { hasText: "No line matches" }).waitFor();
    await page.goBack();
    await page.goBack();
    await page.locator("[data-test=hit] mark", { hasText: "first" }).first().waitFor();
    await page.goto(address);
    done("its lines are found on the host; a wrong expression is named; going back brings a search back");
  },
  async function terminal() {
    const address = page.url();
    await page.click("[data-test=open-terminal]");
    await page.waitForSelector("[data-test=terminal-state] >> text=live");
    await page.keyboard.type("echo got-$((40+2))\n");
    await page.locator(".xterm-rows", { hasText: "got-42" }).waitFor();
    await accessible("terminal");
    await page.keyboard.type("exit 3\n");
    await page.locator("[data-test=terminal-end]", { hasText: "3" }).waitFor();
    await button("Open a new one").click();
    await page.waitForSelector("[data-test=terminal-state] >> text=live");
    await page.keyboard.type("echo again-$((6*7))\n");
    await page.locator(".xterm-rows", { hasText: "again-42" }).waitFor();
    // Somebody else looks on: what was shown before, and what is shown now.
    const other = await page.context().newPage();
    await other.goto(new URL("/terminals", address).href);
    await other.locator("[data-test=watch]").click();
    await other.locator("[data-test=watched] .xterm-rows", { hasText: "again-42" }).waitFor();
    await page.keyboard.type("echo seen-$((1+1))\n");
    await other.locator("[data-test=watched] .xterm-rows", { hasText: "seen-2" }).waitFor();
    await button("Close").click();
    await other.locator("[data-test=watch-end]", { hasText: "closed" }).waitFor();
    await other.close();
    await page.waitForSelector("[data-test=terminal-end]");
    await page.goto(address);
    await page.locator("tr", { hasText: "web" }).filter({ hasText: "running" }).waitFor();
    done("a terminal in its container: typed, ended, opened again, watched, closed");
  },
  async function files() {
    const address = page.url();
    await page.click("[data-test=open-files]");
    await page.locator("[data-test=file]", { hasText: "etc" }).first().waitFor();
    await accessible("files");
    await page.locator("[data-test=file] a", { hasText: /^tmp/ }).click();
    await page.setInputFiles("[data-test=picker]", { name: "from the browser é.txt", mimeType: "text/plain", buffer: Buffer.from("typed here\n") });
    await page.locator("[data-test=file] button", { hasText: "from the browser" }).click();
    await page.locator("[data-test=text]", { hasText: "typed here" }).waitFor();
    await page.keyboard.press("Escape");
    const [got] = await Promise.all([page.waitForEvent("download"), page.locator("[data-test=file]", { hasText: "from the browser" }).locator("a[download]").click()]);
    if (got.suggestedFilename() !== "from the browser é.txt") throw new Error(`it is saved as ${got.suggestedFilename()}`);
    await page.setInputFiles("[data-test=picker-tar]", { name: "bad.tar", mimeType: "application/x-tar", buffer: Buffer.from("no tar") });
    await page.locator("[role=alert]", { hasText: "breaks off" }).waitFor();
    await page.goto(address);
    await page.locator("tr", { hasText: "web" }).filter({ hasText: "running" }).waitFor();
    // The refusal is one, and no other complaint.
    const refusal = complaints.findIndex((one) => one.includes("status of 400") && one.includes("/files/content?") && one.includes("archive=true"));
    expect(refusal >= 0, "the browser tells of the refused archive");
    complaints.splice(refusal, 1);
    done("files of its container: seen, sent, shown, saved; what is no archive is refused");
  },
  async function events() {
    const address = page.url();
    await page.goto(new URL("/events", address).href);
    await page.waitForSelector("[data-test=live] >> text=live");
    await page.locator("[data-name='container.started']", { hasText: "web" }).first().waitFor();
    await page.locator("[data-name='deployment_changed']", { hasText: "Running" }).first().waitFor();
    await accessible("events");
    await page.selectOption("[name=kind]", "engine");
    await page.locator("h2", { hasText: "No events" }).waitFor();
    expect(page.url().includes("kind=engine"), "the filter is in the address");
    await page.goto(address);
    await page.locator("tr", { hasText: "web" }).filter({ hasText: "running" }).waitFor();
    done("what happened is listed and goes on live; the filter is in the address");
  },
  async function update() {
    await page.locator("a", { hasText: "Edit" }).click();
    await page.waitForSelector(".cm-content");
    await page.waitForFunction(() => document.querySelector(".cm-content")?.textContent?.includes("first"));
    await typeDocument(compose("second"));
    await page.waitForFunction(() => /No problems/.test(document.querySelector("[data-test=check]")?.textContent ?? ""));
    const old = containers()[0];
    await deploy("recreate");
    await page.click("[data-test=deploy]:not([aria-disabled])");
    await ends("the update");
    expect(containers().length === 1 && containers()[0] !== old, "another container in its place");
    done("an update recreates the container");
  },
  async function rollback() {
    const address = page.url();
    await page.getByRole("button", { name: "Roll back to 1" }).click();
    await page.waitForURL((url) => url.href !== address);
    await ends("the rollback");
    await page.locator("a", { hasText: "See logs" }).click();
    await page.locator("[data-test=line]").filter({ hasText: "first" }).first().waitFor();
    expect((await page.locator("[data-test=line]").filter({ hasText: "second" }).count()) === 0, "lines of the first version only");
    done("a rollback brings the first version back");
    await page.locator(".tabs a", { hasText: "Revisions" }).click();
    await page.locator("ol > li").nth(2).waitFor();
    await accessible("revisions");
    await page.goto(`${world.base}/deployments`);
    await page.locator("tbody tr").nth(2).waitFor();
    await accessible("deployments");
  },
  async function remove() {
    await page.goto(`${world.base}/stacks`);
    await page.locator("td a", { hasText: STACK }).first().waitFor();
    await accessible("stacks");
    await page.locator("td a", { hasText: STACK }).first().click();
    await page.getByRole("button", { name: "Remove from hosts" }).click();
    await page.check("[role=dialog] input[type=checkbox]");
    await accessible("remove");
    await page.locator("[role=dialog]").getByRole("button", { name: "Remove from hosts" }).click();
    await ends("the removal");
    const filter = `label=com.docker.compose.project=${STACK}`;
    expect(docker("ps", "-aq", "--filter", filter) === "", "no container");
    expect(docker("network", "ls", "-q", "--filter", filter) === "", "no network");
    expect(docker("volume", "ls", "-q", "--filter", filter) === "", "no volume");
    done("the stack is removed with its volume");
    await page.locator("a", { hasText: "Open stack" }).click();
    await button("Delete stack").click();
    await page.locator("[role=dialog]").getByRole("button", { name: "Delete stack" }).click();
    await page.waitForURL("**/stacks");
    done("the stack is deleted");
  },
  async function hostGoes() {
    await page.goto(`${world.base}/hosts`);
    await page.locator(".host", { hasText: "Connected" }).waitFor();
    await world.stop(HOST);
    await page.locator(".host", { hasText: "Offline" }).waitFor();
    done("an agent that stops is seen to be offline, without reloading");
    await world.run(HOST);
    await page.locator(".host", { hasText: "Connected" }).waitFor();
    done("and seen again when it is back");
  },
  async function french() {
    await button("EN: Language").click();
    await page.locator("h1", { hasText: "Hôtes" }).waitFor();
    await button("FR: Langue").click();
    await page.locator("h1", { hasText: "Hosts" }).waitFor();
    done("the language changes on the spot");
    await button("Sign out").click();
    await page.waitForURL("**/login");
    await accessible("login");
    await page.fill("[name=username]", "admin");
    await page.fill("[name=password]", PASSWORD);
    await page.click("button[type=submit]");
    await page.waitForURL("**/hosts");
    done("signed out, and in again");
  },
  async function complain() {
    expect(barriers.length === 0, `no serious barrier on ${looked} pages, got\n${barriers.join("\n")}`);
    done(`${looked} pages without a serious or critical accessibility violation`);
    expect(complaints.length === 0, `no complaint from the browser, got\n${complaints.join("\n")}`);
    done("0 policy violations, 0 console errors");
  },
];

try {
  for (const chapter of chapters) await chapter();
} catch (error) {
  mkdirSync(pictures, { recursive: true });
  await page.screenshot({ path: `${pictures}failed.png` }).catch(() => undefined);
  process.stderr.write(`${error instanceof Error ? error.stack : error}\nat ${page.url()}, picture: ${pictures}failed.png\n${[...complaints, ...barriers].join("\n")}\n${world.logs()}\n`);
  process.exitCode = 1;
} finally {
  await browser.close();
  await world.close();
}

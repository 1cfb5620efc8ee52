// @ts-check
/** Pictures of every page against the mock: light, dark and phone width, into docs/screenshots. Needs `npm run build` first. */
import { spawn } from "node:child_process";
import { mkdirSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { launch, watch } from "./browser.mjs";

const out = fileURLToPath(new URL("../../docs/screenshots/", import.meta.url));
mkdirSync(out, { recursive: true });
const main = fileURLToPath(new URL("../mock/main.mjs", import.meta.url));
/** @param {number} port @param {string[]} args */
async function mock(port, ...args) {
  const child = spawn(process.execPath, [main, ...args], { env: { ...process.env, PORT: String(port), MOCK_ENROL_MS: "3000" }, stdio: ["ignore", "pipe", "inherit"] });
  await new Promise((done) => child.stdout.once("data", done));
  return child;
}
const servers = [await mock(8471, "--signed-in"), await mock(8472, "--fresh")];
const browser = await launch();
const base = "http://127.0.0.1:8471";
/** @type {string[]} */ const complaints = [];
const only = process.argv[2];
try {
  for (const [look, scheme, width, height] of /** @type {const} */ ([["light", "light", 1280, 840], ["dark", "dark", 1280, 840], ["phone", "light", 390, 844], ["phone-dark", "dark", 390, 844]])) {
    if (only && only !== look) continue;
    const context = await browser.newContext({ viewport: { width, height }, colorScheme: scheme, deviceScaleFactor: width < 500 ? 2 : 1, reducedMotion: "reduce", locale: "en" });
    const page = await context.newPage();
    const said = await watch(page);
    const shot = async (/** @type {string} */ name) => {
      await page.waitForTimeout(250);
      const over = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
      if (over > 0) said.push(`${name} ${look}: ${over} px wider than the screen`);
      await page.screenshot({ path: `${out}${name}-${look}.png` });
    };
    const json = async (/** @type {string} */ path) => (await page.request.get(`${base}/api/v1/${path}`)).json();
    const stacks = (await json("stacks")).items, agents = (await json("agents")).items, deployments = (await json("deployments")).items;
    const photos = stacks.find((/** @type {any} */ one) => one.name === "photos");
    const go = async (/** @type {string} */ path, /** @type {string} */ seen) => { await page.goto(base + path); await page.waitForSelector(seen); };
    await page.goto("http://127.0.0.1:8472/"); await page.waitForSelector("form"); await shot("setup");
    await go("/hosts", ".host"); await shot("hosts");
    await go(`/hosts/${agents[0].id}`, ".table"); await shot("host");
    await go("/stacks", ".table"); await shot("stacks");
    await go(`/stacks/${photos.id}/edit`, ".cm-content"); await page.locator(".cm-line", { hasText: "image: mariadb" }).click(); await page.keyboard.press("Home"); await page.keyboard.press("End"); await page.keyboard.press("Enter"); await page.keyboard.type("imagee: typo"); await page.waitForSelector("[data-test=problems]"); await shot("editor");
    await go(`/stacks/${photos.id}/deploy`, "[data-test=plan]"); await shot("plan");
    await page.click("[data-test=deploy]"); await page.waitForSelector("[data-test=steps]"); await page.waitForSelector("[role=progressbar] >> nth=1"); await shot("deployment"); await page.waitForSelector("[data-state=succeeded]"); await shot("deployment-done");
    const rolled = deployments.find((/** @type {any} */ one) => one.state.phase === "rolled_back"), unknown = deployments.find((/** @type {any} */ one) => one.view.view === "unknown");
    await go(`/deployments/${rolled.id}`, "[role=alert]"); await shot("deployment-rolled-back");
    await go(`/deployments/${unknown.id}`, "[data-test=state]"); await shot("deployment-unknown");
    await go("/deployments", ".table"); await shot("deployments");
    await go(`/stacks/${photos.id}`, ".table"); await shot("stack");
    await go(`/stacks/${photos.id}/revisions`, "ol li"); await shot("revisions");
    await go(`/stacks/${photos.id}/logs`, "[data-test=line]"); await shot("logs");
    await go("/hosts/add", "[data-test=installer]"); await shot("host-add"); await page.waitForSelector("[data-test=host-connected]"); await shot("host-added");
    complaints.push(...said);
    await context.close();
  }
} finally {
  await browser.close();
  for (const server of servers) server.kill();
}
if (complaints.length) {
  process.stderr.write(`${complaints.join("\n")}\n`);
  process.exitCode = 1;
}

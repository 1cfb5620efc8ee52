// @ts-check
/**
 * Pictures of every page against the real programs, into docs/screenshots: each in the looks that show something new.
 *
 *   node e2e/screenshots.mjs [NAME…]   only pictures whose name begins so
 */
import { mkdirSync, rmSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { launch, watch } from "./browser.mjs";
import { until, World } from "./world.mjs";

const out = fileURLToPath(new URL("../../docs/screenshots/", import.meta.url));
const only = process.argv.slice(2);
const PASSWORD = "a long picture password";
/** @typedef {"light" | "dark" | "phone" | "phone-dark"} Look */
const LOOKS = /** @type {const} */ ([["light", "light", 1280, 800], ["dark", "dark", 1280, 800], ["phone", "light", 390, 844], ["phone-dark", "dark", 390, 844]]);

const SHOP = `services:
  web:
    image: windflow-test/busybox:1
    command: ["sh", "-c", "trap exit TERM; echo 'listening on :8080'; while true; do echo \\"GET /cart 200 \${RANDOM} us\\"; sleep 0.4; done"]
    ports:
      - "127.0.0.1::8080"
    depends_on:
      - db
    restart: unless-stopped
  worker:
    image: windflow-test/busybox:1
    command: ["sh", "-c", "trap exit TERM; n=0; while true; do n=$$((n+1)); printf '\\\\033[36mjob\\\\033[0m %s \\\\033[32mdone\\\\033[0m\\\\n' $$n; sleep 0.9; done"]
    depends_on:
      - db
  db:
    image: windflow-test/busybox:1
    command: ["sh", "-c", "trap exit TERM; echo 'ready to accept connections'; while true; do sleep 1; echo 'checkpoint complete: wrote 41 buffers'; done"]
    volumes:
      - data:/var/lib/data
    healthcheck:
      test: ["CMD", "true"]
      interval: 1s
volumes:
  data: {}
`.replaceAll("${RANDOM}", () => "$$RANDOM");
const PHOTOS = `services:
  app:
    image: ghcr.io/example/photos:2.4
    ports:
      - "2283:2283"
    depends_on:
      - database
      - cache
  database:
    image: postgres:17
    volumes:
      - data:/var/lib/postgresql/data
  cache:
    image: valkey/valkey:8
volumes:
  data: {}
`;
const SLOW = `services:
  transcoder:
    image: fake/slow:3
    depends_on:
      - indexer
  indexer:
    image: fake/slow:3
    depends_on:
      - store
  store:
    image: fake/slow:4
  api:
    image: ghcr.io/example/media:5
    depends_on:
      - transcoder
`;

const world = await World.start();
const browser = await launch(world);
/** @type {string[]} */ const complaints = [];
/** @type {{ look: Look, page: import("playwright-core").Page, context: import("playwright-core").BrowserContext }[]} */ const views = [];
const wanted = (/** @type {string} */ name) => only.length === 0 || only.some((one) => name.startsWith(one));

/** @param {import("playwright-core").Page} page @param {string} name @param {string} look */
async function picture(page, name, look) {
  await page.evaluate(() => document.fonts.ready);
  await page.waitForTimeout(150);
  const over = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
  if (over > 0) complaints.push(`${name} ${look}: ${over} px wider than the screen`);
  await page.screenshot({ path: `${out}${name}-${look}.png` });
}
/** One page in some looks. @param {string} name @param {readonly Look[]} looks @param {string} path @param {string} seen @param {(page: import("playwright-core").Page) => Promise<unknown>} [act] */
async function shot(name, looks, path, seen, act) {
  if (!wanted(name)) return;
  for (const { look, page } of views.filter((one) => looks.includes(one.look))) {
    await page.goto(world.base + path);
    await page.waitForSelector(seen);
    await act?.(page);
    await picture(page, name, look);
  }
  process.stdout.write(`${name}\n`);
}
try {
  if (only.length === 0) rmSync(out, { recursive: true, force: true });
  mkdirSync(out, { recursive: true });
  for (const [look, colorScheme, width, height] of LOOKS) {
    const context = await browser.newContext({ ignoreHTTPSErrors: true, viewport: { width, height }, colorScheme, deviceScaleFactor: width < 500 ? 2 : 1, reducedMotion: "reduce", locale: "en" });
    const page = await context.newPage();
    page.setDefaultTimeout(60_000);
    const said = await watch(page);
    views.push({ look, page, context });
    page.on("close", () => complaints.push(...said));
  }
  await shot("setup", ["light", "phone-dark"], "/setup", "[name=code]");
  const first = views[0];
  if (!first) throw new Error("no view");
  const call = async (/** @type {"get" | "post" | "put"} */ method, /** @type {string} */ path, /** @type {unknown} */ data, /** @type {Record<string, string>} */ headers = {}) => {
    const answer = await first.page.request[method](`${world.base}/api/v1/${path}`, { data, headers });
    if (!answer.ok()) throw new Error(`${method} ${path}: ${answer.status()} ${await answer.text()}`);
    return await answer.json();
  };
  const remove = async (/** @type {string} */ path) => {
    const answer = await first.page.request.delete(`${world.base}/api/v1/${path}`);
    if (!answer.ok()) throw new Error(`delete ${path}: ${answer.status()} ${await answer.text()}`);
  };
  await call("post", "setup", { code: world.code, username: "admin", password: PASSWORD });
  const cookies = await first.context.cookies();
  for (const { context } of views) {
    await context.addCookies(cookies);
    await context.addInitScript(() => localStorage.setItem("wf-session", "1"));
  }
  await shot("hosts-empty", ["light"], "/hosts", ".empty");
  await shot("host-add", ["light", "phone"], "/hosts/add", "[data-test=installer]");
  // Those that the dialogue has just made are nobody's.
  for (const token of (await call("get", "enrolment-tokens", undefined)).items) await remove(`enrolment-tokens/${token.id}`);
  for (const [name, target] of /** @type {const} */ ([["workshop", "docker"], ["attic", "docker"], ["nas", "fake"], ["studio", "fake"], ["garden", "fake"], ["cabin", "fake"]])) {
    await world.host(name, (await call("post", "enrolment-tokens", { note: name })).secret, target);
    await until(`${name} is connected`, async () => (await call("get", "agents", undefined)).items.some((/** @type {any} */ one) => one.name === name && one.presence.presence === "connected"));
  }
  await call("post", "enrolment-tokens", { note: "office" });
  /** @type {{ id: string, name: string }[]} */ const agents = (await call("get", "agents", undefined)).items;
  const id = (/** @type {string} */ name) => agents.find((one) => one.name === name)?.id ?? "";
  const make = async (/** @type {string} */ name, /** @type {string} */ content) => (await call("post", "stacks", { name, spec: { files: [{ path: "compose.yaml", content }] } })).id;
  const deploy = async (/** @type {string} */ stack, /** @type {string[]} */ ...hosts) => (await call("post", `stacks/${stack}/deployments`, { agents: hosts.map(id) })).items.map((/** @type {any} */ one) => one.id);
  const ended = (/** @type {string} */ deployment) => until(`${deployment} has ended`, async () => ["succeeded", "failed", "rolled_back", "rejected"].includes((await call("get", `deployments/${deployment}`, undefined)).state.phase), 90_000);
  world.projects.add("shop");
  const shop = await make("shop", SHOP);
  const planned = async (/** @type {import("playwright-core").Page} */ page) => {
    await page.locator("label", { hasText: "workshop" }).locator("input").check();
    await page.waitForSelector("[data-test=plan] li");
  };
  await shot("plan", ["light", "phone"], `/stacks/${shop}/deploy`, "fieldset", planned);
  const [running] = await deploy(shop, "workshop");
  await shot("deployment-live", ["light", "phone-dark"], `/deployments/${running}`, "[data-test=steps] li");
  await ended(running);
  await ended((await deploy(shop, "workshop"))[0]);
  const photos = await make("photos", PHOTOS);
  for (const one of await deploy(photos, "nas", "garden")) await ended(one);
  const broken = await make("wiki", "services:\n  wiki:\n    image: fake/unpullable:7\n");
  const [failed, other] = await deploy(broken, "nas", "cabin");
  await ended(failed);
  await ended(other);
  await world.stop("garden");
  const [queued] = await deploy(photos, "garden");
  const media = await make("media", SLOW);
  await world.stop("cabin");
  await deploy(media, "nas", "studio");
  await shot("deployment", ["dark", "phone"], `/deployments/${running}`, "[data-state=succeeded]");
  await shot("deployment-failed", ["light", "phone"], `/deployments/${failed}`, "[role=alert]");
  await shot("deployment-queued", ["light"], `/deployments/${queued}`, "[data-state=queued]");
  await shot("deployments", ["light", "phone-dark"], "/deployments", "tbody tr");
  await shot("hosts", ["light", "dark", "phone", "phone-dark"], "/hosts", ".host");
  await shot("host", ["light", "phone"], `/hosts/${id("workshop")}`, ".table");
  await shot("terminal", ["light", "dark", "phone"], `/hosts/${id("workshop")}/terminal?container=shop-web-1`, "[data-test=terminal-state] >> text=live", async (page) => {
    await page.keyboard.type("ls -l / | head -n 8; ps\n");
    await page.locator(".xterm-rows", { hasText: "PID" }).waitFor();
  });
  await shot("files", ["light", "dark", "phone"], `/hosts/${id("workshop")}/files?container=shop-web-1&path=/etc`, "[data-test=file]");
  await shot("tokens", ["light", "phone"], "/hosts/tokens", "[data-test=token-row]");
  await shot("stacks", ["light", "phone"], "/stacks", "tbody tr");
  await shot("stack", ["dark", "phone"], `/stacks/${shop}`, "tbody tr");
  await shot("revisions", ["light"], `/stacks/${shop}/revisions`, "ol li");
  await shot("policy", ["light", "phone-dark"], `/stacks/${shop}/policy`, "[data-test=policy]");
  // In waves: a canary that is good, and a person who is asked.
  for (const name of ["nas", "studio", "attic"]) {
    const host = agents.find((one) => one.name === name);
    const answer = await first.page.request.patch(`${world.base}/api/v1/agents/${host?.id}`, { data: { labels: { site: "home" } } });
    if (!answer.ok()) throw new Error(`label ${name}: ${answer.status()}`);
  }
  await call("post", "groups", { name: "home", selector: "site=home" });
  await shot("groups", ["light", "phone-dark"], "/hosts/groups", "[data-test=group-row]");
  await shot("group", ["light", "phone"], "/hosts/groups", "[data-test=group-row]", async (page) => {
    await page.click("[data-test=group-change]");
    await page.waitForSelector("[data-test=members] li");
  });
  await shot("waves", ["light", "phone"], `/stacks/${photos}/deploy`, "[data-test=in-waves]", async (page) => {
    await page.locator("[data-test=in-waves]").check();
    await page.locator("[name=selector]").fill("site=home");
    await page.waitForSelector("[data-test=preview] li");
  });
  const waves = await call("post", "rollouts", { stack: photos, targets: { agents: ["nas", "studio", "cabin"].map(id) }, plan: { canary: "1", wave: "1", gate_s: 0, pause: { kind: "manual" } } });
  await until("the canary is good", async () => (await call("get", `rollouts/${waves.id}`, undefined)).state.phase === "paused", 90_000);
  await shot("rollout", ["light", "dark", "phone"], `/rollouts/${waves.id}`, "tbody tr");
  await shot("rollouts", ["light", "phone-dark"], "/rollouts", "tbody tr");
  await shot("stack-waves", ["light", "phone-dark"], `/stacks/${photos}`, "[data-test=stack-rollout]");
  await call("post", `rollouts/${waves.id}/cancel`, {});
  await shot("events", ["light", "dark", "phone"], "/events", "[data-test=event]");
  await shot("alerts", ["light", "dark", "phone"], "/alerts", "[data-test=alert][data-state=firing]");
  await shot("rules", ["light", "phone-dark"], "/alerts/rules", "[data-test=rule]");
  await shot("rule", ["light", "phone"], "/alerts/rules", "[data-test=rule]", async (page) => {
    await page.click("[data-test=rule-new]");
    await page.fill("[name=rule-name]", "Processors busy on web hosts");
    await page.click("[data-test=rule-try]");
    await page.waitForSelector("[data-test=rule-seen]");
  });
  await call("post", "silences", { note: "Backups", schedule: { kind: "weekly", days: ["sunday"], at: "02:30", minutes: 90, zone: "Europe/Paris" } });
  await shot("silences", ["light", "phone-dark"], "/alerts/silences", "[data-test=silence]");
  await shot("audit", ["light", "phone-dark"], "/audit", "[data-test=record]", async (page) => {
    await page.click("[data-test=verify]");
    await page.waitForSelector("[data-problems]");
  });
  await shot("logs", ["dark", "phone"], `/stacks/${shop}/logs`, "[data-test=line]", (page) => page.waitForTimeout(1_500));
  await shot("search", ["light", "dark", "phone", "phone-dark"], "/logs?search=done&since=1h", "[data-test=search-state] >> text=done");
  await shot("editor", ["light", "phone-dark"], `/stacks/${shop}/edit`, ".cm-content", async (page) => {
    await page.locator(".cm-line", { hasText: "depends_on" }).first().click();
    await page.keyboard.press("Home");
    await page.keyboard.type("portss: [80]");
    await page.keyboard.press("Enter");
    await page.locator(".cm-scroller").evaluate((it) => it.scrollTo({ left: 0 }));
    await page.waitForSelector("[data-test=problems]");
  });
  // What a changed file does to what runs.
  const held = await call("get", `stacks/${shop}`, undefined);
  const content = SHOP.replace("checkpoint complete", "checkpoint done").replace("  worker:", "  worker:\n    environment:\n      QUEUE: mail");
  await call("put", `stacks/${shop}`, { spec: { ...held.spec, files: [{ path: "compose.yaml", content }] } }, { "If-Match": `"${held.version}"` });
  await shot("plan-change", ["light", "dark", "phone"], `/stacks/${shop}/deploy`, "fieldset", planned);
  await shot("remove", ["light", "phone"], `/stacks/${shop}`, "tbody tr", (page) => page.getByRole("button", { name: "Remove from hosts" }).click());
  await shot("hosts-fr", ["phone"], "/hosts", ".host", async (page) => {
    await page.getByRole("button", { name: "EN: Language" }).click();
    await page.locator("h1", { hasText: "Hôtes" }).waitFor();
  });
  await shot("search-fr", ["phone"], "/logs?search=done&since=1h", "[data-test=search-state] >> text=terminé");
  await shot("plan-fr", ["phone"], `/stacks/${shop}/deploy`, "fieldset", planned);
  await shot("policy-fr", ["phone"], `/stacks/${shop}/policy`, "[data-test=policy]");
} catch (error) {
  process.stderr.write(`${error instanceof Error ? error.stack : error}\n${world.logs()}\n`);
  process.exitCode = 1;
} finally {
  for (const { page } of views) await page.close();
  await browser.close();
  await world.close();
}
if (complaints.length) {
  process.stderr.write(`${complaints.join("\n")}\n`);
  process.exitCode = 1;
}

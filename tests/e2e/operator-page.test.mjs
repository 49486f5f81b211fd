// The operator's page in a real browser, served by the artefact: why events are missing, and what he can do about it.

import assert from "node:assert/strict";
import { mkdirSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { after, afterEach, before, describe, it } from "node:test";
import { startChromium } from "./lib/chromium.mjs";
import { batch, track } from "./lib/events.mjs";
import { succeeded } from "./lib/expect.mjs";
import { startLibrato } from "./lib/librato.mjs";
import { operatorToken } from "./lib/platform.mjs";
import { projectPath } from "./lib/project.mjs";
import { waitFor } from "./lib/wait.mjs";
import { startWorker, withWorker, writeKey } from "./lib/worker.mjs";

const AXE = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const VIEWS = ["overview", "metrics", "live", "set-aside", "try-it"];
/** What is flushed every five seconds is asked for as often. */
const WITHIN = 30_000;

let browser;
let librato;
let worker;
/** The pages of a test. Each is without complaints at its end: no error, no violation of its policy, no other host. */
const pages = [];

before(async () => {
  librato = await startLibrato();
  const settings = { OPERATOR_TOKEN: operatorToken, ALLOWED_EVENTS: "Order-*,Signed-Up,logins" };
  worker = await startWorker({ librato: librato.url, queues: true, settings });
  browser = await startChromium();
});
after(async () => {
  await browser?.close();
  await worker?.stop();
  await librato?.stop();
});
afterEach(async () => {
  const all = pages.splice(0);
  for (const { page } of all) await page.context().close();
  assert.deepEqual(
    all.flatMap(({ complaints }) => complaints),
    [],
  );
});

/** Opens the page of a Worker. */
async function visit({ url }, { width = 1280, height = 860, colorScheme = "light" } = {}) {
  const context = await browser.newContext({ viewport: { width, height }, colorScheme });
  const page = await context.newPage();
  page.setDefaultTimeout(WITHIN);
  const complaints = [];
  pages.push({ page, complaints });
  await page.exposeFunction("violated", (text) => complaints.push(text));
  await page.addInitScript(() => {
    addEventListener("securitypolicyviolation", ({ violatedDirective, blockedURI, sourceFile, lineNumber }) => {
      globalThis.violated(`${violatedDirective}: ${blockedURI} ${sourceFile}:${lineNumber}`);
    });
  });
  page.on("request", (request) => {
    if (!request.url().startsWith(url)) complaints.push(`asked ${request.url()}`);
  });
  page.on("pageerror", (error) => complaints.push(String(error)));
  page.on("console", (message) => {
    // The browser's own word on a status, which the page takes as an answer.
    const isStatus = /the server responded with a status of (401|503)/.test(message.text());
    if (message.type() === "error" && !isStatus) complaints.push(message.text());
  });
  await page.goto(`${url}/operator`);
  return page;
}

/** Opens it, and signs in. */
async function open(of, options) {
  const page = await visit(of, options);
  await signIn(page);
  await page.locator("#findings .finding").first().waitFor();
  return page;
}

/** Runs with the page of a Worker of its own, both of which end afterwards: the page first, or it would ask in vain. */
async function withOwn(settings, of, use) {
  const options = { librato: of.url, queues: true, settings: { OPERATOR_TOKEN: operatorToken, ...settings } };
  await withWorker(options, async (own) => {
    let page;
    try {
      await use(own, async () => {
        page = await open(own);
        return page;
      });
    } finally {
      await page?.context().close();
    }
  });
}

async function signIn(page, token = operatorToken) {
  await page.locator("#token").fill(token);
  await page.locator("#token").press("Enter");
}

const view = (page, name) => page.locator(`#views a[href="#${name}"]`).click();

/** Waits until the page says this, and returns it in full: of all but the worst, more is to be had by a click. */
async function finding(page, id) {
  const found = page.locator(`[data-finding="${id}"]`);
  await found.waitFor();
  const closed = found.locator("details:not([open]) summary");
  if ((await closed.count()) > 0) await closed.click();
  return found;
}

/** Keeps what the page looks like, for whoever wants to see it. */
async function keep(page, name) {
  mkdirSync(projectPath("test-results"), { recursive: true });
  await page.screenshot({ path: projectPath(`test-results/operator-${name}.png`), fullPage: true });
}

const send = (events, to = worker) => to.post("/v1/batch", batch(events, { sentAt: undefined }));
const events = (count, name, more) => Array.from({ length: count }, () => track(name, more));

/** The figures of the way of events, without the separators of thousands. */
async function way(page) {
  const entries = await page
    .locator("#way li")
    .evaluateAll((stages) => stages.map((stage) => [stage.dataset.stage, stage.querySelector("b").title]));
  return Object.fromEntries(entries.map(([stage, text]) => [stage, Number(text.replaceAll(",", ""))]));
}

describe("the token", () => {
  it("a wrong one is said to be wrong, and the right one opens the page for as long as the tab lives", async () => {
    const page = await visit(worker);
    await signIn(page, "wrong");
    await page.getByText("This is not the token of this Worker").waitFor();
    assert.equal(await page.locator("#console").isVisible(), false);
    await keep(page, "wrong-token");

    await signIn(page);
    await page.locator("#overview").waitFor();
    await page.reload();
    await page.locator("#overview").waitFor();
    assert.equal(await page.evaluate(() => document.cookie + localStorage.length), "0");

    await page.locator("#sign-out").click();
    await page.locator("#sign-in").waitFor();
    await page.reload();
    await page.locator("#sign-in").waitFor();
  });

  it("the page comes with a strict policy, and holds nothing", async () => {
    const response = await fetch(`${worker.url}/operator`);
    const policy = response.headers.get("content-security-policy");
    const directives = Object.fromEntries(policy.split(";").map((part) => part.trim().split(/ (.*)/)));
    assert.deepEqual(
      { ...directives, "style-src": undefined },
      {
        "default-src": "'none'",
        "script-src": "'self'",
        "style-src": undefined,
        "img-src": "'self' data:",
        "connect-src": "'self'",
        "base-uri": "'none'",
        "form-action": "'none'",
        "frame-ancestors": "'none'",
      },
    );
    assert.equal(directives["style-src"], "'self'");
    assert.doesNotMatch(await response.text(), /<script>|<style|style=| on\w+=/);
  });
});

describe("why events are missing: each within a glance", () => {
  it("nothing has arrived: it says so, and that nothing is wrong", async () => {
    const page = await open(worker);
    await finding(page, "idle");
    await keep(page, "idle");
  });

  it("refused by ALLOWED_EVENTS: the setting and the names", async () => {
    await send([...events(5, "Order Completed"), ...events(12, "Promo Clicked")]);
    const page = await open(worker);
    const found = await finding(page, "refused-event_not_allowed");
    assert.match(await found.innerText(), /12 events .*refused: ALLOWED_EVENTS does not list their names/);
    await found.getByText("Promo Clicked").waitFor();
    await keep(page, "allowed-events");

    await found.getByRole("link").click();
    await page.locator('#live-list [data-code="event_not_allowed"]').first().waitFor();
    assert.equal(await page.locator("#live-list li:visible").count(), 12);
  });

  it("clock skew: how far off the time is", async () => {
    const tomorrow = new Date(Date.now() + 86_400_000).toISOString();
    await send(events(20, "Order Completed", { timestamp: tomorrow }));
    const page = await open(worker);
    const found = await finding(page, "refused-timestamp_out_of_range");
    assert.match(await found.innerText(), /20 events .*refused: their time is too old or in the future/);
    await found.getByText(/found one 86[34]\d\d s after/).waitFor();
    await found.getByText('LATE_EVENTS = "now"').waitFor();
    await keep(page, "clock-skew");
  });

  it("switched off by integrations: accepted, and not measured", async () => {
    await send(events(30, "Order Completed", { integrations: { Librato: false } }));
    const page = await open(worker);
    const found = await finding(page, "not-measured-switched_off");
    assert.match(await found.innerText(), /30 events .*not measured: they are switched off by their own integrations/);
    await keep(page, "switched-off");
  });

  it("wrong credentials: the destination's own words, and that nothing is lost", async () => {
    await withOwn({ LIBRATO_TOKEN: "not-the-right-one" }, librato, async (own, look) => {
      succeeded(await send(events(40, "Order Completed"), own));
      const page = await look();
      const found = await finding(page, "credentials");
      assert.match(await found.innerText(), /Librato does not take the credentials: nothing is delivered/);
      assert.equal(await found.evaluate((item) => item === item.parentElement.firstElementChild), true);
      await found.getByText("npx wrangler secret put LIBRATO_TOKEN").waitFor();
      await found.getByText(/40 events wait.*Nothing is lost/).waitFor();
      await keep(page, "wrong-credentials");
    });
  });

  it("Librato is down: how many wait and since when, and that nothing is lost", async () => {
    const down = await startLibrato();
    try {
      await withOwn({}, down, async (own, look) => {
        await down.fault({ answer: "503", times: 0 });
        succeeded(await send(events(50, "Order Completed"), own));
        const page = await look();
        const found = await finding(page, "down");
        assert.match(await found.innerText(), /Librato is down: it answers 503: nothing is delivered/);
        await found.getByText(/50 events wait.*Nothing is lost/).waitFor();
        await keep(page, "down");
      });
    } finally {
      await down.stop();
    }
  });

  it("poison: set aside in Librato's words, mended there, and replayed by clicks", async () => {
    // What the destination takes for a counter cannot be sent as a gauge.
    await librato.api("/v1/metrics", { method: "POST", body: { counters: [{ name: "logins", value: 1 }] } });
    const seconds = Array.from({ length: 7 }, (_, second) => new Date(Date.now() - second * 1000).toISOString());
    succeeded(await send(seconds.map((timestamp) => track("logins", { timestamp }))));
    const page = await open(worker);
    const found = await finding(page, "set-aside-refused_by_librato");
    assert.match(await found.innerText(), /7 measurements were set aside: the destination refused them for good/);
    await found.getByText("is a counter, but was submitted as different type").waitFor();
    await keep(page, "poison");

    await found.getByRole("link").click();
    const group = page.locator('#groups [data-reason="refused_by_librato"]');
    await group.getByText("is a counter, but was submitted as different type").waitFor();
    await page.locator("#letters > li").first().waitFor();
    await page.locator("#letters summary").first().click();
    await keep(page, "set-aside");

    // One of them is deleted.
    await page.locator("#letters > li input").nth(1).check();
    await page.getByText("1 selected").waitFor();
    await page.locator("#delete-selected").click();
    await page.locator("#work-go").click();
    await page.locator("#work-status", { hasText: "1 deleted." }).waitFor();
    await page.locator("#work-go", { hasText: "Close" }).click();
    await page.locator("#tally-set-aside", { hasText: /^6$/ }).waitFor();

    // A search that finds nothing, and one that does.
    await page.locator("#letters-search").fill("no such thing");
    await page.locator("#letters-empty").waitFor();
    await page.locator("#letters-search").fill("LOGINS");
    await waitFor("six letters", async () => (await page.locator("#letters > li").count()) === 6);

    await librato.reset();
    await group.getByRole("button", { name: "Replay all" }).click();
    await page.getByText("What can count twice").waitFor();
    await keep(page, "replay");
    await page.locator("#work-go").click();
    await page.locator("#work-status", { hasText: "6 sent again." }).waitFor();
    await page.locator("#work-go", { hasText: "Close" }).click();
    await page.getByText("Nothing is set aside.").waitFor();
    assert.equal((await librato.counted("logins", 6, { within: WITHIN })).count, 6);
  });
});

describe("the views", () => {
  it("all is well: the figures, the metrics with their line for ALLOWED_EVENTS, and the health", async () => {
    await withOwn({}, librato, async (own, look) => {
      await librato.reset();
      succeeded(await send([...events(1200, "Order Completed"), ...events(34, "Signed Up")], own));
      const page = await look();
      await finding(page, "well");
      await waitFor("all of them delivered", async () => (await way(page)).Delivered === 1234, { within: WITHIN });
      assert.deepEqual(await way(page), { Arrived: 1234, Accepted: 1234, "To be measured": 1234, Delivered: 1234 });
      const chart = page.locator("#chart-leaving");
      assert.match(await chart.getAttribute("aria-label"), /^1,234 delivered, in the last hour$/);
      assert.ok((await colouredPixels(chart)) > 50);
      await page.locator("#health", { hasText: "It takes the credentials." }).waitFor();
      await keep(page, "well");

      await page.getByText("Last 30 days").click();
      await page.locator('#chart-arriving[aria-label$="in the last 30 days"]').waitFor();
      assert.equal((await way(page)).Arrived, 1234);

      await view(page, "metrics");
      const row = page.locator('#metrics-list [data-metric="Order-Completed"]');
      await row.getByText("1,200").first().waitFor();
      await row.getByText("new today").waitFor();
      await page.locator("#allowed", { hasText: "ALLOWED_EVENTS" }).waitFor();
      assert.match(await page.locator("#allowed code").innerText(), /Order-Completed.*Signed-Up/);
      await page.locator("#metrics-filter").fill("signed");
      assert.equal(await page.locator("#metrics-list li").count(), 1);
    });
  });

  it("live: filtered by text and outcome, and paused", async () => {
    const page = await open(worker);
    await view(page, "live");
    await send([track("Order Completed", { properties: { value: 7 } }), track("Signed Up"), track("Nobody Knows")]);
    await page.locator("#live-list li", { hasText: "Nobody-Knows" }).waitFor();
    await page.locator("#live-filter").fill("nobody");
    assert.equal(await page.locator("#live-list li:visible").count(), 1);
    await page.locator("#live-filter").fill("");
    await page.getByText("Measured", { exact: true }).click();
    const row = page.locator("#live-list li:visible", { hasText: "Signed-Up" }).first();
    assert.match(await row.innerText(), new RegExp(`${writeKey.slice(-4)}$`));
    assert.equal(await page.locator('#live-list li:visible:not([data-outcome="measured"])').count(), 0);
    await keep(page, "live");

    await page.locator("#live-pause").click();
    const shown = await page.locator("#live-list li").count();
    await send([track("Order Paused")]);
    await page.getByRole("button", { name: "Go on (1 new)" }).waitFor();
    assert.equal(await page.locator("#live-list li").count(), shown);
    await page.locator("#live-pause").click();
    await page.locator("#live-list li", { hasText: "Order-Paused" }).waitFor();
  });

  it("try it: the real analytics.js, the Worker's answer, and the event among the live ones", async () => {
    const page = await open(worker);
    await view(page, "try-it");
    await page.locator("#write-key").fill(writeKey);
    await page.locator("#key-button").click();
    await page.locator("#pg-track:enabled").waitFor();
    await page.locator("#pg-event").fill("Order Tried");
    await page.locator("#pg-track").click();
    await page.locator('#pg-log [data-status="200"]').waitFor();
    await page.locator("#live-list li", { hasText: "Order-Tried" }).waitFor();
    await keep(page, "try-it");
  });

  it("asks nothing while its tab is hidden", async () => {
    const page = await visit(worker);
    await page.clock.install();
    await signIn(page);
    await page.locator("#findings .finding").first().waitFor();
    const asked = [];
    page.on("request", (request) => asked.push(request.url()));
    const isHidden = (hidden) =>
      page.evaluate((value) => {
        Object.defineProperty(document, "hidden", { value, configurable: true });
        document.dispatchEvent(new Event("visibilitychange"));
      }, hidden);
    await isHidden(true);
    await page.waitForLoadState("networkidle");
    asked.length = 0;
    await page.clock.runFor(120_000);
    assert.deepEqual(asked, []);
    await isHidden(false);
    await waitFor("a question", () => asked.length > 0);
  });
});

describe("for everybody", () => {
  for (const colorScheme of ["light", "dark"]) {
    it(`axe finds nothing serious in any view, ${colorScheme}`, async () => {
      const page = await visit(worker, { colorScheme });
      await audit(page, "sign-in");
      await signIn(page);
      await page.locator("#findings .finding").first().waitFor();
      for (const name of VIEWS) {
        await view(page, name);
        await page.locator(`#${name}`).waitFor();
        await audit(page, name);
        await keep(page, `${name}-${colorScheme}`);
      }
    });
  }

  it("a phone's width: nothing scrolls sideways", async () => {
    const page = await open(worker, { width: 360, height: 740 });
    for (const name of VIEWS) {
      await view(page, name);
      await page.locator(`#${name}`).waitFor();
      assert.equal(await page.evaluate(() => document.documentElement.scrollWidth), 360, name);
      await keep(page, `${name}-phone`);
    }
  });

  it("the keyboard is enough", async () => {
    const page = await open(worker);
    await page.locator("#overview:focus").waitFor();
    const isThere = () => page.evaluate(() => document.activeElement.hash === "#live");
    for (let presses = 0; presses < 30 && !(await isThere()); presses += 1) await page.keyboard.press("Shift+Tab");
    await page.keyboard.press("Enter");
    await page.locator("#live:focus").waitFor();
    assert.equal(await page.locator('#views [aria-current="page"]').innerText(), "Live");
  });
});

async function audit(page, where) {
  await page.evaluate(AXE);
  // What fades in has no contrast yet.
  await page.evaluate(() => Promise.allSettled(document.getAnimations().map(({ finished }) => finished)));
  const { violations } = await page.evaluate(() => globalThis.axe.run());
  const grave = violations.filter(({ impact }) => impact === "serious" || impact === "critical");
  assert.deepEqual(
    grave.map(({ id, nodes }) => `${where}: ${id}: ${nodes[0].html}`),
    [],
  );
}

/** How many pixels of a chart have a colour: axes and texts are grey. */
function colouredPixels(chart) {
  return chart.evaluate((root) => {
    const canvas = root.querySelector("canvas");
    const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
    let coloured = 0;
    for (let at = 0; at < data.length; at += 4) {
      const [red, green, blue, alpha] = data.slice(at, at + 4);
      if (alpha > 128 && Math.max(red, green, blue) - Math.min(red, green, blue) > 80) coloured += 1;
    }
    return coloured;
  });
}

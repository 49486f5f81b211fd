// The live page in a real browser: a click, the real analytics.js, the Worker, Librato, and the line on the chart.

import assert from "node:assert/strict";
import { mkdirSync } from "node:fs";
import { after, before, beforeEach, describe, it } from "node:test";
import { startChromium } from "./lib/chromium.mjs";
import { startLibrato } from "./lib/librato.mjs";
import { freePort } from "./lib/net.mjs";
import { projectPath } from "./lib/project.mjs";
import { startWorker, writeKey } from "./lib/worker.mjs";

let browser;
let librato;
let worker;
let page;
/** Every request of the page, with its answer's status once it has one. */
let requests;
let complaints;

before(async () => {
  // Each of the two is told the other's address, so one of the addresses must be known beforehand.
  const port = await freePort();
  worker = await startWorker({ librato: `http://localhost:${port}` });
  librato = await startLibrato({ port, worker: worker.url, writeKey });
  browser = await startChromium();
});
after(async () => {
  await browser?.close();
  await librato?.stop();
  await worker?.stop();
});

beforeEach(async () => {
  await librato.reset();
  await page?.close();
  page = await browser.newPage({ viewport: { width: 1280, height: 900 } });
  page.setDefaultTimeout(10_000);
  requests = [];
  complaints = [];
  page.on("request", (request) => requests.push(request));
  page.on("pageerror", (error) => complaints.push(String(error)));
  page.on("console", (message) => {
    if (message.type() === "error") complaints.push(message.text());
  });
  await page.goto(librato.url);
  await page.locator("#pg-track:enabled").waitFor();
});

/** Fills in the fields of the playground and sends. */
async function click(button, fields) {
  for (const [id, text] of Object.entries(fields)) await page.locator(`#pg-${id}`).fill(String(text));
  await page.locator(`#pg-${button}`).click();
}

const track = (fields) => click("track", { event: "", value: "", source: "", ...fields });
const view = (fields) => click("page", { "page-category": "", "page-name": "", value: "", source: "", ...fields });

/** Chooses a metric from the list, and waits until the chart has drawn these sources of it. */
async function drawn(metric, sources) {
  await page.locator(`#metrics [data-metric="${metric}"]`).click();
  const chart = page.locator(`#chart[data-metric="${metric}"][data-sources="${sources.join(",")}"]`);
  await chart.waitFor();
  return Number(await chart.getAttribute("data-points"));
}

/** How many pixels of the chart have a colour: axes and texts are grey. */
function colouredPixels() {
  return page.evaluate(() => {
    const canvas = document.querySelector("#chart canvas");
    const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
    let coloured = 0;
    for (let at = 0; at < data.length; at += 4) {
      const [red, green, blue, alpha] = data.slice(at, at + 4);
      if (alpha > 128 && Math.max(red, green, blue) - Math.min(red, green, blue) > 80) coloured += 1;
    }
    return coloured;
  });
}

/** The calls of analytics.js, without the preflights. */
async function calls() {
  const posts = requests.filter((request) => request.method() === "POST" && request.url().startsWith(worker.url));
  return Promise.all(
    posts.map(async (request) => {
      const response = await request.response();
      return { path: new URL(request.url()).pathname, status: response.status(), body: await response.text() };
    }),
  );
}

describe("the live page, in Chromium", () => {
  it("Page and Track clicked: gauges with the right names, values and sources, drawn on the chart", async () => {
    await track({ event: "Order Completed", value: 2.5, source: "shop 1" });
    await librato.counted("Order-Completed", 1);
    await track({ event: "Order Completed", value: 4, source: "shop 2" });
    await librato.counted("Order-Completed", 2);
    await view({ "page-category": "Docs", "page-name": "Home" });
    await librato.counted("Viewed-Docs-Home-Page", 1);
    await view({ value: 0 });
    await librato.counted("Loaded-a-Page", 1);

    assert.deepEqual(await librato.totals(), {
      "Order-Completed shop-1": { count: 1, sum: 2.5 },
      "Order-Completed shop-2": { count: 1, sum: 4 },
      "Viewed-Docs-Home-Page Viewed-Docs-Home-Page": { count: 1, sum: 1 },
      "Loaded-a-Page Loaded-a-Page": { count: 1, sum: 0 },
    });

    assert.equal(await drawn("Viewed-Docs-Home-Page", ["Viewed-Docs-Home-Page"]), 1);
    assert.equal(await drawn("Order-Completed", ["shop-1", "shop-2"]), 2);
    assert.ok((await colouredPixels()) > 20);
    assert.equal(await page.locator("#requests [data-seq]").count(), 4);

    mkdirSync(projectPath("test-results"), { recursive: true });
    await page.screenshot({ path: projectPath("test-results/live-page.png"), fullPage: true });

    assert.deepEqual(await calls(), [
      ...["/v1/t", "/v1/t", "/v1/p", "/v1/p"].map((path) => ({ path, status: 200, body: '{"success":true}' })),
    ]);
    const hosts = new Set(requests.map((request) => new URL(request.url()).host));
    assert.deepEqual([...hosts].sort(), [new URL(librato.url).host, new URL(worker.url).host].sort());
    assert.deepEqual(complaints, []);
  });

  it("the page says what the Worker refused", async () => {
    await track({ event: "Order Completed", value: "much" });
    const row = page.locator("#pg-log li").first();
    await row.getByText("invalid_value").waitFor();
    assert.match(await row.innerText(), /400/);
    assert.deepEqual((await librato.state()).metrics, []);
  });

  it("Librato is down for a moment: analytics.js sends the event again, and it counts once", async () => {
    // Two tries of the Worker fail, so the library hears of it.
    await librato.fault({ answer: "503", times: 2 });
    await track({ event: "Patience" });
    const { count, sum } = await librato.counted("Patience", 1, { within: 20_000 });
    assert.deepEqual({ count, sum }, { count: 1, sum: 1 });
    assert.deepEqual(
      (await calls()).map(({ path, status }) => `${path} ${status}`),
      ["/v1/t 503", "/v1/t 200"],
    );
  });

  it("a page that was open before the first event shows what arrives", async () => {
    for (const source of ["a", "b", "c"]) {
      await worker.post("/v1/t", { event: "From Elsewhere", anonymousId: "x", context: { source } });
    }
    assert.equal(await drawn("From-Elsewhere", ["a", "b", "c"]), 3);
    assert.deepEqual(complaints, []);
  });
});

// What libraries load before they send: their settings, and analytics.js itself. Then a page that knows no other host.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { after, before, beforeEach, describe, it } from "node:test";
import { startChromium } from "./lib/chromium.mjs";
import { startDev } from "./lib/dev.mjs";
import { track, userId } from "./lib/events.mjs";
import { refused } from "./lib/expect.mjs";
import { startLibrato } from "./lib/librato.mjs";
import { base64url, get, getAs } from "./lib/plain.mjs";
import { projectPath } from "./lib/project.mjs";
import { startSite } from "./lib/site.mjs";
import { waitFor } from "./lib/wait.mjs";
import { startWorker, withWorker, writeKey } from "./lib/worker.mjs";

const PREFIX = "/in/here";

let librato;
let worker;
/** The same behind TLS, with a second prefix. */
let secure;

before(async () => {
  librato = await startLibrato();
  worker = await startWorker({ librato: librato.url });
  secure = await startDev({
    librato: librato.url,
    settings: { PATH_PREFIX: PREFIX },
    config: { dev: { local_protocol: "https" } },
  });
});
beforeEach(() => librato.reset());
after(async () => {
  await librato?.stop();
  await worker?.stop();
  await secure?.stop();
});

/** The whole document, to the byte. */
const document = (apiHost, protocol = "http", key = writeKey) =>
  `{"integrations":{"Segment.io":{"apiKey":"${key}","apiHost":"${apiHost}","protocol":"${protocol}"}},` +
  '"metrics":{"sampleRate":0}}';

describe("GET /v1/projects/{writeKey}/settings", () => {
  it("byte for byte, on every spelling of its path", async () => {
    const { host } = new URL(worker.url);
    for (const path of ["/v1/projects/KEY/settings", "/projects/KEY/settings", "/v1/projects/KEY/settings/?a=b"]) {
      const answer = await get(worker, path.replace("KEY", writeKey), { origin: "https://shop.example" });
      assert.equal(answer.status, 200);
      assert.match(answer.headers.get("content-type"), /^application\/json\b/);
      assert.equal(answer.text, document(`${host}/v1`));
    }
  });

  describe("each trap of these settings", () => {
    let settings;
    let segment;
    before(async () => {
      settings = (await get(worker, `/v1/projects/${writeKey}/settings`)).json();
      segment = settings.integrations["Segment.io"];
    });

    it("an empty document, or one without integrations: analytics.js fails to start, or sends to Segment", () => {
      assert.ok(segment);
    });

    it("no apiHost: events go to Segment, and a mobile library keeps to the host of its build", () => {
      assert.equal(segment.apiHost, `${new URL(worker.url).host}/v1`);
    });

    it("a scheme in apiHost: doubled in the standard strategy", () => {
      assert.ok(!segment.apiHost.includes("://"));
    });

    it("a slash at the end of apiHost: doubled in the path", () => {
      assert.ok(!segment.apiHost.endsWith("/"));
    });

    it("no apiKey: events without a write key", () => {
      assert.equal(segment.apiKey, writeKey);
    });

    it("no protocol: events of a page on plain HTTP go to https", () => {
      assert.equal(segment.protocol, "http");
    });

    it("a second integration: its script is fetched from Segment", () => {
      assert.deepEqual(Object.keys(settings.integrations), ["Segment.io"]);
    });

    it("no metrics, or a sample rate: figures about the library go to Segment every half minute", () => {
      assert.deepEqual(settings.metrics, { sampleRate: 0 });
    });

    it("plan, middleware, routing rules, video: further scripts are fetched from Segment", () => {
      assert.deepEqual(Object.keys(settings).sort(), ["integrations", "metrics"]);
    });
  });

  it("may be kept for a while", async () => {
    const { headers } = await get(worker, `/v1/projects/${writeKey}/settings`);
    assert.match(headers.get("cache-control") ?? "", /\bpublic\b/);
    assert.ok(Number(/\bmax-age=(\d+)/.exec(headers.get("cache-control"))?.[1]) >= 60);
  });

  it("404 for an unknown key: analytics.js does not start", async () => {
    for (const key of ["other", `${writeKey}x`, writeKey.slice(0, -1), writeKey.toUpperCase(), "%20", "null"]) {
      refused(await worker.fetch(`/v1/projects/${key}/settings`), 404, "not_found");
    }
    for (const path of ["/v1/projects/settings", "/v1/projects//settings", `/v1/projects/${writeKey}`]) {
      refused(await worker.fetch(path), 404, "not_found");
    }
  });

  it("each of several keys has its own", async () => {
    await withWorker({ librato: librato.url, settings: { WRITE_KEYS: "shop, blog" } }, async (several) => {
      for (const key of ["shop", "blog"]) {
        const { text } = await get(several, `/v1/projects/${key}/settings`);
        assert.equal(text, document(`${new URL(several.url).host}/v1`, "http", key));
      }
    });
  });

  it("the host and port that were asked for are the ones that are given", async () => {
    for (const host of ["edge.example.com", "edge.example.com:8080", "localhost:8787", "[::1]:8787", "192.0.2.1"]) {
      const { status, text } = await getAs(worker, host, `/v1/projects/${writeKey}/settings`);
      assert.equal(status, 200, text);
      assert.equal(text, document(`${host}/v1`));
    }
  });

  it("and so is https, and a prefix", async () => {
    const { host } = new URL(secure.url);
    for (const [asked, apiHost] of [
      ["", `${host}/v1`],
      [PREFIX, `${host}${PREFIX}/v1`],
      ["https://edge.example.com", "edge.example.com/v1"],
      [`https://edge.example.com:8443${PREFIX}`, `edge.example.com:8443${PREFIX}/v1`],
    ]) {
      const response = await secure.fetch(`${asked}/v1/projects/${writeKey}/settings`);
      assert.equal(response.status, 200);
      assert.equal(await response.text(), document(apiHost, "https"));
    }
  });
});

describe("GET /analytics.js/v1/{writeKey}/analytics.min.js", () => {
  const packaged = readFileSync(projectPath("node_modules/@segment/analytics-next/dist/umd/standalone.js"));

  it("the very bytes of the npm package, as a script that may be kept", async () => {
    for (const path of ["/analytics.js/v1/KEY/analytics.min.js", "/analytics.js/v1/KEY/analytics.min.js?a=b"]) {
      const answer = await get(worker, path.replace("KEY", writeKey), { origin: "https://shop.example" });
      assert.equal(answer.status, 200);
      assert.match(answer.headers.get("content-type"), /^(text|application)\/javascript\b/);
      assert.match(answer.headers.get("cache-control") ?? "", /\bpublic\b/);
      assert.ok(Number(/\bmax-age=(\d+)/.exec(answer.headers.get("cache-control"))?.[1]) >= 60);
      assert.ok(answer.bytes.equals(packaged), `${answer.bytes.length} bytes, in the package ${packaged.length}`);
    }
  });

  it("under the prefix too", async () => {
    const response = await secure.fetch(`${PREFIX}/analytics.js/v1/${writeKey}/analytics.min.js`);
    assert.equal(response.status, 200);
    assert.ok(Buffer.from(await response.arrayBuffer()).equals(packaged));
  });

  it("404 for an unknown key, and nothing else of the assets is served", async () => {
    for (const path of [
      "/analytics.js/v1/other/analytics.min.js",
      "/analytics.js/v1//analytics.min.js",
      `/analytics.js/v1/${writeKey}/analytics.js`,
      `/analytics.js/v1/${writeKey}/`,
      "/analytics.min.js",
      "/index.js",
      "/",
    ]) {
      refused(await worker.fetch(path, { headers: { origin: "https://shop.example" } }), 404, "not_found");
    }
  });

  it("HEAD has the head of it", async () => {
    const path = `${worker.url}/analytics.js/v1/${writeKey}/analytics.min.js`;
    const response = await fetch(path, { method: "HEAD" });
    assert.equal(response.status, 200);
    assert.match(response.headers.get("content-type"), /javascript/);
    assert.equal((await response.arrayBuffer()).byteLength, 0);
  });
});

describe("a page of another origin, in Chromium", () => {
  let browser;
  let site;
  before(async () => {
    site = await startSite();
    browser = await startChromium();
  });
  after(async () => {
    await browser?.close();
    site?.stop();
  });

  /** Opens a page with this in it; `requests` are all that it makes from then on. */
  async function open(html) {
    // The Worker behind TLS has a certificate that it made itself.
    const context = await browser.newContext({ ignoreHTTPSErrors: true });
    const page = await context.newPage();
    const requests = [];
    const complaints = [];
    context.on("request", (request) => requests.push(request));
    page.on("pageerror", (error) => complaints.push(String(error)));
    page.on("console", (message) => message.type() === "error" && complaints.push(message.text()));
    await page.goto(site.put("/page", html));
    return { page, requests, complaints, close: () => context.close() };
  }

  /** Where a page's requests went, but for the page itself. */
  const asked = (requests) =>
    requests
      .filter((request) => request.url() !== `${site.url}/page`)
      .map((request) => `${request.method()} ${request.url()}`);

  const calls = `
    ["page", "track", "identify"].forEach(function (method) {
      analytics[method] = function () { analytics.push([method].concat(Array.prototype.slice.call(arguments))); };
    });
    analytics.page("Docs", "Home");
    analytics.track("Signed Up", { value: 2.5 }, { integrations: { Librato: { source: "shop 1" } } });`;

  const expected = {
    "Viewed-Docs-Home-Page Viewed-Docs-Home-Page": { count: 1, sum: 1 },
    "Signed-Up shop-1": { count: 1, sum: 2.5 },
  };

  it("whose only host is the Worker, behind TLS and under the prefix: the script's address is all it takes", async () => {
    const base = `${secure.url}${PREFIX}`;
    const { requests, complaints, close } = await open(`
      <script>analytics = []; ${calls}</script>
      <script async src="${base}/analytics.js/v1/${writeKey}/analytics.min.js"></script>`);
    await librato.counted("Viewed-Docs-Home-Page", 1);
    await librato.counted("Signed-Up", 1);
    assert.deepEqual(await librato.totals(), expected);
    assert.deepEqual([...new Set(asked(requests))].filter((line) => !line.startsWith("OPTIONS ")).sort(), [
      `GET ${base}/analytics.js/v1/${writeKey}/analytics.min.js`,
      `GET ${base}/v1/projects/${writeKey}/settings`,
      `POST ${base}/v1/p`,
      `POST ${base}/v1/t`,
    ]);
    assert.deepEqual(complaints, []);
    await close();
  });

  it("whose only host is the Worker, on plain HTTP", async () => {
    const { requests, complaints, close } = await open(`
      <script>analytics = []; analytics._cdn = "${worker.url}"; ${calls}</script>
      <script async src="${worker.url}/analytics.js/v1/${writeKey}/analytics.min.js"></script>`);
    await librato.counted("Viewed-Docs-Home-Page", 1);
    await librato.counted("Signed-Up", 1);
    assert.deepEqual(await librato.totals(), expected);
    const hosts = new Set(asked(requests).map((line) => new URL(line.split(" ")[1]).origin));
    assert.deepEqual([...hosts], [worker.url]);
    assert.deepEqual(complaints, []);
    await close();
  });

  it("with an unknown key does not start", async () => {
    const { page, requests, close } = await open(`
      <script>
        analytics = []; analytics._cdn = "${worker.url}"; analytics._writeKey = "other"; ${calls}
      </script>
      <script async src="${worker.url}/analytics.js/v1/${writeKey}/analytics.min.js"></script>`);
    await waitFor("the settings", () => requests.some((request) => request.url().endsWith("/settings")));
    // What it would do next, it would have begun when the page comes to rest.
    await page.waitForLoadState("networkidle");
    const own = asked(requests).filter((line) => line.includes(worker.url));
    assert.deepEqual(own, [
      `GET ${worker.url}/analytics.js/v1/${writeKey}/analytics.min.js`,
      `GET ${worker.url}/v1/projects/other/settings`,
    ]);
    assert.equal((await librato.state()).requests, 0);
    await close();
  });

  it("the pixel is a transparent picture of one pixel by one", async () => {
    const { page, close } = await open("");
    const data = base64url(track("Pixel", { writeKey }));
    const seen = await page.evaluate(async (src) => {
      const image = Object.assign(new Image(), { crossOrigin: "anonymous", src });
      await image.decode();
      const context = document.createElement("canvas").getContext("2d");
      context.drawImage(image, 0, 0);
      return [image.naturalWidth, image.naturalHeight, ...context.getImageData(0, 0, 1, 1).data];
    }, `${worker.url}/v1/pixel/track?data=${data}`);
    assert.deepEqual(seen, [1, 1, 0, 0, 0, 0]);
    assert.equal((await librato.metric("Pixel")).count, 1);
    await close();
  });

  it("the script of the classic library runs for what is accepted or refused, and fails for what is to be sent again", async () => {
    const { page, close } = await open("<script></script>");
    const load = (event) =>
      page.evaluate(
        (src) =>
          new Promise((resolve) => {
            window.__jp0 = (body) => resolve(body);
            const script = Object.assign(document.createElement("script"), { src, onerror: () => resolve("error") });
            document.head.append(script);
          }),
        `${worker.url}/v1/t?data=${encodeURIComponent(base64url(event))}&callback=__jp0`,
      );
    assert.deepEqual(await load(track("Script", { writeKey })), { success: true });
    assert.equal((await load(track("Script", { writeKey: "other" }))).code, "invalid_write_key");
    assert.equal((await load(track(undefined, { writeKey }))).code, "missing_event");
    await librato.fault({ answer: "503", times: 0 });
    assert.equal(await load(track("Script", { writeKey })), "error");
    assert.deepEqual((await librato.totals())["Script Script"], { count: 1, sum: 1 });
    await close();
  });

  it("navigator.sendBeacon: text, bytes and JSON, of an event and of a batch, also from a page that goes away", async () => {
    const { page, requests, close } = await open("");
    const event = (name) => ({ event: name, userId, writeKey });
    const bodies = [
      ["/v1/t", event("Beacon"), null],
      ["/v1/t", event("Beacon"), "text/plain"],
      // Not a content type that a page may send elsewhere unasked: a preflight comes before.
      ["/v1/t", event("Beacon"), "application/json"],
      ["/v1/p", { name: "Beacon", anonymousId: "a-1", writeKey }, null],
      ["/v1/b", { batch: [{ type: "track", ...event("Beacon") }], writeKey }, "application/json"],
      [`/beacon/v1/batch?writeKey=${writeKey}`, { batch: [{ type: "track", event: "Beacon", userId }] }, "text/plain"],
    ];
    const taken = await page.evaluate(
      ([base, rows]) =>
        rows.map(([path, body, type]) => {
          const text = JSON.stringify(body);
          return navigator.sendBeacon(base + path, type ? new Blob([text], { type }) : text);
        }),
      [worker.url, bodies],
    );
    assert.deepEqual(
      taken,
      bodies.map(() => true),
    );
    await librato.counted("Beacon", 5);
    await librato.counted("Viewed-Beacon-Page", 1);

    await page.evaluate(
      ([url, text]) => addEventListener("pagehide", () => navigator.sendBeacon(url, text)),
      [`${worker.url}/v1/t`, JSON.stringify(event("Farewell"))],
    );
    await page.goto(site.put("/other", ""));
    await librato.counted("Farewell", 1);
    assert.deepEqual(await librato.totals(), {
      "Beacon Beacon": { count: 5, sum: 5 },
      "Viewed-Beacon-Page Viewed-Beacon-Page": { count: 1, sum: 1 },
      "Farewell Farewell": { count: 1, sum: 1 },
    });
    const beacons = requests.filter((request) => request.method() === "POST");
    assert.deepEqual([...new Set(beacons.map((request) => request.resourceType()))], ["ping"]);
    await close();
  });

  it("can read every answer: refusals, pauses, with credentials and with the headers of a retry", async () => {
    const { page, close } = await open("");
    const post = (path, body, init = {}) =>
      page.evaluate(
        async ([url, text, more]) => {
          const response = await fetch(url, { method: "POST", body: text, ...more });
          const header = (name) => response.headers.get(name);
          return {
            status: response.status,
            code: (await response.json()).code,
            pause: [header("retry-after"), header("x-ratelimit-reset")],
          };
        },
        [worker.url + path, JSON.stringify(body), init],
      );
    const key = `Basic ${Buffer.from(`${writeKey}:`).toString("base64")}`;
    const retry = { headers: { authorization: key, "x-retry-count": "1", "x-of-their-own": "1" } };
    const none = [null, null];
    const fine = { status: 200, code: undefined, pause: none };
    assert.deepEqual(await post("/v1/t", track("Read", { writeKey })), fine);
    assert.deepEqual(await post("/v1/t", track("Read", { writeKey }), { credentials: "include" }), fine);
    assert.deepEqual(await post("/v1/t", track("Read"), { ...retry, credentials: "include" }), fine);
    assert.deepEqual(await post("/v1/t", track("Read")), { status: 400, code: "invalid_write_key", pause: none });
    assert.deepEqual(await post("/v1/none", {}), { status: 404, code: "not_found", pause: none });
    assert.deepEqual(await post("/health", {}), { status: 405, code: "method_not_allowed", pause: none });
    await librato.fault({ answer: "429", retryAfter: 30, times: 0 });
    assert.deepEqual(await post("/v1/t", track("Read"), retry), {
      status: 429,
      code: "rate_limited",
      pause: ["30", "30"],
    });
    await close();
  });

  it("of an origin that is not allowed: its library does not start, and it can read why", async () => {
    const settings = { ALLOWED_ORIGINS: "https://shop.example" };
    await withWorker({ librato: librato.url, settings }, async (strict) => {
      const { page, requests, close } = await open(`
        <script>analytics = []; analytics._cdn = "${strict.url}"; ${calls}</script>
        <script async src="${strict.url}/analytics.js/v1/${writeKey}/analytics.min.js"></script>`);
      const read = await page.evaluate(
        async ([url, text]) => {
          const response = await fetch(url, { method: "POST", body: text });
          return [response.status, (await response.json()).code];
        },
        [`${strict.url}/v1/t`, JSON.stringify(track("Not From Here", { writeKey }))],
      );
      assert.deepEqual(read, [403, "origin_not_allowed"]);
      const settingsOf = await waitFor("the settings", () => requests.find((one) => one.url().endsWith("/settings")));
      assert.equal((await settingsOf.response()).status(), 403);
      await page.waitForLoadState("networkidle");
      assert.ok(!requests.some((one) => one.url() === `${strict.url}/v1/p`));
      assert.equal((await librato.state()).requests, 0);
      await close();
    });
  });

  it("of an origin that is allowed tracks", async () => {
    const settings = { ALLOWED_ORIGINS: `https://shop.example, ${site.url}` };
    await withWorker({ librato: librato.url, settings }, async (strict) => {
      const { complaints, close } = await open(`
        <script>analytics = []; analytics._cdn = "${strict.url}"; ${calls}</script>
        <script async src="${strict.url}/analytics.js/v1/${writeKey}/analytics.min.js"></script>`);
      await librato.counted("Signed-Up", 1);
      await librato.counted("Viewed-Docs-Home-Page", 1);
      assert.deepEqual(await librato.totals(), expected);
      assert.deepEqual(complaints, []);
      await close();
    });
  });
});

// What libraries load before they send: their settings, and analytics.js itself. Then a page that knows no other host.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { after, before, beforeEach, describe, it } from "node:test";
import { chunks, library } from "../../scripts/lib/library.mjs";
import { startChromium } from "./lib/chromium.mjs";
import { checkSourceConfig } from "./lib/contract.mjs";
import { startDev } from "./lib/dev.mjs";
import { track, userId } from "./lib/events.mjs";
import { refused, succeeded } from "./lib/expect.mjs";
import { startLibrato } from "./lib/librato.mjs";
import { base64url, get, getAs, readableFrom, untold } from "./lib/plain.mjs";
import { projectPath } from "./lib/project.mjs";
import { startSite } from "./lib/site.mjs";
import { waitFor } from "./lib/wait.mjs";
import { basic, startWorker, withWorker, writeKey } from "./lib/worker.mjs";

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
    settings: { PATH_PREFIX: PREFIX, LIBRARY_FILE: "shop.js" },
    config: { dev: { local_protocol: "https" } },
  });
});
beforeEach(() => librato.reset());
after(async () => {
  await librato?.stop();
  await worker?.stop();
  await secure?.stop();
});

/** Libraries of others send nothing unless they find themselves. */
const INTEGRATIONS = ["Segment.io", "Customer.io Data Pipelines", "Hightouch.io"];

/** The whole document, to the byte. */
function document(apiHost, protocol = "http", key = writeKey) {
  const target = `{"apiKey":"${key}","apiHost":"${apiHost}","protocol":"${protocol}"}`;
  const integrations = INTEGRATIONS.map((name) => `"${name}":${target}`);
  return `{"integrations":{${integrations.join(",")}},"metrics":{"sampleRate":0}}`;
}

describe("GET /v1/projects/{writeKey}/settings", () => {
  it("byte for byte, on every spelling of its path", async () => {
    const { host } = new URL(worker.url);
    for (const path of [
      ...["/v1/projects/KEY/settings", "/projects/KEY/settings", "/v1/projects/KEY/settings/?a=b"],
      ...["//v1/projects/KEY/settings", "/v1//projects//KEY//settings//", "/v1/v1/projects/KEY/settings"],
    ]) {
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

    it("an integration with a type of its own: its script is fetched; those for others have none", () => {
      assert.deepEqual(Object.keys(settings.integrations), INTEGRATIONS);
      for (const one of Object.values(settings.integrations)) assert.deepEqual(one, segment);
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

describe("PUBLIC_URL: where clients reach the Worker, if something stands before it", () => {
  const outside = [
    ["https://shop.example", "shop.example"],
    ["https://shop.example/", "shop.example"],
    ["https://shop.example/collect", "shop.example/collect"],
    ["https://shop.example/collect/", "shop.example/collect"],
    ["http://shop.example:8080/a/b", "shop.example:8080/a/b"],
    ["https://[2001:db8::1]:8443/in", "[2001:db8::1]:8443/in"],
  ];
  for (const [url, host] of outside) {
    it(`${url} is what the settings, the library and /health tell`, async () => {
      const settings = { PUBLIC_URL: url, PATH_PREFIX: PREFIX };
      await withWorker({ librato: librato.url, settings }, async (behind) => {
        const protocol = url.split(":")[0];
        const ask = async (path) => (await get(behind, `${path}/v1/projects/${writeKey}/settings`)).text;
        assert.equal(await ask(""), document(`${host}/v1`, protocol));
        assert.equal(await ask(PREFIX), document(`${host}${PREFIX}/v1`, protocol));
        // Whatever a proxy says of itself, or a client of the Worker.
        const forwarded = { "x-forwarded-host": "evil.example", "x-forwarded-proto": "http", forwarded: "host=evil" };
        const other = await get(behind, `/v1/projects/${writeKey}/settings`, forwarded);
        assert.equal(other.text, document(`${host}/v1`, protocol));
        const { publicUrl } = (await get(behind, "/health")).json();
        assert.equal(publicUrl, `${protocol}://${host}`);
      });
    });
  }

  it("unset, it is the request's own URL, and never what a header says of another one", async () => {
    const { host } = new URL(worker.url);
    for (const headers of [
      { "x-forwarded-host": "evil.example" },
      { "x-forwarded-host": "evil.example", "x-forwarded-proto": "https", "x-forwarded-port": "444" },
      { "x-forwarded-prefix": "/evil" },
      { forwarded: "host=evil.example;proto=https" },
      { "x-original-host": "evil.example", "x-original-url": "/evil" },
    ]) {
      const answer = await get(worker, `/v1/projects/${writeKey}/settings`, headers);
      assert.equal(answer.text, document(`${host}/v1`));
      assert.equal((await get(worker, "/health", headers)).json().publicUrl, worker.url);
    }
  });

  it("malformed, it stops what needs it, and nothing else", async () => {
    for (const url of [
      "shop-4711.example",
      "//shop.example/4711",
      "ftp://shop.example/4711",
      "https://",
      "https://a b/",
    ]) {
      await withWorker({ librato: librato.url, settings: { PUBLIC_URL: url } }, async (broken) => {
        const path = `/v1/projects/${writeKey}/settings`;
        refused(await broken.fetch(path), 503, "misconfigured", /PUBLIC_URL/);
        const health = await get(broken, "/health");
        assert.deepEqual([health.status, /PUBLIC_URL/.test(health.text)], [503, true]);
        assert.doesNotMatch(health.text.replaceAll(broken.url, ""), /4711/, "a value is shown");
        succeeded(await broken.post("/v1/track", track("Anyway")));
        succeeded(await broken.post("/v1/track", track("Anyway"), { origin: "https://shop.example" }));
      });
    }
  });
});

describe("GET /sourceConfig: what RudderStack's mobile libraries ask first", () => {
  const paths = [
    ...["/sourceConfig", "/sourceConfig/", "/v1/sourceConfig", "//sourceConfig", "/v1//sourceConfig"],
    ...["/sourceConfig?p=android&v=1.28.0&bv=35", "/sourceConfig?p=ios&v=1.31.0", "/sourceConfig/?p=kotlin&v=1.6.0"],
  ];
  const withKey = (path, key) => `${path}${path.includes("?") ? "&" : "?"}writeKey=${encodeURIComponent(key)}`;

  for (const path of paths) {
    it(path, async () => {
      for (const [at, authorization] of [
        [path, basic(writeKey)],
        [withKey(path, writeKey), undefined],
        // A Bearer token is nobody's name.
        [withKey(path, writeKey), "Bearer abc"],
      ]) {
        const answer = await get(worker, at, authorization ? { authorization } : {});
        assert.equal(answer.status, 200, answer.text);
        assert.match(answer.headers.get("content-type"), /^application\/json\b/);
        checkSourceConfig(answer.json(), writeKey);
      }
    });
  }

  it("an unknown key is 400 with the words at which they stop", async () => {
    for (const [path, headers] of [
      ["/sourceConfig", { authorization: null }],
      ["/sourceConfig", { authorization: basic("other") }],
      [withKey("/sourceConfig", "other"), { authorization: null }],
      // The header has the first say.
      [withKey("/sourceConfig", writeKey), { authorization: basic("other") }],
    ]) {
      refused(await worker.fetch(path, { headers }), 400, "invalid_write_key", /invalid write key/i);
    }
  });

  it("each of several keys has its own, and a browser may ask too", async () => {
    await withWorker({ librato: librato.url, settings: { WRITE_KEYS: "shop, blog" } }, async (several) => {
      for (const key of ["shop", "blog"]) {
        const headers = { authorization: basic(key), origin: "https://shop.example" };
        checkSourceConfig((await get(several, "/sourceConfig", headers)).json(), key);
      }
    });
  });

  it("takes GET", async () => {
    for (const method of ["POST", "PUT", "DELETE"]) {
      refused(await worker.fetch("/sourceConfig", { method, body: "{}" }), 405, "method_not_allowed", /GET/);
    }
  });
});

describe("GET /analytics.js/v1/{writeKey}/analytics.min.js", () => {
  it("the npm package's, told where it came from, as a script that may be kept and embedded", async () => {
    for (const path of ["/analytics.js/v1/KEY/analytics.min.js", "/analytics.js/v1/KEY/analytics.min.js?a=b"]) {
      const answer = await get(worker, path.replace("KEY", writeKey), { origin: "https://shop.example" });
      assert.equal(answer.status, 200);
      assert.match(answer.headers.get("content-type"), /^(text|application)\/javascript\b/);
      assert.match(answer.headers.get("cache-control") ?? "", /\bpublic\b/);
      assert.ok(Number(/\bmax-age=(\d+)/.exec(answer.headers.get("cache-control"))?.[1]) >= 60);
      assert.equal(answer.headers.get("cross-origin-resource-policy"), "cross-origin");
      assert.equal(untold(answer.text), untold(await library()));
    }
  });

  it("under the prefix too", async () => {
    const response = await secure.fetch(`${PREFIX}/analytics.js/v1/${writeKey}/analytics.min.js`);
    assert.equal(response.status, 200);
    assert.equal(untold(await response.text()), untold(await library()));
  });

  it("under the prefix by the write key alone, which no blocker knows", async () => {
    for (const path of [`${PREFIX}/${writeKey}.js`, `${PREFIX}/${writeKey}.js?a=b`, `${PREFIX}//${writeKey}.js`]) {
      const response = await secure.fetch(path);
      assert.equal(response.status, 200, path);
      assert.match(response.headers.get("content-type"), /javascript/);
      assert.equal(response.headers.get("cross-origin-resource-policy"), "cross-origin");
      assert.equal(untold(await response.text()), untold(await library()));
    }
    const none = ["other.js", `${writeKey}`, `${writeKey}.js/x`, `x/${writeKey}.js`, `${writeKey}.mjs`, ".js"];
    for (const path of [...none.map((name) => `${PREFIX}/${name}`), `/${writeKey}.js`, `/v1/${writeKey}.js`]) {
      assert.equal((await secure.fetch(path)).status, 404, path);
    }
  });

  it("under the prefix by a name of the operator's choice, with the first write key", async () => {
    for (const path of ["shop.js", "shop.js?a=b"]) {
      const response = await secure.fetch(`${PREFIX}/${path}`);
      assert.equal(response.status, 200, path);
      const text = await response.text();
      assert.ok(text.includes(`"${writeKey}"`), "the key is told");
      assert.equal(untold(text.replace(`"${writeKey}"`, '"__WRITE_KEY__"')), untold(await library()));
    }
    for (const path of ["/shop.js", `${PREFIX}/shop`, `${PREFIX}/Shop.js`]) {
      assert.equal((await secure.fetch(path)).status, 404, path);
    }
  });

  it("names no other host", async () => {
    const { text } = await get(worker, `/analytics.js/v1/${writeKey}/analytics.min.js`);
    // A link to documentation in a warning, and a pattern for what a page names itself.
    const harmless = /https:\/\/(segment\.com\/docs\/|cdn\.segment\.\(com\|build\))/g;
    const named = text.replace(harmless, "").match(/[\w.-]+\.(com|io\/|net|org|build)\b[\w./-]*/g);
    assert.deepEqual(named, null);
  });

  it("404 for an unknown key, and nothing else of the assets is served", async () => {
    for (const path of [
      "/analytics.js/v1/other/analytics.min.js",
      "/analytics.js/v1//analytics.min.js",
      `/analytics.js/v1/${writeKey}/analytics.js`,
      `/analytics.js/v1/${writeKey}/`,
      "/analytics.min.js",
      "/index.js",
      "/analytics-next/bundles/",
      "/analytics-next/bundles/analytics.min.js",
      "/analytics-next/bundles/..%2f..%2fanalytics.min.js",
      "/analytics-next/bundles/auto-track.bundle.00000000000000000000.js",
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

describe("GET /analytics-next/bundles/{file}: the lazy parts of the library", () => {
  const packaged = (name) => readFileSync(projectPath(`node_modules/@segment/analytics-next/dist/umd/${name}`));

  it("are all that a page of the Worker's settings can want", () => {
    const wanted = [
      "ajs-destination",
      "auto-track",
      "queryString",
      "remoteMiddleware",
      "schemaFilter",
      "tsub-middleware",
    ];
    assert.deepEqual(
      chunks().map((name) => name.split(".")[0]),
      wanted,
    );
  });

  for (const name of chunks()) {
    it(`${name}: the very bytes of the npm package, for ever`, async () => {
      const origin = "https://shop.example";
      for (const path of [`/analytics-next/bundles/${name}`, `//analytics-next//bundles/${name}?a=b`]) {
        const answer = await get(worker, path, { origin });
        assert.equal(answer.status, 200, answer.text.slice(0, 200));
        assert.match(answer.headers.get("content-type"), /^(text|application)\/javascript\b/);
        assert.equal(answer.headers.get("cross-origin-resource-policy"), "cross-origin");
        // Its name has a hash of its content in it.
        assert.match(answer.headers.get("cache-control"), /\bpublic\b/);
        assert.match(answer.headers.get("cache-control"), /\bimmutable\b/);
        assert.ok(Number(/\bmax-age=(\d+)/.exec(answer.headers.get("cache-control"))?.[1]) >= 31_536_000);
        assert.ok(answer.bytes.equals(packaged(name)));
        readableFrom(origin, answer);
      }
      const below = await secure.fetch(`${PREFIX}/analytics-next/bundles/${name}`);
      assert.equal(below.status, 200);
      assert.ok(Buffer.from(await below.arrayBuffer()).equals(packaged(name)));
    });
  }

  it("need no write key, and no other setting", async () => {
    const [name] = chunks();
    await withWorker({ settings: { WRITE_KEYS: null, LIBRATO_TOKEN: null } }, async (broken) => {
      assert.equal((await get(broken, `/analytics-next/bundles/${name}`)).status, 200);
    });
  });
});

describe("Cross-Origin-Resource-Policy, without which a page that asks for it shows and runs nothing", () => {
  const data = () => base64url(track("Embedded", { writeKey }));
  const embedded = {
    "the library": () => `/analytics.js/v1/${writeKey}/analytics.min.js`,
    "a lazy part": () => `/analytics-next/bundles/${chunks()[0]}`,
    "a pixel": () => `/v1/pixel/track?data=${data()}`,
    "a pixel whose event is refused": () => "/v1/pixel/track?event=X",
    "RudderStack's pixel": () => `/pixel/v1/page?data=${data()}`,
    "a script with a callback": () => `/v1/t?data=${data()}&callback=f`,
    "a script whose event is refused": () => "/v1/t?data=e30&callback=f",
  };
  for (const [what, path] of Object.entries(embedded)) {
    it(what, async () => {
      const { status, headers } = await get(worker, path());
      assert.equal(status, 200);
      assert.equal(headers.get("cross-origin-resource-policy"), "cross-origin");
    });
  }
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
      // It looks whether one of the integrations that it finds has a script, and none has.
      `GET ${base}/analytics-next/bundles/${chunks()[0]}`,
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
      <script>analytics = []; ${calls}</script>
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
        analytics = []; analytics._writeKey = "other"; ${calls}
      </script>
      <script async src="${worker.url}/analytics.js/v1/${writeKey}/analytics.min.js"></script>`);
    await waitFor("the settings", () => requests.some((request) => request.url().endsWith("/settings")));
    // What it would do next, it would have begun when the page comes to rest.
    await page.waitForLoadState("networkidle");
    assert.deepEqual(asked(requests), [
      `GET ${worker.url}/analytics.js/v1/${writeKey}/analytics.min.js`,
      `GET ${worker.url}/v1/projects/other/settings`,
      // It counts its own failure: where it came from, and no longer at Segment.
      `POST ${worker.url}/v1/m`,
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

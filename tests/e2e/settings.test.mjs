// The settings, each with what it changes, and what GET /health says of them.

import assert from "node:assert/strict";
import { after, before, beforeEach, describe, it } from "node:test";
import { checkAnswer } from "./lib/contract.mjs";
import { startDev } from "./lib/dev.mjs";
import { batch, now, page, track, userId } from "./lib/events.mjs";
import { partly, refused, succeeded } from "./lib/expect.mjs";
import { startLibrato } from "./lib/librato.mjs";
import { freePort } from "./lib/net.mjs";
import { base64url, get, readableFrom } from "./lib/plain.mjs";
import { operatorToken } from "./lib/platform.mjs";
import { startScripted } from "./lib/scripted.mjs";
import { waitFor } from "./lib/wait.mjs";
import { basic, secrets, startWorker, withWorker, writeKey } from "./lib/worker.mjs";

let librato;
let worker;

before(async () => {
  librato = await startLibrato();
  worker = await startWorker({ librato: librato.url });
});
beforeEach(() => librato.reset());
after(async () => {
  await librato?.stop();
  await worker?.stop();
});

/** Runs with a Worker of other settings. */
function withSettings(settings, use) {
  return withWorker({ librato: librato.url, settings }, use);
}

/** Nothing reached Librato. */
async function nothingMeasured() {
  assert.equal((await librato.state()).requests, 0);
}

const keyed = (event) => ({ ...event, writeKey });
const iso = (seconds) => new Date(seconds * 1000).toISOString();

describe("ALLOWED_ORIGINS", () => {
  const allowed = ["https://shop.example", "https://blog.example:8443", "http://localhost:3000"];
  const others = [
    "https://evil.example",
    "http://shop.example",
    "https://shop.example:444",
    "https://www.shop.example",
    "https://shop.example.evil.example",
    "https://blog.example",
    "null",
  ];
  const data = () => base64url(keyed(track("Origin")));
  /** A request on each kind of route that a page may use. */
  const requests = [
    (headers) => strict.post("/v1/track", track("Origin"), headers),
    (headers) => strict.post("/v1/p", page("Origin"), headers),
    (headers) => strict.post("/v1/batch", batch([track("Origin")]), headers),
    (headers) => strict.post("/v1/identify", { userId }, headers),
    (headers) => strict.post("/v1/m", { series: [] }, headers),
    (headers) => strict.fetch(`/v1/t?data=${data()}`, { headers }),
  ];

  let strict;
  before(async () => {
    strict = await startWorker({
      librato: librato.url,
      settings: { ALLOWED_ORIGINS: ` ${allowed.join(" , ")},` },
    });
  });
  after(() => strict?.stop());

  it("an origin that is listed gets in by every route, and any other by none", async () => {
    for (const send of requests) {
      for (const origin of allowed) succeeded(await send({ origin }));
      // Servers and apps have none.
      succeeded(await send({}));
    }
    const before = await librato.state();
    for (const send of requests) {
      for (const origin of others) refused(await send({ origin }), 403, "origin_not_allowed", /origin/i);
    }
    assert.equal((await librato.state()).requests, before.requests);
  });

  it("the pixel and the script of a page that may not send stay a picture and a script", async () => {
    const origin = "https://evil.example";
    const pixel = await get(strict, `/v1/pixel/track?data=${data()}`, { origin });
    assert.deepEqual([pixel.status, pixel.headers.get("content-type")], [200, "image/gif"]);
    assert.equal(pixel.headers.get("x-event-status"), "origin_not_allowed");
    const script = await get(strict, `/v1/t?data=${data()}&callback=f`, { origin });
    assert.equal(script.status, 200);
    assert.match(script.text, /f\(\{.*"code":"origin_not_allowed"/);
    await nothingMeasured();

    const [good] = allowed;
    const taken = await get(strict, `/v1/pixel/track?data=${data()}`, { origin: good });
    assert.equal(taken.headers.get("x-event-status"), "accepted");
  });

  it("what libraries load", async () => {
    const path = `/v1/projects/${writeKey}/settings`;
    const [origin] = allowed;
    assert.equal((await get(strict, path, { origin })).status, 200);
    const answer = await get(strict, path, { origin: "https://evil.example" });
    assert.deepEqual([answer.status, answer.json().code], [403, "origin_not_allowed"]);
  });

  it("a preflight is answered to everybody, and gives credentials to nobody but the listed", async () => {
    for (const origin of [...allowed, ...others]) {
      for (const path of ["/v1/t", "/v1/batch", `/v1/projects/${writeKey}/settings`, "/v1/pixel/page", "/health"]) {
        const answer = await strict.fetch(path, { method: "OPTIONS", headers: { origin, authorization: null } });
        assert.equal(answer.status, 204);
        const isListed = allowed.includes(origin);
        assert.equal(answer.headers.get("access-control-allow-credentials"), isListed ? "true" : null);
      }
    }
  });

  // Each name of a host stands by itself: a star is one label or more, at the left and with nothing beside it.
  describe("a star as the leftmost label, and origins that are none of a host", () => {
    const stars =
      "https://*.shop.example, https://*.pages.dev:8443, http://*.local, null, file://, https://one.example";
    const known = [
      ...["https://a.shop.example", "https://a.b.shop.example", "https://x-1.shop.example", "https://A.SHOP.example"],
      ...["https://a.pages.dev:8443", "http://printer.local", "null", "file://", "https://one.example"],
    ];
    const unknown = [
      ...["https://shop.example", "https://evil-shop.example", "https://shop.example.evil.example"],
      ...["http://a.shop.example", "https://a.shop.example:8443", "https://.shop.example", "https://a..shop.example"],
      ...["https://a.pages.dev", "https://pages.dev:8443", "http://local", "https://printer.local"],
      ...["https://two.one.example", "https://evil.example/.shop.example", "https://evil.example#.shop.example"],
      ...["file:///etc", "file://host", "nul", "https://*.shop.example", "chrome-extension://a.shop.example"],
    ];
    let wild;
    before(async () => {
      wild = await startWorker({ librato: librato.url, settings: { ALLOWED_ORIGINS: stars } });
    });
    after(() => wild?.stop());

    for (const origin of known) {
      it(`${origin} gets in`, async () => {
        succeeded(await wild.post("/v1/track", track("Origin"), { origin }));
        const preflight = await wild.fetch("/v1/t", { method: "OPTIONS", headers: { origin, authorization: null } });
        assert.equal(preflight.headers.get("access-control-allow-credentials"), "true");
      });
    }
    for (const origin of unknown) {
      it(`${origin} does not`, async () => {
        refused(await wild.post("/v1/track", track("Origin"), { origin }), 403, "origin_not_allowed", /origin/i);
        await nothingMeasured();
      });
    }
    it("none at all does, as ever", async () => succeeded(await wild.post("/v1/track", track("Origin"))));

    for (const value of ["file://", "null", "https://*.a.example", "file:// , null,"]) {
      it(`"${value}" is a setting that is good`, async () => {
        await withSettings({ ALLOWED_ORIGINS: value }, async (good) => {
          assert.equal((await get(good, "/health")).status, 200);
          succeeded(await good.post("/v1/track", track("Origin")));
        });
      });
    }
  });

  it("malformed, it stops what comes from a page, and nothing else", async () => {
    const malformed = [
      ...["shop-4711.example", "https://shop-4711.example/path", ",", "https://shop.*.4711.example", "https://*"],
      ...["https://sh*p-4711.example", "https://*.*.4711.example", "https://shop.example,4711", "*.shop-4711.example"],
      ...["https://*4711.example", "file:///4711", "https://user@4711.example"],
    ];
    for (const value of malformed) {
      await withSettings({ ALLOWED_ORIGINS: value }, async (broken) => {
        const health = await get(broken, "/health");
        assert.equal(health.status, 503, value);
        assert.match(health.text, /ALLOWED_ORIGINS/);
        assert.doesNotMatch(health.text.replaceAll(broken.url, ""), /4711/, "a value is shown");
        // A server has no origin.
        succeeded(await broken.post("/v1/track", track("Server")));
        succeeded(await broken.post("/v1/batch", batch([track("Server")])));
        const answer = await broken.post("/v1/track", track("Page"), { origin: "https://shop.example" });
        refused(answer, 503, "misconfigured", /ALLOWED_ORIGINS/);
        assert.doesNotMatch(answer.text, /4711/, "a value is shown");
        assert.deepEqual(Object.keys(await librato.totals()), ["Server Server"]);
        await librato.reset();
      });
    }
  });

  it("unset, or with a star: any origin", async () => {
    for (const origin of others) succeeded(await worker.post("/v1/track", track("Origin"), { origin }));
    for (const value of ["*", "https://shop.example,*", ""]) {
      await withSettings({ ALLOWED_ORIGINS: value }, async (open) => {
        for (const origin of others) succeeded(await open.post("/v1/track", track("Origin"), { origin }));
      });
    }
  });
});

describe("ALLOWED_EVENTS: the names of metrics that may be created", () => {
  const setting = "Order-*, Viewed-Home-Page,*-Failed,a*b*c,Signed Up";
  const names = {
    "Order Completed": true,
    "Order-": true,
    Order: false,
    "My Order Completed": false,
    "Payment Failed": true,
    "Payment Failed Twice": false,
    abc: true,
    "a-b-b-c": true,
    "a-c-b": false,
    "Signed Up": true,
    "Signed-Up": true,
    "Signed Up Twice": false,
  };

  it(setting, async () => {
    await withSettings({ ALLOWED_EVENTS: setting }, async (strict) => {
      const expected = [];
      for (const [name, isAllowed] of Object.entries(names)) {
        const answer = await strict.post("/v1/track", track(name));
        if (isAllowed) succeeded(answer);
        else refused(answer, 400, "event_not_allowed");
        if (isAllowed) expected.push(name.replaceAll(" ", "-"));
      }
      succeeded(await strict.post("/v1/page", page("Home")));
      expected.push("Viewed-Home-Page");
      refused(await strict.post("/v1/page", page("Other")), 400, "event_not_allowed", /Viewed-Other-Page/);
      refused(await strict.post("/v1/page", page(undefined)), 400, "event_not_allowed", /Loaded-a-Page/);
      const { metrics } = await librato.state();
      assert.deepEqual(metrics.map(({ name }) => name).sort(), [...new Set(expected)].sort());
    });
  });

  it("one that is not allowed does not take its batch with it, nor does one that is not measured need it", async () => {
    await withSettings({ ALLOWED_EVENTS: "Good" }, async (strict) => {
      const events = [
        track("Good"),
        track("Bad"),
        { type: "identify", userId },
        track("Bad", { integrations: { Librato: false } }),
      ];
      partly(await strict.post("/v1/batch", batch(events)), 3, [[1, "event_not_allowed"]]);
      assert.deepEqual(await librato.totals(), { "Good Good": { count: 1, sum: 1 } });
    });
  });

  it("unset, or a star: all", async () => {
    succeeded(await worker.post("/v1/track", track("Anything At All")));
    for (const value of ["*", ""]) {
      await withSettings({ ALLOWED_EVENTS: value }, async (open) => {
        succeeded(await open.post("/v1/track", track("Anything At All")));
      });
    }
  });
});

describe("CONSENT_CATEGORIES", () => {
  const consent = (categoryPreferences) => ({ context: { consent: { categoryPreferences } } });
  const rows = [
    [{}, true],
    [{ context: null }, true],
    [{ context: {} }, true],
    [consent({ analytics: true, advertising: true }), true],
    [consent({ analytics: true, advertising: true, other: false }), true],
    [consent({ analytics: true, advertising: false }), false],
    [consent({ analytics: true }), false],
    [consent({}), false],
    [consent({ analytics: "true", advertising: 1 }), false],
    [{ ...consent({ analytics: false, advertising: true }), integrations: { Librato: true } }, false],
    [{ ...consent({ analytics: true, advertising: true }), integrations: { Librato: false } }, false],
  ];
  const total = (sum, count) => sum + count;

  it("analytics, advertising: both must be true", async () => {
    await withSettings({ CONSENT_CATEGORIES: "analytics, advertising" }, async (strict) => {
      for (const [more, isMeasured] of rows) {
        await librato.reset();
        succeeded(await strict.post("/v1/track", track("Consent", more)));
        assert.equal((await librato.metric("Consent"))?.count ?? 0, isMeasured ? 1 : 0, JSON.stringify(more));
      }
      await librato.reset();
      succeeded(await strict.post("/v1/batch", batch(rows.map(([more]) => track("Consent", more)))));
      const expected = rows.filter(([, isMeasured]) => isMeasured).length;
      assert.equal((await librato.metric("Consent")).count, expected);
      // The envelope's context is the default of its members.
      await librato.reset();
      const { context } = consent({ analytics: false, advertising: true });
      succeeded(await strict.post("/v1/batch", batch([track("Consent"), track("Consent", rows[3][0])], { context })));
      assert.equal((await librato.metric("Consent")).count, 1);
    });
  });

  it("unset: not judged", async () => {
    for (const [more] of rows) succeeded(await worker.post("/v1/track", track("Consent", more)));
    const { metrics } = await librato.state();
    assert.equal(metrics.map(({ count }) => count).reduce(total), rows.length - 1);
  });
});

describe("LATE_EVENTS", () => {
  const outside = [-3 * 3600, -7_300, 700, 86_400, -400 * 86_400];
  const inside = [-7_000, -60, 0, 500];

  it("reject: outside Librato's time window is refused, inside counts at its own time", async () => {
    for (const seconds of outside) {
      const event = track("Late", { timestamp: iso(now() + seconds) });
      refused(await worker.post("/v1/track", event), 400, "timestamp_out_of_range", /timestamp/);
    }
    await nothingMeasured();
    for (const seconds of inside) {
      const at = now() + seconds;
      succeeded(await worker.post("/v1/track", track(`At ${seconds}`, { timestamp: iso(at) })));
      assert.equal((await librato.metric(`At-${seconds}`.replace(/[^A-Za-z0-9-]/g, "-"))).lastTime, at);
    }
  });

  it("now: outside counts at the time of receipt, inside at its own time", async () => {
    await withSettings({ LATE_EVENTS: "now" }, async (lenient) => {
      const before = now();
      const own = before - 60;
      const events = outside.map((seconds) => track("Late", { timestamp: iso(before + seconds) }));
      succeeded(
        await lenient.post(
          "/v1/batch",
          batch([...events, track("Own", { timestamp: iso(own) })], { sentAt: undefined }),
        ),
      );
      const late = await librato.metric("Late");
      assert.equal(late.count, outside.length);
      const { series } = await librato.series("Late");
      for (const [second] of series[0].points) assert.ok(second >= before && second <= now(), `${second}`);
      assert.equal((await librato.metric("Own")).lastTime, own);
      // What is no time at all is as late as one can be.
      for (const timestamp of ["yesterday", true, {}, "", null]) {
        succeeded(await lenient.post("/v1/track", track("No Time", { timestamp })));
      }
      const { count, lastTime } = await librato.metric("No-Time");
      assert.equal(count, 5);
      assert.ok(lastTime >= before && lastTime <= now(), `${lastTime}`);
    });
  });
});

describe("ROLLUP_SECONDS and METRIC_PERIOD", () => {
  /** Sends one event at each of these seconds, and returns when the gauges are and how many events each has. */
  async function rolled(settings, seconds) {
    await withSettings(settings, async (other) => {
      const events = seconds.map((second) => track("Rolled", { timestamp: iso(second), properties: { value: 2 } }));
      succeeded(await other.post("/v1/batch", batch(events, { sentAt: undefined })));
    });
    const [{ members }] = await librato.requests();
    return members.map(({ measure_time, count, sum, value }) => [measure_time, count ?? 1, sum ?? value]);
  }

  const begin = (length) => Math.floor((now() - 2 * length) / length) * length;

  it("unset: one second", async () => {
    const at = begin(60);
    assert.deepEqual(await rolled({}, [at, at, at + 1, at]), [
      [at, 3, 6],
      [at + 1, 1, 2],
    ]);
  });

  for (const length of [10, 600]) {
    it(`${length}: from the first second of an interval to its last`, async () => {
      const at = begin(length);
      const seconds = [at, at + 1, at + length - 1, at + length, at - 1];
      assert.deepEqual(await rolled({ ROLLUP_SECONDS: String(length) }, seconds), [
        [at, 3, 6],
        [at + length, 1, 2],
        [at - length, 1, 2],
      ]);
    });
  }

  it("an interval that began before Librato's time window is not sent as too old", async () => {
    // 2 h − 5 s old: the interval of ten minutes that it lies in mostly began before the window.
    const at = now() - 7_195;
    const [[time, count]] = await rolled({ ROLLUP_SECONDS: "600" }, [at]);
    assert.ok(time <= at && time > at - 600, `${time}`);
    assert.equal(count, 1);
    assert.equal((await librato.metric("Rolled")).count, 1);
  });

  for (const [value, period] of [
    [null, 60],
    ["10", 10],
    ["600", 600],
  ]) {
    it(`METRIC_PERIOD ${value ?? "unset"}: a new metric aggregates over ${period} s and sums`, async () => {
      await withSettings({ METRIC_PERIOD: value }, async (other) => {
        succeeded(await other.post("/v1/track", track("Period")));
      });
      const { body } = await librato.api("/v1/metrics/Period");
      assert.equal(body.period, period);
      assert.deepEqual([body.attributes.aggregate, body.attributes.summarize_function], [true, "sum"]);
    });
  }

  it("METRIC_PERIOD off: a new metric has neither", async () => {
    await withSettings({ METRIC_PERIOD: "off" }, async (other) => {
      succeeded(await other.post("/v1/track", track("Period")));
    });
    const { body } = await librato.api("/v1/metrics/Period");
    assert.notEqual(body.period, 60);
    assert.notEqual(body.attributes?.aggregate, true);
    assert.notEqual(body.attributes?.summarize_function, "sum");
  });
});

describe("PATH_PREFIX: every route under it too", () => {
  const WEBHOOK_SECRET = "a-shared-secret";
  const posts = [
    ..."track t page p identify i group g alias a screen s m batch b import".split(" ").map((name) => `/${name}`),
  ];
  const body = (path) =>
    ["/batch", "/b", "/import"].includes(path) ? batch([track("Prefix")]) : { ...track("Prefix"), name: "Prefix" };

  for (const [setting, prefix] of [
    ["/collect", "/collect"],
    ["in/here/", "/in/here"],
  ]) {
    it(`"${setting}"`, async () => {
      await withSettings({ PATH_PREFIX: setting, WEBHOOK_SECRET }, async (other) => {
        for (const path of posts) {
          for (const spelling of [`${prefix}/v1${path}`, `${prefix}${path}/`, `/v1${path}`, path]) {
            succeeded(await other.post(`${spelling}?a=b`, body(path)));
          }
          refused(await other.fetch(`${prefix}/v1${path}`), 405, "method_not_allowed", /POST/);
          const preflight = await other.fetch(`${prefix}/v1${path}`, {
            method: "OPTIONS",
            headers: { origin: "https://shop.example" },
          });
          assert.equal(preflight.status, 204);
        }
        // Track and its short form, page and its, and three kinds of batches, in four spellings each.
        const { metrics } = await librato.state();
        assert.deepEqual(metrics.map(({ name, count }) => [name, count]).sort(), [
          ["Prefix", 20],
          ["Viewed-Prefix-Page", 8],
        ]);

        const { host } = new URL(other.url);
        for (const base of [prefix, `${prefix}/v1`, "", "/v1"]) {
          const data = base64url(keyed(track("Pixel")));
          const pixel = await get(other, `${base}/pixel/track?data=${data}`);
          assert.equal(pixel.headers.get("x-event-status"), "accepted");
          const script = await get(other, `${base}/t?data=${base64url(keyed(track("Script")))}&callback=f`);
          assert.match(script.text, /f\(\{"success":true\}\)/);
          const settings = await get(other, `${base}/projects/${writeKey}/settings`);
          // The library goes on under the prefix that it came by.
          const { apiHost } = settings.json().integrations["Segment.io"];
          assert.equal(apiHost, `${host}${base.startsWith(prefix) ? prefix : ""}/v1`);
          assert.equal((await other.fetch(`${base}/health`)).json().status, "ok");
          refused(await other.post(`${base}/webhooks/segment`, {}), 401, "invalid_signature");
          refused(await other.post(`${base}/none`, {}), 404, "not_found");
        }
        for (const base of [prefix, ""]) {
          const script = await get(other, `${base}/analytics.js/v1/${writeKey}/analytics.min.js`);
          assert.equal(script.status, 200);
          assert.match(script.headers.get("content-type"), /javascript/);
        }
        assert.equal((await librato.metric("Pixel")).count, 4);
        assert.equal((await librato.metric("Script")).count, 4);
        for (const path of [
          `${prefix}v1/t`,
          `${prefix}/x/v1/t`,
          `/x${prefix}/v1/t`,
          `${prefix}${prefix}/v1/t`,
          prefix,
        ]) {
          refused(await other.post(path, track("X")), 404, "not_found");
        }
      });
    });
  }
});

describe("RATE_LIMITER: one that fails limits nobody", () => {
  for (const [what, says, status] of [
    ["it lets pass", "return { success: true }", 200],
    ["it limits", "return { success: false }", 429],
    ["it throws", 'throw new Error("out of order")', 200],
    ["it answers nothing", "return {}", 200],
  ]) {
    it(what, async () => {
      const front = `
        import worker from "./index.js";
        export * from "./index.js";
        const RATE_LIMITER = { async limit() { ${says} } };
        export default { fetch: (request, env, context) => worker.fetch(request, { ...env, RATE_LIMITER }, context) };
      `;
      await withWorker({ librato: librato.url, front }, async (other) => {
        const answer = await other.post("/v1/track", track("Limiter"));
        if (status === 200) succeeded(answer);
        else refused(answer, status, "rate_limited");
      });
    });
  }
});

describe("RATE_LIMITER: the platform's binding", () => {
  const LIMIT = 3;
  const another = "another-key";
  const origin = "https://shop.example";
  let dev;
  before(async () => {
    // As it would stand in `wrangler.toml`.
    const ratelimits = [{ name: "RATE_LIMITER", namespace_id: "1001", simple: { limit: LIMIT, period: 60 } }];
    const settings = { WRITE_KEYS: `${writeKey},${another}` };
    dev = await startDev({ librato: librato.url, settings, config: { ratelimits } });
  });
  after(() => dev?.stop());

  let addresses = 0;
  /** The address of a client that has not asked before. */
  function client() {
    addresses += 1;
    return `192.0.2.${addresses}`;
  }

  async function ask(path, { address, key = writeKey, method = "POST", body }) {
    const started = performance.now();
    const response = await dev.fetch(path, {
      method,
      headers: { authorization: basic(key), "cf-connecting-ip": address, origin },
      body: body && JSON.stringify(body),
    });
    const text = await response.text();
    const answer = { status: response.status, headers: response.headers, text, ms: performance.now() - started };
    readableFrom(origin, answer, `${method} ${path}`);
    return { ...answer, json: () => JSON.parse(text) };
  }

  /** Asks until `isLimited`. The binding's windows follow the clock, so two of them may meet in this. */
  async function exhaust(path, options, isLimited = ({ status }) => status === 429) {
    const taken = [];
    for (;;) {
      const answer = await ask(path, options);
      if (isLimited(answer)) {
        assert.ok(taken.length >= LIMIT, `limited after ${taken.length}`);
        return { taken, limited: answer };
      }
      taken.push(answer);
      assert.ok(taken.length <= 2 * LIMIT, "never limited");
    }
  }

  for (const [path, body, measured] of [
    ["/v1/track", track("Limited"), 1],
    ["/v1/p", page("Limited"), 1],
    // Requests are limited, not events.
    ["/v1/batch", batch([track("Limited"), track("Limited")]), 2],
    ["/v1/import/", batch([track("Limited")]), 1],
    ["/v1/identify", { userId }, 0],
  ]) {
    it(`POST ${path}: 429 rate_limited with both headers, and only what was taken is measured`, async () => {
      const { taken, limited } = await exhaust(path, { address: client(), body });
      for (const answer of taken) succeeded(answer);
      checkAnswer({ method: "POST", path, origin }, limited);
      refused(limited, 429, "rate_limited");
      const seconds = limited.headers.get("retry-after");
      assert.ok(Number(seconds) >= 1 && Number(seconds) <= 300, seconds);
      assert.equal(limited.headers.get("x-ratelimit-reset"), seconds);
      const { metrics } = await librato.state();
      assert.equal(metrics[0]?.count ?? 0, taken.length * measured);
    });
  }

  it("by write key and address together", async () => {
    const [address, body] = [client(), { userId }];
    await exhaust("/v1/identify", { address, body });
    succeeded(await ask("/v1/identify", { address: client(), body }));
    succeeded(await ask("/v1/identify", { address, key: another, body }));
  });

  it("the pixel and the script", async () => {
    const query = `data=${base64url(track("Limited"))}&writeKey=${writeKey}`;
    const options = { address: client(), method: "GET" };
    const fate = ({ headers }) => headers.get("x-event-status");
    const { taken, limited } = await exhaust(
      `/v1/pixel/track?${query}`,
      options,
      (answer) => fate(answer) === "rate_limited",
    );
    for (const answer of taken) assert.equal(fate(answer), "accepted");
    assert.deepEqual([limited.status, limited.headers.get("content-type")], [200, "image/gif"]);
    await exhaust(`/v1/t?${query}&callback=f`, { ...options, address: client() });
  });

  it("the log counts it, and names nobody", async () => {
    const address = client();
    await exhaust("/v1/identify", { address, body: { userId } });
    const limited = await waitFor("the log line", () => dev.logs().find((line) => line.includes("rate_limited")));
    const { route, status, code } = JSON.parse(limited);
    assert.equal(status, 429);
    assert.equal(code, "rate_limited");
    assert.equal(typeof route, "string");
    for (const secret of [writeKey, another, userId, address]) assert.ok(!dev.logs().join().includes(secret));
  });

  it("what brings no events is not limited", async () => {
    const address = client();
    await exhaust("/v1/identify", { address, body: { userId } });
    for (let index = 0; index < 2 * LIMIT; index += 1) {
      for (const [path, method, status] of [
        [`/v1/projects/${writeKey}/settings`, "GET", 200],
        [`/analytics.js/v1/${writeKey}/analytics.min.js`, "GET", 200],
        ["/health", "GET", 200],
        ["/v1/track", "OPTIONS", 204],
      ]) {
        assert.equal((await ask(path, { address, method })).status, status, path);
      }
    }
  });
});

describe("GET /health", () => {
  // Each value that is shown by mistake can be told by its 4711.
  const malformed = [
    ["LIBRATO_EMAIL", "user:4711"],
    ["LIBRATO_TOKEN", " "],
    ["LIBRATO_URL", "librato-4711.example"],
    ["LIBRATO_URL", "https:///4711"],
    ["LIBRATO_URL", "https://user:4711@librato.example"],
    ["LIBRATO_URL", "https://librato.example/?4711"],
    ["LIBRATO_API", "4711"],
    ["LIBRATO_API", "Metrics"],
    ["WRITE_KEYS", ","],
    ["LATE_EVENTS", "4711"],
    ["ROLLUP_SECONDS", "601"],
    ["ROLLUP_SECONDS", "1.5"],
    ["ROLLUP_SECONDS", "10s"],
    ["METRIC_PERIOD", "0"],
    ["METRIC_PERIOD", "-4711"],
    ["METRIC_PERIOD", "on"],
    ["PATH_PREFIX", "/a b/4711"],
    ["PATH_PREFIX", "/a?4711"],
    ["LIBRARY_FILE", "4711"],
    ["LIBRARY_FILE", "in/4711.js"],
    // Lists that name nothing: open to everybody is not what was meant. ALLOWED_ORIGINS stops pages only, see above.
    ["ALLOWED_EVENTS", ","],
    ["CONSENT_CATEGORIES", ","],
  ];
  const names = [...new Set(malformed.map(([name]) => name))];

  for (const [name, value] of malformed) {
    it(`names ${name}=${JSON.stringify(value)}, and no value`, async () => {
      await withSettings({ [name]: value }, async (broken) => {
        const health = await get(broken, "/health");
        assert.equal(health.status, 503, health.text);
        assert.notEqual(health.json().status, "ok");
        for (const other of names) assert.equal(health.text.includes(other), other === name, health.text);
        assert.doesNotMatch(health.text.replaceAll(broken.url, ""), /4711/, "a value is shown");
        const answer = await broken.post("/v1/track", track("X"));
        // Nothing but their own routes needs these.
        if (["PATH_PREFIX", "LIBRARY_FILE"].includes(name)) return succeeded(answer);
        refused(answer, 503, "misconfigured", new RegExp(name));
        assert.doesNotMatch(answer.text, /4711/, "a value is shown");
        await nothingMeasured();
      });
    });
  }

  it("a number and a boolean count as their text", async () => {
    await withSettings({ ROLLUP_SECONDS: 10, METRIC_PERIOD: 60, METRIC_PREFIX: true }, async (other) => {
      assert.equal((await get(other, "/health")).status, 200);
    });
    await withSettings({ ROLLUP_SECONDS: 601 }, async (broken) => {
      const health = await get(broken, "/health");
      assert.equal(health.status, 503);
      assert.ok(health.text.includes("ROLLUP_SECONDS"));
    });
  });

  it("names what is of another type", async () => {
    for (const [name, value] of [
      ["CONSENT_CATEGORIES", ["4711"]],
      ["ALLOWED_EVENTS", { 4711: true }],
      ["LATE_EVENTS", ["now"]],
    ]) {
      await withSettings({ [name]: value }, async (broken) => {
        const health = await get(broken, "/health");
        assert.equal(health.status, 503, health.text);
        for (const other of names) assert.equal(health.text.includes(other), other === name, health.text);
        assert.doesNotMatch(health.text.replaceAll(broken.url, ""), /4711/, "a value is shown");
      });
    }
  });

  it("names all of them at once", async () => {
    const settings = {
      LIBRATO_EMAIL: null,
      LIBRATO_TOKEN: null,
      LIBRATO_URL: null,
      WRITE_KEYS: null,
      LATE_EVENTS: "x",
    };
    await withSettings(settings, async (broken) => {
      const health = await get(broken, "/health");
      assert.equal(health.status, 503);
      for (const name of names) assert.equal(health.text.includes(name), name in settings, health.text);
    });
  });

  it("needs no key, asks nobody, and takes no origin ill", async () => {
    await withSettings({ ALLOWED_ORIGINS: "https://shop.example" }, async (strict) => {
      for (const path of ["/health", "/health?deep=0", "/health?deep=", "/v1/health/?deeper=1"]) {
        const answer = await get(strict, path, { origin: "https://evil.example" });
        assert.equal(answer.status, 200, answer.text);
        assert.equal(answer.json().status, "ok");
        assert.match(answer.headers.get("content-type"), /^application\/json\b/);
        assert.match(answer.headers.get("cache-control") ?? "", /\bno-store\b/);
      }
    });
  });
});

describe("GET /health?deep=1: whether Librato takes the credentials", () => {
  const key = { authorization: basic(writeKey) };
  const deep = (to, headers = key) => get(to, "/health?deep=1", headers);

  /** A 503 with this code and a pause, as every 503. */
  function ill(answer, code, about) {
    assert.equal(answer.status, 503, answer.text);
    const body = answer.json();
    assert.notEqual(body.status, "ok");
    assert.equal(body.code, code, answer.text);
    assert.match(body.message, about);
    const seconds = Number(answer.headers.get("retry-after"));
    assert.ok(seconds >= 1 && seconds <= 300, `${seconds}`);
  }

  it("good ones: 200, and nothing is measured", async () => {
    for (const [path, headers] of [
      ["/health?deep=1", key],
      [`/health?deep=1&writeKey=${writeKey}`, {}],
      ["/v1/health/?a=b&deep=1", key],
    ]) {
      const answer = await get(worker, path, headers);
      assert.equal(answer.status, 200, answer.text);
      assert.equal(answer.json().status, "ok");
    }
    assert.deepEqual(await librato.state().then(({ requests, metrics }) => [requests, metrics]), [0, []]);
  });

  it("bad ones: 503 misconfigured, and the two settings are named", async () => {
    for (const settings of [{ LIBRATO_TOKEN: "an-old-token" }, { LIBRATO_EMAIL: "somebody@example.com" }]) {
      await withSettings(settings, async (broken) => {
        const answer = await deep(broken);
        ill(answer, "misconfigured", /LIBRATO_EMAIL.*LIBRATO_TOKEN/);
        for (const value of Object.values(settings)) assert.ok(!answer.text.includes(value));
        // Without being asked to ask, it cannot know.
        assert.equal((await get(broken, "/health")).status, 200);
      });
    }
  });

  it("without a key, or with one that is not accepted: 400, and Librato is not asked", async () => {
    const scripted = await startScripted();
    try {
      await withWorker({ librato: scripted.url }, async (other) => {
        for (const headers of [
          {},
          { authorization: basic("other") },
          { authorization: basic("") },
          { authorization: `Bearer ${writeKey}` },
        ]) {
          const answer = await deep(other, { ...headers, origin: "https://shop.example" });
          assert.equal(answer.status, 400, answer.text);
          assert.equal(answer.json().code, "invalid_write_key");
        }
        assert.equal((await get(other, "/health?deep=1&writeKey=other")).status, 400);
        assert.equal(scripted.requests.length, 0);
      });
    } finally {
      await scripted.stop();
    }
  });

  it("a missing setting is named all the same", async () => {
    await withSettings({ LIBRATO_TOKEN: null }, async (broken) =>
      ill(await deep(broken), "misconfigured", /LIBRATO_TOKEN/),
    );
  });

  it("a Librato that is not there: 503 upstream_unavailable", async () => {
    const port = await freePort();
    await withWorker({ librato: `http://127.0.0.1:${port}` }, async (alone) => {
      ill(await deep(alone), "upstream_unavailable", /LIBRATO_URL/);
    });
  });

  describe("what else it may answer", () => {
    let scripted;
    let other;
    before(async () => {
      scripted = await startScripted();
      other = await startWorker({ librato: scripted.url, settings: { OPERATOR_TOKEN: operatorToken } });
    });
    after(async () => {
      await scripted?.stop();
      await other?.stop();
    });

    /** Who has a write key alone is told for a while what was found before. */
    const deep = (to) => get(to, "/health?deep=1", { authorization: `Bearer ${operatorToken}` });

    it("for a write key it is asked once in a while", async () => {
      scripted.play([]);
      const answers = await Promise.all(Array.from({ length: 5 }, () => get(other, "/health?deep=1", key)));
      assert.ok(answers.every(({ status }) => status === 200 || status === 429));
      assert.equal((await get(other, "/health?deep=1", key)).status, 200);
      assert.equal(scripted.requests.length, 1);
    });

    it("is asked once, by a GET with the credentials and the name of this project", async () => {
      scripted.play([], () => ({ body: { query: { found: 0 }, metrics: [] } }));
      assert.equal((await deep(other)).status, 200);
      assert.equal(scripted.requests.length, 1);
      const [{ method, path, headers, text }] = scripted.requests;
      assert.equal(method, "GET");
      assert.match(path, /^\/v1\/metrics\b/);
      assert.equal(headers.authorization, basic(secrets.LIBRATO_EMAIL, secrets.LIBRATO_TOKEN));
      assert.match(headers["user-agent"], /^librato-edge\//);
      assert.equal(text, "");
    });

    const answers = {
      "401 in plain text": [
        { status: 401, body: "Credentials are required to access this resource." },
        "misconfigured",
      ],
      403: [{ status: 403, body: { errors: { request: ["Not authorized"] } } }, "misconfigured"],
      500: [{ status: 500 }, "upstream_unavailable"],
      503: [{ status: 503, body: "<html>" }, "upstream_unavailable"],
      404: [{ status: 404 }, "upstream_unavailable"],
      "a redirect": [{ status: 302, headers: { location: "/elsewhere" } }, "upstream_unavailable"],
      "a connection cut": [{ cut: "before" }, "upstream_unavailable"],
      "a connection cut in the middle": [{ cut: "middle", body: "{" }, "upstream_unavailable"],
      "no answer": [{ hang: "all" }, "upstream_unavailable"],
    };
    for (const [what, [answer, code]] of Object.entries(answers)) {
      it(`${what}: ${code}`, async () => {
        scripted.play([], () => answer);
        ill(await deep(other), code, /LIBRATO_/);
        assert.notEqual(scripted.requests.length, 0);
        assert.ok(scripted.requests.every(({ path }) => path.startsWith("/v1/metrics")));
      });
    }

    it("an answer that repeats the credentials gives nothing away", async () => {
      const echo = ({ headers }) => `${headers.authorization} ${secrets.LIBRATO_EMAIL} ${secrets.LIBRATO_TOKEN}`;
      scripted.play([], (request) => ({ status: 500, body: echo(request), headers: { "x-echo": "1" } }));
      ill(await deep(other), "upstream_unavailable", /./);
    });
  });
});

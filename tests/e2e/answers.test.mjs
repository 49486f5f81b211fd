// The answers to clients: every status and every code, in workerd, against the local Librato.

import assert from "node:assert/strict";
import { after, before, beforeEach, describe, it } from "node:test";
import { library } from "../../scripts/lib/library.mjs";
import { list } from "./lib/contract.mjs";
import { batch, now, page, sized, track, tracks, userId } from "./lib/events.mjs";
import { partly, refused, succeeded } from "./lib/expect.mjs";
import { startLibrato } from "./lib/librato.mjs";
import { untold } from "./lib/plain.mjs";
import { waitFor } from "./lib/wait.mjs";
import { basic, startWorker, withWorker, writeKey } from "./lib/worker.mjs";

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

describe("200: every event that can be kept is kept", () => {
  it("a Track call", async () => {
    succeeded(await worker.post("/v1/track", track("Order Completed", { properties: { value: 2.5 } })));
    assert.deepEqual(await librato.totals(), { "Order-Completed Order-Completed": { count: 1, sum: 2.5 } });
  });

  it("a Page call", async () => {
    succeeded(await worker.post("/v1/page", page("Home", { category: "Docs" })));
    assert.deepEqual(await librato.totals(), { "Viewed-Docs-Home-Page Viewed-Docs-Home-Page": { count: 1, sum: 1 } });
  });

  it("a batch of both", async () => {
    succeeded(await worker.post("/v1/batch", batch([track("Signed Up"), page("Home"), track("Signed Up")])));
    assert.deepEqual(await librato.totals(), {
      "Signed-Up Signed-Up": { count: 2, sum: 2 },
      "Viewed-Home-Page Viewed-Home-Page": { count: 1, sum: 1 },
    });
  });

  it('a batch of which some was refused: "accepted" and "rejected"', async () => {
    const events = [
      track("Good"),
      track(undefined, { messageId: "no-event" }),
      page("Home"),
      track("Bad Value", { messageId: "no-number", properties: { value: "much" } }),
    ];
    const answer = await worker.post("/v1/batch", batch(events));
    assert.equal(answer.status, 200, answer.text);
    const { rejected, ...rest } = answer.json();
    assert.deepEqual(rest, { success: true, accepted: 2 });
    assert.deepEqual(
      rejected.map(({ message, ...one }) => one),
      [
        { index: 1, messageId: "no-event", code: "missing_event" },
        { index: 3, messageId: "no-number", code: "invalid_value" },
      ],
    );
    assert.match(rejected[0].message, /\bevent\b/);
    assert.match(rejected[1].message, /properties\.value/);
    assert.deepEqual(Object.keys(await librato.totals()).sort(), ["Good Good", "Viewed-Home-Page Viewed-Home-Page"]);
  });

  it("an empty batch, without a request to Librato", async () => {
    succeeded(await worker.post("/v1/batch", batch([])));
    await nothingMeasured();
  });

  it('the path gives the type of a single event, whatever its "type" says', async () => {
    succeeded(await worker.post("/v1/track", track("By Path", { type: undefined })));
    succeeded(await worker.post("/v1/track", track("By Path", { type: "page" })));
    succeeded(await worker.post("/v1/page", page("By Path", { type: "nonsense" })));
    assert.deepEqual(await librato.totals(), {
      "By-Path By-Path": { count: 2, sum: 2 },
      "Viewed-By-Path-Page Viewed-By-Path-Page": { count: 1, sum: 1 },
    });
  });

  it("identify, group, alias, screen and library metrics are acknowledged and not measured", async () => {
    for (const type of ["identify", "group", "alias", "screen"]) {
      for (const path of [`/v1/${type}`, `/v1/${type[0]}`, `/${type}`, `/${type[0]}/`]) {
        succeeded(await worker.post(path, { type, userId, traits: { plan: "pro" } }));
      }
    }
    const counter = { type: "Counter", metric: "analytics_js.invoke", value: 1, tags: {} };
    succeeded(await worker.post("/v1/m", { series: [counter] }));
    // The libraries send these without a key; a wrong one is refused as anywhere.
    succeeded(await worker.post("/v1/m", { series: [counter] }, { authorization: null }));
    refused(
      await worker.post("/v1/m", { series: [counter] }, { authorization: basic("wrong") }),
      400,
      "invalid_write_key",
    );
    succeeded(
      await worker.post(
        "/v1/batch",
        batch([
          { type: "identify", userId },
          { type: "screen", userId },
        ]),
      ),
    );
    await nothingMeasured();
  });

  it("an event switched off by its integrations is accepted and not measured", async () => {
    succeeded(await worker.post("/v1/track", track("Off", { integrations: { All: false } })));
    succeeded(await worker.post("/v1/track", track("Off", { integrations: { Librato: false } })));
    await nothingMeasured();
  });

  it("the same messageId twice in one request counts once", async () => {
    const twice = track("Once");
    succeeded(await worker.post("/v1/batch", batch([twice, twice, track("Once")])));
    assert.deepEqual(await librato.totals(), { "Once Once": { count: 2, sum: 2 } });
  });

  it("LATE_EVENTS=now: an event outside the window counts at the time of receipt", async () => {
    await withSettings({ LATE_EVENTS: "now" }, async (lenient) => {
      const late = new Date(Date.now() - 3 * 3600e3).toISOString();
      const before = now();
      succeeded(await lenient.post("/v1/track", track("Late", { timestamp: late })));
      const { lastTime } = await librato.metric("Late");
      assert.ok(lastTime >= before && lastTime <= now(), `${lastTime}`);
    });
  });
});

describe("routes: long and short, with and without /v1, with a trailing slash, whatever the query string", () => {
  const routes = [
    { names: ["track", "t"], body: () => track("Route"), metric: "Route" },
    { names: ["page", "p"], body: () => page("Route"), metric: "Viewed-Route-Page" },
    { names: ["batch", "b", "import"], body: () => batch([track("Route")]), metric: "Route" },
  ];
  for (const { names, body, metric } of routes) {
    for (const name of names) {
      it(`POST /v1/${name}`, async () => {
        let sent = 0;
        for (const prefix of ["/v1", ""]) {
          for (const slash of ["", "/"]) {
            for (const query of ["", "?", "?a=b&c=/v1/health", "?writeKey=other"]) {
              succeeded(await worker.post(`${prefix}/${name}${slash}${query}`, body()));
              sent += 1;
            }
          }
        }
        assert.equal((await librato.metric(metric)).count, sent);
      });
    }
  }

  it("PATH_PREFIX: the same routes under another prefix too", async () => {
    await withSettings({ PATH_PREFIX: "/in/here" }, async (other) => {
      for (const path of ["/in/here/v1/t", "/in/here/track/", "/v1/t", "/in/here/v1/batch?a=b"]) {
        const body = path.includes("batch") ? batch([track("Route")]) : track("Route");
        succeeded(await other.post(path, body));
      }
      assert.equal((await librato.metric("Route")).count, 4);
      assert.equal((await other.fetch("/in/here/health")).status, 200);
      assert.equal((await other.post("/in/herev1/t", track("Route"))).status, 404);
    });
  });
});

// A library that keeps what was refused at the head of its queue would send it for ever, so a batch that could be read is 200.
describe('a single event is 400 with the code of its fault, a batch of only such events 200 with "accepted": 0', () => {
  const long = new Date(Date.now() - 3 * 3600e3).toISOString();
  const soon = new Date(Date.now() + 3600e3).toISOString();
  const faults = [
    { code: "unsupported_type", event: { type: "purchase", userId }, about: /\btype\b/, batchOnly: true },
    { code: "missing_type", event: { event: "No Type", userId }, about: /\btype\b/, batchOnly: true },
    { code: "missing_type", event: { type: null, event: "No Type", userId }, about: /\btype\b/, batchOnly: true },
    { code: "missing_event", event: { type: "track", userId }, about: /\bevent\b/ },
    { code: "missing_event", event: track(""), about: /\bevent\b/ },
    { code: "missing_event", event: track(7), about: /\bevent\b/ },
    { code: "missing_event", event: track(null), about: /\bevent\b/ },
    { code: "missing_identity", event: { type: "track", event: "X" }, about: /userId.*anonymousId/ },
    { code: "missing_identity", event: { type: "track", event: "X", userId: null, anonymousId: "" }, about: /userId/ },
    { code: "missing_identity", event: { type: "page", name: "X" }, about: /anonymousId/, path: "/v1/page" },
    { code: "invalid_value", event: track("X", { properties: { value: "abc" } }), about: /properties\.value/ },
    { code: "invalid_value", event: track("X", { properties: { value: "" } }), about: /properties\.value/ },
    { code: "invalid_value", event: track("X", { properties: { value: true } }), about: /properties\.value/ },
    { code: "invalid_value", event: track("X", { properties: { value: {} } }), about: /properties\.value/ },
    { code: "invalid_value", event: track("X", { properties: { value: 1e127 } }), about: /properties\.value/ },
    { code: "invalid_value", event: track("X", { properties: { value: -1e127 } }), about: /properties\.value/ },
    { code: "invalid_timestamp", event: track("X", { timestamp: "yesterday" }), about: /timestamp/ },
    { code: "invalid_timestamp", event: track("X", { timestamp: true }), about: /timestamp/ },
    { code: "timestamp_out_of_range", event: track("X", { timestamp: long }), about: /timestamp/ },
    { code: "timestamp_out_of_range", event: track("X", { timestamp: soon }), about: /timestamp/ },
    { code: "timestamp_out_of_range", event: track("X", { timestamp: 0 }), about: /timestamp/ },
    {
      code: "invalid_source",
      event: track("X", { integrations: { Librato: { source: ["a"] } } }),
      about: /integrations\.Librato\.source|source/,
    },
    {
      code: "event_too_large",
      event: JSON.parse(sized(70_000, (pad) => track("X", { properties: { pad } }))),
      about: /65,?536/,
    },
  ];

  for (const { code, event, about, batchOnly, path = "/v1/track" } of faults) {
    const shown = JSON.stringify(event, (_, value) => (value === userId ? "…" : value)).slice(0, 100);
    it(`${code}: ${shown.replace(/,"messageId":"[^"]*"/, "")}`, async () => {
      if (!batchOnly) refused(await worker.post(path, event), 400, code, about);

      const named = { ...event, messageId: "m-1" };
      const alone = await worker.post("/v1/batch", batch([named]));
      partly(alone, 0, [[0, code]]);
      const { rejected } = alone.json();
      const { message, ...rest } = rejected[0];
      assert.deepEqual(rest, { index: 0, messageId: "m-1", code });
      assert.match(message, about);
      await librato.reset();

      const mixed = await worker.post("/v1/batch", batch([track("Good"), event]));
      partly(mixed, 1, [[1, code]]);
      assert.deepEqual(await librato.totals(), { "Good Good": { count: 1, sum: 1 } });
    });
  }

  it("event_not_allowed: ALLOWED_EVENTS lists the metric names that may be created", async () => {
    await withSettings({ ALLOWED_EVENTS: "Order-*,Viewed-Home-Page" }, async (strict) => {
      refused(await strict.post("/v1/track", track("Signed Up")), 400, "event_not_allowed", /Signed-Up|event/);
      refused(await strict.post("/v1/page", page("Other")), 400, "event_not_allowed");
      succeeded(await strict.post("/v1/track", track("Order Completed")));
      succeeded(await strict.post("/v1/page", page("Home")));
      const { metrics } = await librato.state();
      assert.deepEqual(metrics.map(({ name }) => name).sort(), ["Order-Completed", "Viewed-Home-Page"]);
    });
  });
});

describe('400 invalid_write_key: HTTP Basic user name, else "writeKey" in the body, else in the query', () => {
  const none = { authorization: null };
  it("none at all, or another", async () => {
    refused(await worker.post("/v1/track", track("X"), none), 400, "invalid_write_key", /write ?key/i);
    refused(await worker.post("/v1/track", track("X", { writeKey: "other" }), none), 400, "invalid_write_key");
    refused(await worker.post("/v1/track", track("X"), { authorization: basic("other") }), 400, "invalid_write_key");
    refused(await worker.post("/v1/track?writeKey=other", track("X"), none), 400, "invalid_write_key");
    refused(await worker.post("/v1/batch", batch([track("X")]), none), 400, "invalid_write_key");
    refused(await worker.post("/v1/identify", { userId }, none), 400, "invalid_write_key");
    for (const near of [writeKey.slice(0, -1), `${writeKey}x`, writeKey.toUpperCase(), "", " "]) {
      refused(await worker.post("/v1/track", track("X", { writeKey: near }), none), 400, "invalid_write_key");
    }
    await nothingMeasured();
  });

  it("the header, with any password and also without its colon", async () => {
    for (const credentials of [`${writeKey}:`, `${writeKey}:password`, writeKey]) {
      const authorization = `Basic ${Buffer.from(credentials).toString("base64")}`;
      succeeded(await worker.post("/v1/track", track("Key"), { authorization }));
      succeeded(
        await worker.post("/v1/track", track("Key"), { authorization: authorization.replace("Basic", "basic") }),
      );
    }
    assert.equal((await librato.metric("Key")).count, 6);
  });

  it("the body of an event or of a batch", async () => {
    succeeded(await worker.post("/v1/track", track("Key", { writeKey }), none));
    succeeded(await worker.post("/v1/batch", batch([track("Key")], { writeKey }), none));
    assert.equal((await librato.metric("Key")).count, 2);
  });

  it("the query", async () => {
    succeeded(await worker.post(`/v1/track?a=b&writeKey=${writeKey}`, track("Key"), none));
    succeeded(await worker.post(`/v1/batch/?writeKey=${encodeURIComponent(writeKey)}&c`, batch([track("Key")]), none));
    assert.equal((await librato.metric("Key")).count, 2);
  });

  it("a Bearer header is ignored", async () => {
    const bearer = { authorization: "Bearer abc.def.ghi" };
    succeeded(await worker.post("/v1/track", track("Key", { writeKey }), bearer));
    refused(await worker.post("/v1/track", track("Key"), bearer), 400, "invalid_write_key");
    refused(
      await worker.post("/v1/track", track("Key"), { authorization: `Bearer ${writeKey}` }),
      400,
      "invalid_write_key",
    );
  });

  it("the header comes before the body, and the body before the query", async () => {
    const other = { authorization: basic("other") };
    refused(await worker.post("/v1/track", track("Key", { writeKey }), other), 400, "invalid_write_key");
    succeeded(await worker.post("/v1/track?writeKey=other", track("Key", { writeKey }), none));
    refused(
      await worker.post(`/v1/track?writeKey=${writeKey}`, track("Key", { writeKey: "x" }), none),
      400,
      "invalid_write_key",
    );
  });

  it("WRITE_KEYS may list several", async () => {
    await withSettings({ WRITE_KEYS: "key-of-the-shop,key-of-the-blog" }, async (other) => {
      for (const key of ["key-of-the-shop", "key-of-the-blog"]) {
        succeeded(await other.post("/v1/track", track("Key"), { authorization: basic(key) }));
      }
      for (const key of ["key-of-the-shop,key-of-the-blog", "key-of-the", ""]) {
        refused(await other.post("/v1/track", track("Key"), { authorization: basic(key) }), 400, "invalid_write_key");
      }
    });
  });
});

describe("403 origin_not_allowed", () => {
  it("a browser origin that ALLOWED_ORIGINS does not list", async () => {
    const settings = { ALLOWED_ORIGINS: "https://shop.example,https://blog.example:8443" };
    await withSettings(settings, async (strict) => {
      for (const origin of ["https://shop.example", "https://blog.example:8443"]) {
        succeeded(await strict.post("/v1/track", track("From Page"), { origin }));
      }
      // Servers send no origin.
      succeeded(await strict.post("/v1/track", track("From Page")));
      const { requests } = await librato.state();
      for (const origin of [
        "https://evil.example",
        "http://shop.example",
        "https://shop.example:444",
        "https://shop.example.evil.example",
        "https://blog.example",
        "null",
      ]) {
        refused(await strict.post("/v1/track", track("From Page"), { origin }), 403, "origin_not_allowed", /origin/i);
        refused(await strict.post("/v1/batch", batch([track("X")]), { origin }), 403, "origin_not_allowed");

        const preflight = await strict.fetch("/v1/track", { method: "OPTIONS", headers: { origin } });
        assert.equal(preflight.status, 204);
        assert.equal(preflight.headers.get("access-control-allow-origin"), origin);
        assert.equal(preflight.headers.get("access-control-allow-credentials"), null);
      }
      assert.equal((await librato.state()).requests, requests);
    });
  });
});

describe("404 not_found, 405 method_not_allowed", () => {
  for (const path of ["/", "//", "/v1/purchase", "/v2/track", "/v1/track/x", "/track/v1", "/favicon.ico"]) {
    it(`404: ${path}`, async () => {
      for (const method of ["GET", "POST"]) {
        refused(await worker.fetch(path, { method }), 404, "not_found", /./);
      }
    });
  }

  const wrong = {
    ...Object.fromEntries(["/v1/track", "/v1/p", "/v1/identify", "/v1/m"].map((path) => [path, ["PUT", "PATCH"]])),
    // RudderStack's webhook destination may be told to use these.
    ...Object.fromEntries(["/v1", "/v1/batch", "/v1/b", "/v1/import/"].map((path) => [path, []])),
  };
  for (const [path, more] of Object.entries(wrong)) {
    it(`405: ${path} takes POST${more.length > 0 ? "" : ", PUT and PATCH"}`, async () => {
      for (const method of ["GET", "DELETE", ...more]) {
        const answer = await worker.fetch(path, { method, body: method === "GET" ? undefined : "{}" });
        refused(answer, 405, "method_not_allowed", /POST/);
        const allowed = list(answer.headers.get("allow"));
        assert.ok(allowed.includes("post") && allowed.includes("options"), allowed.join());
        for (const other of ["put", "patch"]) assert.equal(allowed.includes(other), more.length === 0, allowed.join());
        assert.ok(!allowed.includes(method.toLowerCase()), allowed.join());
      }
    });
  }

  it("405: /health takes GET", async () => {
    for (const method of ["POST", "DELETE"]) {
      const answer = await worker.fetch("/health", { method });
      assert.equal(answer.status, 405, answer.text);
      assert.equal(answer.json().code, "method_not_allowed");
      assert.ok(list(answer.headers.get("allow")).includes("get"));
    }
  });
});

describe("429 rate_limited: limited by Librato", () => {
  it("with Retry-After and X-RateLimit-Reset, both in seconds", async () => {
    for (const fault of ["429", "403-limit"]) {
      await librato.reset();
      await librato.fault({ answer: fault, times: 0, retryAfter: 30 });
      const answer = await worker.post("/v1/track", track("Limited"));
      refused(answer, 429, "rate_limited");
      assert.equal(answer.headers.get("retry-after"), "30");
      assert.equal(answer.headers.get("x-ratelimit-reset"), "30");
    }
  });
});

describe("503 misconfigured: a missing or malformed setting", () => {
  const settings = [
    ["LIBRATO_EMAIL", null],
    ["LIBRATO_EMAIL", ""],
    ["LIBRATO_TOKEN", null],
    ["LIBRATO_URL", null],
    ["LIBRATO_URL", "no-url-4711"],
    ["LIBRATO_URL", "ftp://ftp-4711.example"],
    ["WRITE_KEYS", null],
    ["WRITE_KEYS", " , "],
    ["LIBRATO_API", "metrics-4711"],
    ["LATE_EVENTS", "later-4711"],
    ["ROLLUP_SECONDS", "0"],
    ["ROLLUP_SECONDS", "4711"],
    ["METRIC_PERIOD", "period-4711"],
  ];
  const names = [...new Set(settings.map(([name]) => name))];
  for (const [name, value] of settings) {
    it(`${name}=${value ?? "(missing)"}`, async () => {
      await withSettings({ [name]: value }, async (broken) => {
        const health = await broken.fetch("/health");
        assert.equal(health.status, 503, health.text);
        assert.notEqual(health.json().status, "ok");
        for (const other of names) assert.equal(health.text.includes(other), other === name, health.text);
        assert.doesNotMatch(health.text.replaceAll(broken.url, ""), /4711/, "a value is shown");

        const origin = "https://shop.example";
        for (const [path, body] of [
          ["/v1/track", track("X")],
          ["/v1/batch", batch([track("X")])],
          ["/v1/page", page("X")],
        ]) {
          const answer = await broken.post(path, body, { origin });
          refused(answer, 503, "misconfigured");
          assert.doesNotMatch(answer.text, /4711/, "a value is shown");
        }
        assert.equal((await broken.fetch("/v1/none")).status, 404);
        assert.equal((await broken.fetch("/v1/track", { method: "OPTIONS", headers: { origin } })).status, 204);
      });
      await nothingMeasured();
    });
  }

  it("bad credentials", async () => {
    await withSettings({ LIBRATO_TOKEN: "an-old-token" }, async (broken) => {
      refused(await broken.post("/v1/track", track("X")), 503, "misconfigured");
      assert.equal((await librato.state()).accepted, 0);
    });
  });
});

describe("503 upstream_unavailable: Librato failing", () => {
  it("with Retry-After", async () => {
    await librato.fault({ answer: "503", times: 0 });
    refused(await worker.post("/v1/track", track("Down")), 503, "upstream_unavailable");
  });

  it("with the events that could never be accepted, where they were judged one by one", async () => {
    await librato.fault({ answer: "503", times: 0 });
    const events = batch([track("Down"), track(undefined, { messageId: "m-1" })]);
    const { rejected } = refused(await worker.post("/v1/batch", events), 503, "upstream_unavailable");
    assert.deepEqual(
      rejected.map(({ index, messageId, code }) => [index, messageId, code]),
      [[1, "m-1", "missing_event"]],
    );
  });
});

describe("what analytics.js loads", () => {
  // Plain requests: neither is JSON of the tracking protocol, and the settings hold the write key that was asked for.
  const get = (path) => fetch(worker.url + path, { headers: { origin: "https://shop.example" } });

  it("GET /v1/projects/{writeKey}/settings: back to this host, and nothing anywhere else", async () => {
    const host = new URL(worker.url).host;
    for (const path of [`/v1/projects/${writeKey}/settings`, `/projects/${writeKey}/settings/?a=b`]) {
      const response = await get(path);
      assert.equal(response.status, 200);
      assert.equal(response.headers.get("access-control-allow-origin"), "https://shop.example");
      const settings = await response.json();
      // Any other key has analytics.js load a script from elsewhere; without `metrics` it reports to elsewhere.
      assert.deepEqual(Object.keys(settings).sort(), ["integrations", "metrics"]);
      assert.equal(settings.metrics.sampleRate, 0);
      // The libraries of Customer.io and Hightouch send nothing unless they find themselves.
      const own = { apiKey: writeKey, apiHost: `${host}/v1`, protocol: "http" };
      const names = ["Segment.io", "Customer.io Data Pipelines", "Hightouch.io"];
      assert.deepEqual(settings.integrations, Object.fromEntries(names.map((name) => [name, own])));
    }
  });

  it("GET /analytics.js/v1/{writeKey}/analytics.min.js: the library of the npm package, told where it came from", async () => {
    const response = await get(`/analytics.js/v1/${writeKey}/analytics.min.js`);
    assert.equal(response.status, 200);
    assert.match(response.headers.get("content-type"), /^(text|application)\/javascript\b/);
    assert.equal(response.headers.get("access-control-allow-origin"), "https://shop.example");
    assert.equal(untold(await response.text()), untold(await library()));
  });

  it("404 for an unknown key, 405 for another method", async () => {
    for (const path of [
      "/v1/projects/other/settings",
      "/analytics.js/v1/other/analytics.min.js",
      "/analytics.min.js",
    ]) {
      refused(await worker.fetch(path), 404, "not_found");
    }
    for (const path of [`/v1/projects/${writeKey}/settings`, `/analytics.js/v1/${writeKey}/analytics.min.js`]) {
      refused(await worker.post(path, {}), 405, "method_not_allowed");
    }
  });
});

describe("GET /health", () => {
  it('200 {"status":"ok"} when nothing is missing, on every spelling of its path, without a key', async () => {
    for (const path of ["/health", "/health/", "/v1/health", "/health?verbose=1"]) {
      const answer = await worker.fetch(path, { headers: { authorization: null, origin: "https://shop.example" } });
      assert.equal(answer.status, 200, answer.text);
      assert.match(answer.headers.get("content-type"), /^application\/json\b/);
      assert.equal(answer.json().status, "ok");
    }
    await nothingMeasured();
  });
});

describe("CORS", () => {
  const origin = "https://shop.example";

  it("the origin headers stand on every answer, errors included", async () => {
    const answers = {
      200: () => worker.post("/v1/track", track("X"), { origin }),
      400: () => worker.post("/v1/track", "{", { origin }),
      404: () => worker.fetch("/v1/none", { headers: { origin } }),
      405: () => worker.fetch("/v1/track", { headers: { origin } }),
      429: () => worker.post("/v1/track", track("X"), { origin }),
      503: () => worker.post("/v1/track", track("X"), { origin }),
    };
    for (const [status, send] of Object.entries(answers)) {
      await librato.reset();
      if (status === "429") await librato.fault({ answer: "429", times: 0, retryAfter: 60 });
      if (status === "503") await librato.fault({ answer: "500", times: 0 });
      // The headers themselves are checked with every answer that the harness sees.
      assert.equal((await send()).status, Number(status));
    }
    await librato.reset();
    assert.equal((await worker.post("/v1/track", track("X"), { authorization: null, origin })).status, 400);
    assert.equal((await worker.post("/v1/track", track("X"), { origin: "null" })).status, 200);
  });

  const paths = [
    "/v1/track /v1/t /v1/page /v1/p /v1/batch /v1/b /v1/import/ /v1/identify /v1/s /v1/m /track /health /v1/none /",
  ].flatMap((line) => line.split(" "));
  for (const path of paths) {
    it(`OPTIONS ${path} → 204`, async () => {
      const answer = await worker.fetch(path, {
        method: "OPTIONS",
        headers: {
          origin,
          authorization: null,
          "access-control-request-method": "POST",
          "access-control-request-headers": "authorization,content-type,x-retry-count",
        },
      });
      assert.equal(answer.status, 204);
      assert.equal(answer.text, "");
      assert.equal(answer.headers.get("access-control-allow-credentials"), "true");
      assert.equal(answer.headers.get("access-control-max-age"), "86400");
      const methods = list(answer.headers.get("access-control-allow-methods"));
      assert.deepEqual(methods.sort(), ["get", "options", "post"]);
      const allowed = list(answer.headers.get("access-control-allow-headers"));
      for (const name of ["authorization", "content-type", "x-retry-count"])
        assert.ok(allowed.includes(name), allowed.join());
      assert.ok(!allowed.includes("*"), "with credentials the star is a name like any other");
    });
  }

  it("OPTIONS without an origin → 204", async () => {
    assert.equal((await worker.fetch("/v1/track", { method: "OPTIONS" })).status, 204);
  });
});

describe("the log", () => {
  it("one line a request, with counts and nothing of the payload", async () => {
    await withSettings({}, async (logging) => {
      const secret = "Xylophone";
      const events = [
        ...tracks(3, secret, { properties: { value: 31337, note: secret }, context: { ip: "203.0.113.9" } }),
        { type: "identify", userId, traits: { email: `${secret}@example.com` } },
        track(undefined, { messageId: `${secret}-1` }),
        track(secret, { properties: { value: secret } }),
        track(secret, { timestamp: secret }),
      ];
      const answer = await logging.post("/v1/batch", batch(events));
      assert.equal(answer.json().accepted, 4);
      await waitFor("a log line", () => logging.printed.length > 0);
      await logging.post("/v1/track", '{"event":"Xylophone');
      await logging.fetch("/v1/none/Xylophone", {
        headers: { "user-agent": secret, origin: `https://${secret}.example` },
      });
      await waitFor("three log lines", () => logging.printed.length >= 3);
      assert.equal(logging.printed.length, 3, logging.printed.join("\n"));
      const [{ ms, ...counted }] = logging.lines;
      assert.deepEqual(counted, {
        event: "request",
        route: "batch",
        status: 200,
        events: 7,
        accepted: 4,
        measured: 3,
        rejected: { invalid_timestamp: 1, invalid_value: 1, missing_event: 1 },
        messages: 0,
        gauges: 3,
        libratoRequests: 1,
      });
      assert.ok(ms >= 0 && ms < 7_000);
      assert.deepEqual(
        logging.lines.map(({ status, code }) => [status, code]),
        [
          [200, undefined],
          [400, "malformed_json"],
          [404, "not_found"],
        ],
      );
      for (const line of logging.printed) {
        assert.doesNotMatch(line, /Xylophone|31337|203\.0\.113\.9/i);
      }
    });
  });

  it("what was refused has its library, and names in other scripts are counted", async () => {
    await withSettings({}, async (logging) => {
      const context = { library: { name: "analytics.js", version: "1.84.3" } };
      const events = [
        track("Заказ оплачен", { context }),
        track("注文", { context }),
        track("Заказ 2", { context }),
        track("No Number", { context, properties: { value: true } }),
        track("No Time", { context: { library: { name: "other", version: "2" } }, timestamp: "never" }),
      ];
      partly(await logging.post("/v1/batch", batch(events)), 3, [
        [3, "invalid_value"],
        [4, "invalid_timestamp"],
      ]);
      // What no library writes is not shown.
      const odd = { context: { library: { name: "Xylophone <b>", version: "1" } }, properties: { value: "Xylophone" } };
      refused(await logging.post("/v1/track", track("Odd", odd)), 400, "invalid_value");
      await waitFor("two log lines", () => logging.lines.length >= 2);
      assert.deepEqual(
        logging.lines.map(({ rejectedLibrary, illegibleNames }) => [rejectedLibrary, illegibleNames]),
        [
          ["analytics.js/1.84.3", 2],
          [undefined, undefined],
        ],
      );
      for (const line of logging.printed) assert.doesNotMatch(line, /Xylophone/);
    });
  });
});

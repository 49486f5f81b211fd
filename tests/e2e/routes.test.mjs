// The ways in besides a plain POST: the pixel, scripts, and packed bodies; and where the write key may stand.

import assert from "node:assert/strict";
import { after, before, beforeEach, describe, it } from "node:test";
import { runInNewContext } from "node:vm";
import { gzipSync } from "node:zlib";
import { list } from "./lib/contract.mjs";
import { batch, now, page, sized, track, userId } from "./lib/events.mjs";
import { partly, refused, succeeded } from "./lib/expect.mjs";
import { startLibrato } from "./lib/librato.mjs";
import { base64, base64url, get } from "./lib/plain.mjs";
import { basic, startWorker, withWorker, writeKey } from "./lib/worker.mjs";

const WEBHOOK_SECRET = "a-shared-secret";

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

/** Nothing reached Librato. */
async function nothingMeasured() {
  assert.equal((await librato.state()).requests, 0);
}

/** Librato knows this name as a counter, so it refuses a gauge of that name. */
async function makeCounter(name) {
  const body = { counters: [{ name, value: 1 }] };
  assert.equal((await librato.api("/v1/metrics", { method: "POST", body })).status, 200);
}

const keyed = (event) => ({ ...event, writeKey });

describe("the pixel", () => {
  /** A picture of one transparent pixel, and nothing else, whatever became of the event. */
  async function pixel(path, fate, headers) {
    const answer = await get(worker, path, headers);
    assert.equal(answer.headers.get("x-event-status"), fate, path.slice(0, 300));
    assert.equal(answer.status, 200);
    assert.equal(answer.headers.get("content-type"), "image/gif");
    // From a cache it would not be counted.
    assert.match(answer.headers.get("cache-control") ?? "", /\bno-store\b/);
    const { bytes } = answer;
    assert.equal(bytes.toString("latin1", 0, 6), "GIF89a");
    assert.deepEqual([bytes.readUInt16LE(6), bytes.readUInt16LE(8)], [1, 1]);
    assert.equal(bytes.at(-1), 0x3b);
    assert.ok(bytes.length < 50, `${bytes.length} bytes`);
  }

  const encodings = {
    "base64, percent-encoded": (data) => encodeURIComponent(data),
    "base64 as it is": (data) => data,
    "base64 without padding": (data) => data.replaceAll("=", ""),
    "base64 without padding, percent-encoded": (data) => encodeURIComponent(data.replaceAll("=", "")),
    "base64 for URLs": (data) => data.replaceAll("+", "-").replaceAll("/", "_"),
    "base64 for URLs, percent-encoded": (data) => encodeURIComponent(data.replaceAll("+", "-").replaceAll("/", "_")),
    "base64 for URLs without padding": (data) => data.replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", ""),
  };
  for (const [what, encode] of Object.entries(encodings)) {
    it(`?data=${what}`, async () => {
      const paddings = new Set();
      for (const pad of ["", "x", "xx"]) {
        // With the characters in which the two alphabets differ, and ones that take several bytes.
        const properties = { value: 1.5, strange: "?>~ûÿ¾ïþ", pad };
        const tracked = base64(keyed(track("Größe 日本", { properties })));
        const viewed = base64(keyed(page("Home", { category: "Docs", properties })));
        for (const data of [tracked, viewed]) {
          assert.match(data, /\+.*\/|\/.*\+/);
          paddings.add(/=*$/.exec(data)[0].length);
        }
        await pixel(`/v1/pixel/track?data=${encode(tracked)}`, "accepted");
        await pixel(`/v1/pixel/page?data=${encode(viewed)}`, "accepted");
      }
      assert.deepEqual([...paddings].sort(), [0, 1, 2]);
      const name = "Gr--e---";
      assert.deepEqual(await librato.totals(), {
        [`${name} ${name}`]: { count: 3, sum: 4.5 },
        "Viewed-Docs-Home-Page Viewed-Docs-Home-Page": { count: 3, sum: 4.5 },
      });
    });
  }

  it("flat, dotted parameters", async () => {
    const at = now() - 600;
    const query = new URLSearchParams({
      writeKey,
      userId,
      event: "Order Completed",
      messageId: "m-1",
      timestamp: new Date(at * 1000).toISOString(),
      "properties.value": "$2.50",
      "properties.subject": "?>~ & more",
      "context.page.path": "/a/b",
      "integrations.Librato.source": "shop 1",
    });
    await pixel(`/v1/pixel/track?${query}`, "accepted");
    await pixel(`/v1/pixel/page?writeKey=${writeKey}&anonymousId=a-1&category=Docs&name=Home+Page`, "accepted");
    assert.deepEqual(await librato.totals(), {
      "Order-Completed shop-1": { count: 1, sum: 2.5 },
      "Viewed-Docs-Home-Page-Page Viewed-Docs-Home-Page-Page": { count: 1, sum: 1 },
    });
    assert.equal((await librato.metric("Order-Completed")).lastTime, at);
  });

  // github.com/ampproject/amphtml, extensions/amp-analytics/0.1/vendors/segment.json
  describe("as AMP pages send it", () => {
    const amp = (route, last) => {
      const values = {
        "context.library.name": "amp",
        anonymousId: "amp-EpVYVhB4aTBTs3lUVtcO_w",
        "context.locale": "en-us",
        "context.page.path": "/docs/",
        "context.page.url": "https://shop.example/docs/",
        "context.page.referrer": "",
        "context.page.title": "Docs – Shop",
        "context.screen.width": "1280",
        "context.screen.height": "800",
        ...last,
      };
      const pairs = Object.entries(values).map(([name, value]) => `${name}=${encodeURIComponent(value)}`);
      return `/v1/pixel/${route}?writeKey=${writeKey}&${pairs.join("&")}`;
    };

    it("page, with a name and without", async () => {
      await pixel(amp("page", { name: "Home" }), "accepted");
      await pixel(amp("page", { name: "" }), "accepted");
      assert.deepEqual(await librato.totals(), {
        "Viewed-Home-Page Viewed-Home-Page": { count: 1, sum: 1 },
        "Loaded-a-Page Loaded-a-Page": { count: 1, sum: 1 },
      });
    });

    it("track", async () => {
      await pixel(amp("track", { event: "Signed Up" }), "accepted");
      assert.deepEqual(await librato.totals(), { "Signed-Up Signed-Up": { count: 1, sum: 1 } });
    });
  });

  it("with and without /v1, with a trailing slash", async () => {
    const data = () => base64url(keyed(track("Spelling")));
    for (const path of ["/v1/pixel/track", "/v1/pixel/track/", "/pixel/track", "/pixel/track/"]) {
      await pixel(`${path}?data=${data()}`, "accepted");
    }
    assert.equal((await librato.metric("Spelling")).count, 4);
  });

  it("identify, group, alias and screen: accepted, not measured", async () => {
    for (const type of ["identify", "group", "alias", "screen"]) {
      await pixel(`/v1/pixel/${type}?data=${base64url(keyed({ userId }))}`, "accepted");
      await pixel(`/v1/pixel/${type}?writeKey=${writeKey}&userId=u`, "accepted");
      await pixel(`/v1/pixel/${type}?writeKey=other&userId=u`, "invalid_write_key");
    }
    await nothingMeasured();
  });

  describe("X-Event-Status: the code of what became of the event", () => {
    const late = new Date(Date.now() - 3 * 3600e3).toISOString();
    const events = {
      missing_event: track(undefined),
      missing_identity: track("X", { userId: undefined }),
      invalid_value: track("X", { properties: { value: "much" } }),
      invalid_timestamp: track("X", { timestamp: "yesterday" }),
      timestamp_out_of_range: track("X", { timestamp: late }),
      invalid_source: track("X", { integrations: { Librato: { source: {} } } }),
      invalid_write_key: track("X", { writeKey: "other" }),
      malformed_json: '{"event":"X"',
      invalid_event: "[]",
    };
    for (const [code, event] of Object.entries(events)) {
      it(code, async () => {
        const data = typeof event === "string" ? base64url(event) : base64url({ writeKey, ...event });
        const own = typeof event === "string" ? `&writeKey=${writeKey}` : "";
        await pixel(`/v1/pixel/track?data=${data}${own}`, code);
        await nothingMeasured();
      });
    }

    it("event_too_large", async () => {
      // An address ends at 65,536 bytes: only as JSON are so many parameters more than an event may have.
      const many = Array.from({ length: 7_400 }, (_, index) => `p${index}=1`).join("&");
      await pixel(`/v1/pixel/track?writeKey=${writeKey}&event=X&userId=u&${many}`, "event_too_large");
      await nothingMeasured();
    });

    it("malformed_json: data that is no base64, or no UTF-8", async () => {
      for (const data of ["!!!!", "e", "a.b.c", Buffer.from([0xff, 0xfe, 0xfd]).toString("base64url")]) {
        await pixel(`/v1/pixel/track?writeKey=${writeKey}&data=${data}`, "malformed_json");
      }
      await nothingMeasured();
    });

    it("of the flat form", async () => {
      const fates = {
        "": "invalid_write_key",
        "?": "invalid_write_key",
        "?userId=u&event=X": "invalid_write_key",
        "?writeKey=other&userId=u&event=X": "invalid_write_key",
        [`?writeKey=${writeKey}`]: "missing_event",
        [`?writeKey=${writeKey}&event=X`]: "missing_identity",
        [`?writeKey=${writeKey}&event=X&userId=u&properties.value=much`]: "invalid_value",
        [`?writeKey=${writeKey}&event=X&userId=u&timestamp=yesterday`]: "invalid_timestamp",
      };
      for (const [query, fate] of Object.entries(fates)) await pixel(`/v1/pixel/track${query}`, fate);
      await nothingMeasured();
    });

    it("refused_by_librato", async () => {
      await makeCounter("Clash");
      await pixel(`/v1/pixel/track?data=${base64url(keyed(track("Clash")))}`, "refused_by_librato");
    });

    for (const [fault, code] of [
      ["503", "upstream_unavailable"],
      ["429", "rate_limited"],
      ["401", "misconfigured"],
    ]) {
      it(`${code}: Librato answers ${fault}`, async () => {
        await librato.fault({ answer: fault, times: 0 });
        await pixel(`/v1/pixel/track?data=${base64url(keyed(track("Down")))}`, code);
        assert.deepEqual((await librato.state()).metrics, []);
      });
    }

    it("a page of another origin gets it too", async () => {
      await pixel(`/v1/pixel/track?data=${base64url(keyed(track("X")))}`, "accepted", { origin: "https://a.example" });
    });
  });

  it("takes GET", async () => {
    for (const method of ["POST", "PUT", "DELETE"]) {
      const answer = await worker.fetch("/v1/pixel/track", { method, body: "{}" });
      refused(answer, 405, "method_not_allowed", /GET/);
      assert.ok(list(answer.headers.get("allow")).includes("get"));
    }
  });
});

// What the classic library does where a browser cannot post to another origin: @segment/send-json.
describe("GET /v1/p?data=…&callback=…: a script", () => {
  /** The path that the library asks for. */
  const scripted = (route, event, callback = "__jp0") =>
    `${route}?data=${encodeURIComponent(base64url(event))}&callback=${encodeURIComponent(callback)}`;

  /** Runs a script as a page would, and returns what it calls the page's function with. */
  function run(text, callback = "__jp0") {
    const calls = [];
    // In a context of its own, so compared as JSON.
    runInNewContext(text, { [callback]: (...args) => calls.push(JSON.stringify(args)) });
    assert.equal(calls.length, 1, text);
    return JSON.parse(calls[0]);
  }

  async function script(path, callback) {
    const answer = await get(worker, path);
    assert.equal(answer.status, 200, answer.text);
    assert.match(answer.headers.get("content-type"), /^(text|application)\/javascript\b/);
    const [body, ...more] = run(answer.text, callback);
    assert.deepEqual(more, []);
    return body;
  }

  it("runs, and hands the answer to the page", async () => {
    for (const route of ["/v1/t", "/v1/track", "/t/"]) {
      const event = keyed(track("Größe", { properties: { value: 2, strange: "?>~ûÿ" } }));
      assert.deepEqual(await script(scripted(route, event)), { success: true });
    }
    for (const route of ["/v1/p", "/v1/page"]) {
      assert.deepEqual(await script(scripted(route, keyed(page("Home")), "__jp17"), "__jp17"), { success: true });
    }
    for (const route of ["/v1/i", "/v1/g", "/v1/a", "/v1/s"]) {
      assert.deepEqual(await script(scripted(route, keyed({ userId, traits: {} }))), { success: true });
    }
    assert.deepEqual(await librato.totals(), {
      "Gr--e Gr--e": { count: 3, sum: 6 },
      "Viewed-Home-Page Viewed-Home-Page": { count: 2, sum: 2 },
    });
  });

  it("a refusal for good is a 200 with a script, or the library would send it again", async () => {
    const refusals = {
      invalid_write_key: track("X", { writeKey: "other" }),
      missing_event: keyed(track(undefined)),
      missing_identity: keyed(track("X", { userId: undefined })),
      invalid_value: keyed(track("X", { properties: { value: "much" } })),
      timestamp_out_of_range: keyed(track("X", { timestamp: 0 })),
      malformed_json: "{",
      invalid_event: "7",
    };
    for (const [code, event] of Object.entries(refusals)) {
      const body = await script(scripted("/v1/t", event));
      assert.deepEqual({ success: body.success, code: body.code }, { success: false, code });
      assert.equal(body.error, body.message);
    }
    await nothingMeasured();

    await makeCounter("Clash");
    assert.equal((await script(scripted("/v1/t", keyed(track("Clash"))))).code, "refused_by_librato");
  });

  it("429 and 503 stay what they are, so that it does", async () => {
    for (const [fault, status] of [
      [{ answer: "429", retryAfter: 30 }, 429],
      [{ answer: "503" }, 503],
      [{ answer: "401" }, 503],
    ]) {
      await librato.reset();
      await librato.fault({ ...fault, times: 0 });
      const answer = await get(worker, scripted("/v1/t", keyed(track("Down"))));
      assert.equal(answer.status, status, answer.text);
      const seconds = Number(answer.headers.get("retry-after"));
      assert.ok(seconds >= 1 && seconds <= 300, `${seconds}`);
      if (status === 429) assert.equal(answer.headers.get("x-ratelimit-reset"), "30");
    }
  });

  it("without a callback it is an answer like any other", async () => {
    const path = (event) => `/v1/t?data=${encodeURIComponent(base64url(event))}`;
    succeeded(await worker.fetch(path(keyed(track("Plain"))), { headers: { authorization: null } }));
    refused(await worker.fetch(path(keyed(track("X", { timestamp: 0 })))), 400, "timestamp_out_of_range");
    assert.deepEqual(await librato.totals(), { "Plain Plain": { count: 1, sum: 1 } });
  });
});

/** Every route that takes an event in a body, with such an event and how often it is measured. */
const single = [
  ...["track", "t"].map((name) => ({ name, event: (more) => track("Body", more), measured: true })),
  ...["page", "p"].map((name) => ({ name, event: (more) => page("Body", more), measured: true })),
  ...["identify", "i", "group", "g", "alias", "a", "screen", "s"].map((name) => ({
    name,
    event: (more) => ({ userId, traits: { plan: "pro" }, ...more }),
    measured: false,
  })),
];
const many = ["batch", "b", "import", "beacon/v1/batch"].map((name) => ({
  name,
  event: (more) => batch([track("Body")], more),
  measured: true,
}));

describe("gzip, told by its first bytes, on every route that takes a body", () => {
  const bare = { authorization: null };
  for (const { name, event, measured } of [...single, ...many]) {
    it(`POST /v1/${name}`, async () => {
      // The key stands inside: what is not unpacked has none.
      const zip = () => gzipSync(JSON.stringify(event({ writeKey })));
      succeeded(await worker.post(`/v1/${name}`, zip(), bare));
      succeeded(await worker.post(`/v1/${name}`, zip(), { ...bare, "content-encoding": "gzip" }));
      succeeded(await worker.post(`/v1/${name}`, zip(), { ...bare, "content-type": "text/plain" }));
      // In several members, and with the time and the name that `gzip` of the command line puts there.
      const text = JSON.stringify(event({ writeKey }));
      const named = gzipSync(text.slice(0, 10));
      const header = Buffer.from([0x1f, 0x8b, 8, 8, 1, 2, 3, 4, 0, 3, ...Buffer.from("event.json\0")]);
      const members = Buffer.concat([header, named.subarray(10), gzipSync(text.slice(10))]);
      succeeded(await worker.post(`/v1/${name}`, members, bare));
      succeeded(await worker.post(`/v1/${name}`, event({ writeKey }), { ...bare, "content-encoding": "gzip" }));
      const { accepted, metrics } = await librato.state();
      assert.equal(
        metrics.reduce((sum, { count }) => sum + count, 0),
        measured ? 5 : 0,
        `${accepted} accepted`,
      );

      const cut = await worker.post(`/v1/${name}`, zip().subarray(0, -9), bare);
      refused(cut, 400, "unsupported_encoding", /gzip/);
    });
  }

  it("POST /v1/m", async () => {
    const counters = { series: [{ type: "Counter", metric: "analytics_js.invoke", value: 1, tags: {} }] };
    succeeded(await worker.post("/v1/m", counters));
    succeeded(await worker.post("/v1/m", gzipSync(JSON.stringify(counters))));
    await nothingMeasured();
  });
});

describe("the write key: header, body, member, query, and the first of them decides", () => {
  const places = {
    header: (request, key) => {
      request.headers.authorization = basic(key);
    },
    body: (request, key) => {
      request.body.writeKey = key;
    },
    member: (request, key) => {
      request.body.batch[0].writeKey = key;
    },
    query: (request, key) => {
      request.path += `?writeKey=${encodeURIComponent(key)}`;
    },
  };

  const post = ({ path, body, headers }) => worker.post(path, body, headers);

  for (const [{ name, event, measured }, order] of [
    ...single.map((route) => [route, ["header", "body", "query"]]),
    ...many.map((route) => [route, ["header", "body", "member", "query"]]),
  ]) {
    it(`POST /v1/${name}: ${order.join(", ")}`, async () => {
      const make = () => ({ path: `/v1/${name}`, body: event(), headers: { authorization: null } });
      const refusal = (answer) => refused(answer, 400, "invalid_write_key", /writeKey/);
      let accepted = 0;
      for (const [index, place] of order.entries()) {
        const [right, wrong] = [make(), make()];
        places[place](right, writeKey);
        places[place](wrong, "other");
        for (const later of order.slice(index + 1)) {
          places[later](right, "other");
          places[later](wrong, writeKey);
        }
        succeeded(await post(right));
        refusal(await post(wrong));
        accepted += 1;
        if (place !== "header") {
          // What names no user is no key: the next place is asked.
          for (const authorization of ["Bearer abc.def.ghi", basic(""), "Basic ?", "Basic"]) {
            succeeded(await post({ ...right, headers: { authorization } }));
            refusal(await post({ ...wrong, headers: { authorization } }));
            accepted += 1;
          }
        }
      }
      refusal(await post(make()));
      refusal(await post({ ...make(), headers: { authorization: `Bearer ${writeKey}` } }));
      const { metrics } = await librato.state();
      assert.equal(
        metrics.reduce((sum, { count }) => sum + count, 0),
        measured ? accepted : 0,
      );
    });
  }

  it("a key that is empty or no text is none: the next place is asked", async () => {
    for (const none of ["", null, 7, {}, []]) {
      const query = `?writeKey=${writeKey}`;
      const bare = { authorization: null };
      succeeded(await worker.post(`/v1/track${query}`, track("Key", { writeKey: none }), bare));
      succeeded(await worker.post(`/v1/batch${query}`, batch([track("Key")], { writeKey: none }), bare));
      succeeded(await worker.post("/v1/batch", batch([track("Key", { writeKey })], { writeKey: none }), bare));
    }
    assert.equal((await librato.metric("Key")).count, 15);
  });

  it("any member of a batch may have it, also one that is refused", async () => {
    const members = [track("Key"), track(undefined, { writeKey }), track("Key")];
    const answer = await worker.post("/v1/batch", batch(members), { authorization: null });
    assert.equal(answer.json().accepted, 2, answer.text);
  });

  it("an event that is refused as it stands may have its key inside", async () => {
    const bare = { authorization: null };
    const large = sized(65_537, (pad) => keyed(track("X", { properties: { pad } })));
    refused(await worker.post("/v1/track", large, bare), 400, "event_too_large", /65,?536/);
    partly(await worker.post("/v1/batch", `{"batch":[${large}]}`, bare), 0, [[0, "event_too_large"]]);
  });

  it("the pixel: in its data, else in the query", async () => {
    const fate = async (data, more = "") =>
      (await get(worker, `/v1/pixel/track?data=${base64url(data)}${more}`)).headers.get("x-event-status");
    assert.equal(await fate(keyed(track("Key"))), "accepted");
    assert.equal(await fate(keyed(track("Key")), "&writeKey=other"), "accepted");
    assert.equal(await fate(track("Key"), `&writeKey=${writeKey}`), "accepted");
    assert.equal(await fate(track("Key", { writeKey: "other" }), `&writeKey=${writeKey}`), "invalid_write_key");
    assert.equal(await fate(track("Key")), "invalid_write_key");
    assert.equal((await librato.metric("Key")).count, 3);
  });
});

describe("without a setting that they need", () => {
  it("the pixel tells it in its header, the script by its status", async () => {
    await withWorker({ librato: librato.url, settings: { LIBRATO_TOKEN: null, WEBHOOK_SECRET } }, async (broken) => {
      const data = base64url(keyed(track("X")));
      const pixel = await get(broken, `/v1/pixel/track?data=${data}`);
      assert.deepEqual([pixel.status, pixel.headers.get("content-type")], [200, "image/gif"]);
      assert.equal(pixel.headers.get("x-event-status"), "misconfigured");
      assert.equal((await get(broken, `/v1/t?data=${data}&callback=f`)).status, 503);
      refused(await broken.post("/v1/identify", { userId }), 503, "misconfigured", /LIBRATO_TOKEN/);
      refused(await broken.post("/v1/import/", batch([])), 503, "misconfigured", /LIBRATO_TOKEN/);
      refused(await broken.post("/webhooks/segment", {}), 503, "misconfigured", /LIBRATO_TOKEN/);
      // These need none of Librato's.
      assert.equal((await get(broken, `/v1/projects/${writeKey}/settings`)).status, 200);
      assert.equal((await get(broken, `/analytics.js/v1/${writeKey}/analytics.min.js`)).status, 200);
    });
    await nothingMeasured();
  });

  it("what a library loads needs WRITE_KEYS", async () => {
    await withWorker({ librato: librato.url, settings: { WRITE_KEYS: null } }, async (broken) => {
      for (const path of [`/v1/projects/${writeKey}/settings`, `/analytics.js/v1/${writeKey}/analytics.min.js`]) {
        refused(await broken.fetch(path), 503, "misconfigured", /WRITE_KEYS/);
      }
    });
  });
});

// Direct delivery: the outcome of measurements for every answer of Librato.

import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { batch, now, page, track, tracks, userId } from "./lib/events.mjs";
import { codes, partly, refused, succeeded } from "./lib/expect.mjs";
import { startLibrato } from "./lib/librato.mjs";
import { freePort } from "./lib/net.mjs";
import { version } from "./lib/project.mjs";
import { startScripted } from "./lib/scripted.mjs";
import { waitFor } from "./lib/wait.mjs";
import { basic, secrets, startWorker, withWorker } from "./lib/worker.mjs";

const MOST_GAUGES = 300;
const MOST_AT_ONCE = 6;
const LIMIT_TEXT = "You have hit the API limit for measurements [measure:raw_rate]. Contact: support@librato.com";

let librato;
let worker;

before(async () => {
  librato = await startScripted();
  worker = await startWorker({ librato: librato.url });
});
after(async () => {
  await librato?.stop();
  await worker?.stop();
});

const send = (events) => worker.post("/v1/batch", batch(events));
const names = (gauges) => gauges.map(({ name }) => name).sort();

/** Returns the gauges of requests that were answered by a 2xx without errors. */
function stored() {
  return librato.requests
    .filter(({ answer }) => !answer.cut && (answer.status ?? 200) < 300 && !answer.body?.errors?.length)
    .flatMap(({ gauges }) => gauges);
}

/** Asserts that each of these was stored, once. */
function storedOnce(expected) {
  assert.deepEqual(names(stored()), expected.map((event) => event.event ?? event).sort());
}

/** Refuses a request with a bad gauge as a whole, as Librato does. */
function strict(isBad, refusal) {
  return (request) => {
    const bad = request.gauges.filter(isBad);
    return bad.length === 0 ? {} : refusal(bad[0], request);
  };
}

const params = (fields) => ({ status: 400, body: { errors: { params: fields }, request_time: now() } });

/** Runs with a separate Librato and Worker, for slow rows. */
async function alone(settings, use) {
  const upstream = await startScripted();
  try {
    await withWorker({ librato: upstream.url, settings }, (other) => use(upstream, other));
  } finally {
    await upstream.stop();
  }
}

describe("an answer without an end", () => {
  for (const endless of ["plain", "gzip"]) {
    it(`is read as far as it is looked at, and no further: ${endless}`, async () => {
      librato.play([{ body: "{}", endless }]);
      const answer = await worker.post("/v1/track", track("Endless"));
      succeeded(answer);
      assert.ok(answer.ms < 2_000, `${answer.ms} ms`);
      await waitFor("the end of the connection", () => librato.open === 0);
    });
  }
});

describe("the request to Librato", () => {
  it("POST /v1/metrics, JSON, with the credentials and the name of this project", async () => {
    librato.play([]);
    succeeded(await worker.post("/v1/track", track("Order Completed", { properties: { value: 2 } })));
    assert.equal(librato.requests.length, 1);
    const [{ method, path, headers, rawHeaders }] = librato.requests;
    assert.equal(`${method} ${path}`, "POST /v1/metrics");
    assert.equal(headers.authorization, basic(secrets.LIBRATO_EMAIL, secrets.LIBRATO_TOKEN));
    assert.match(headers["content-type"], /^application\/json\b/);
    assert.equal(headers["user-agent"], `librato-edge/${version}`);
    assert.equal(rawHeaders.filter((name) => name.toLowerCase() === "authorization").length, 1);
    assert.doesNotMatch(rawHeaders.join("\n"), new RegExp(userId));
  });

  it("each gauge has its own time, source, period and attributes", async () => {
    librato.play([]);
    const at = now() - 60;
    const event = track("Order Completed", {
      timestamp: new Date(at * 1000).toISOString(),
      properties: { value: 2, revenue: 5, plan: "pro" },
      integrations: { Librato: { source: "shop 1" } },
    });
    succeeded(await worker.post("/v1/track", event));
    assert.deepEqual(librato.requests[0].json, {
      gauges: [
        {
          name: "Order-Completed",
          display_name: "Order Completed",
          source: "shop-1",
          measure_time: at,
          value: 2,
          period: 60,
          attributes: { aggregate: true, summarize_function: "sum" },
        },
      ],
    });
  });

  it("several of one name, source and second are one gauge with count, sum, min, max and sum_squares", async () => {
    librato.play([]);
    const timestamp = new Date((now() - 60) * 1000).toISOString();
    const events = [3, -1, 0.5].map((value) => track("Merged", { timestamp, properties: { value } }));
    succeeded(
      await worker.post("/v1/batch", batch([...events, track("merged", { timestamp })], { sentAt: undefined })),
    );
    assert.deepEqual(librato.requests[0].json, {
      gauges: [
        {
          name: "Merged",
          display_name: "Merged",
          source: "Merged",
          measure_time: Date.parse(timestamp) / 1000,
          count: 4,
          sum: 3.5,
          min: -1,
          max: 3,
          sum_squares: 11.25,
          period: 60,
          attributes: { aggregate: true, summarize_function: "sum" },
        },
      ],
    });
  });

  for (const [setting, expected] of [
    ["off", {}],
    ["300", { period: 300, attributes: { aggregate: true, summarize_function: "sum" } }],
  ]) {
    it(`METRIC_PERIOD=${setting}`, async () => {
      await alone({ METRIC_PERIOD: setting }, async (upstream, other) => {
        succeeded(await other.post("/v1/track", track("Period", { properties: { value: 2 } })));
        const [{ measure_time, ...gauge }] = upstream.gauges;
        assert.ok(Number.isInteger(measure_time));
        const own = { name: "Period", display_name: "Period", source: "Period", value: 2 };
        assert.deepEqual(gauge, { ...own, ...expected });
      });
    });
  }

  it("ROLLUP_SECONDS=60: what lies within one minute is one gauge", async () => {
    await alone({ ROLLUP_SECONDS: "60" }, async (upstream, other) => {
      const minute = (Math.floor(Date.now() / 60_000) - 2) * 60;
      const events = [0, 30, 59, 60].map((second) =>
        track("Minute", { timestamp: new Date((minute + second) * 1000).toISOString() }),
      );
      succeeded(await other.post("/v1/batch", batch(events, { sentAt: undefined })));
      assert.deepEqual(
        upstream.gauges.map(({ measure_time, count, value }) => ({ measure_time, count, value })),
        [
          { measure_time: minute, count: 3, value: undefined },
          { measure_time: minute + 60, count: undefined, value: 1 },
        ],
      );
    });
  });

  it("LIBRATO_URL may end in a slash, and have a path", async () => {
    for (const [suffix, path] of [
      ["/", "/v1/metrics"],
      ["/librato", "/librato/v1/metrics"],
      ["/librato/", "/librato/v1/metrics"],
    ]) {
      await withWorker({ librato: librato.url + suffix }, async (other) => {
        librato.play([]);
        succeeded(await other.post("/v1/track", track("Path")));
        assert.deepEqual(
          librato.requests.map((request) => request.path),
          [path],
        );
      });
    }
  });

  it("credentials with characters beyond ASCII and with a colon", async () => {
    const settings = { LIBRATO_EMAIL: "zoë@exämple.com", LIBRATO_TOKEN: "a:b:ç€-0123456789" };
    await alone(settings, async (upstream, other) => {
      succeeded(await other.post("/v1/track", track("Credentials")));
      const { authorization } = upstream.requests[0].headers;
      assert.equal(authorization, basic(settings.LIBRATO_EMAIL, settings.LIBRATO_TOKEN));
    });
  });
});

describe(`at most ${MOST_GAUGES} measurements a request, never an empty one, at most ${MOST_AT_ONCE} requests at once`, () => {
  it("2,500 gauges", async () => {
    librato.play([], () => ({ delay: 250 }));
    const events = Array.from({ length: 2_500 }, (_, index) => ({ type: "track", event: `m${index}`, userId }));
    succeeded(await send(events));
    const sizes = librato.requests.map(({ gauges }) => gauges.length);
    assert.ok(Math.max(...sizes) <= MOST_GAUGES, sizes.join());
    assert.equal(sizes.length, Math.ceil(2_500 / MOST_GAUGES), sizes.join());
    assert.ok(librato.busiest <= MOST_AT_ONCE, `${librato.busiest} requests at once`);
    assert.ok(librato.busiest > 1, "one after the other");
    storedOnce(events);
  });

  it("300 gauges are one request, 301 are two", async () => {
    for (const [count, requests] of [
      [300, 1],
      [301, 2],
    ]) {
      librato.play([]);
      const events = tracks(count);
      succeeded(await send(events));
      assert.equal(librato.requests.length, requests);
      storedOnce(events);
    }
  });

  it("nothing to send, no request", async () => {
    librato.play([]);
    succeeded(await send([]));
    succeeded(await send([{ type: "identify", userId }, track("Off", { integrations: { Librato: false } })]));
    partly(await send([track(undefined), track("X", { properties: { value: "x" } })]), 0, [
      [0, "missing_event"],
      [1, "invalid_value"],
    ]);
    assert.equal(librato.requests.length, 0);
  });
});

describe("2xx, JSON without `errors` or empty: delivered", () => {
  const answers = {
    "200 without a body": {},
    204: { status: 204 },
    "201 {}": { status: 201, body: {} },
    "202 with a summary": { status: 202, body: { measurements: { summary: { total: 2, accepted: 2, failed: 0 } } } },
    '200 {"errors":[]}': { body: { errors: [] } },
    '200 {"errors":null}': { body: { errors: null } },
    '200 {"errors":{}}': { body: { errors: {} } },
    "200 text": { body: "OK" },
    "200 HTML": { body: "<html>errors</html>", headers: { "content-type": "text/html" } },
    "200 cut JSON": { body: '{"errors":["' },
    "200 [] and 200 null": { body: [] },
  };
  for (const [what, answer] of Object.entries(answers)) {
    it(what, async () => {
      librato.play([answer]);
      succeeded(await send(tracks(2)));
      assert.equal(librato.requests.length, 1);
    });
  }
});

describe("400, or 2xx with `errors`: the offender is found and set aside, the rest is delivered", () => {
  const isBad = ({ name }) => name === "Bad";
  const refusals = {
    "named in a text": () => params({ name: ["Bad is not a valid metric name"] }),
    "named in quotes": () => params({ type: ["'Bad' is a counter, but was submitted as different type"] }),
    "named beside the failing field": () => params({ value: ["is too large"], name: "Bad" }),
    "named in a list beside the failing field": () => params({ count: ["must be positive"], name: ["Bad"] }),
    "by its field alone": () => params({ value: ["must be positive"] }),
    "by its time alone": () => params({ measure_time: ["is too far in the past"] }),
    "by its source": ({ source }) => params({ source: [`${source} is not a valid source name`] }),
    "in nested objects": () => params({ gauges: { 17: { name: ["is not acceptable"] } } }),
    "in `request`": () => ({ status: 400, body: { errors: { request: ["is somehow wrong"] } } }),
    "in a bare string": () => ({ status: 400, body: { errors: { request: "is somehow wrong" } } }),
    // As for a body that is no JSON: https://github.com/micrometer-metrics/micrometer/issues/1108.
    "by a code": () => ({ status: 400, body: { code: 400, message: "Unable to process JSON" } }),
    "without a word": () => ({ status: 400, body: { errors: [""] } }),
    "by a 200 with `errors`": () => ({ status: 200, body: { errors: ["one of them is wrong"] } }),
    "by a 202 with `errors`": () => ({ status: 202, body: { errors: [{ param: "value", message: "is wrong" }] } }),
    "by the name of another": () => params({ name: ["metric-7 is not a valid metric name"] }),
    "by a name that was not sent": () => params({ name: ["Nothing is not a valid metric name"] }),
  };
  for (const [how, refusal] of Object.entries(refusals)) {
    it(`one of ${MOST_GAUGES}, told ${how}`, async () => {
      librato.play([], strict(isBad, refusal));
      const bad = track("Bad", {
        messageId: "the-bad-one",
        context: { source: "bad-source" },
        properties: { value: -1 },
      });
      const good = tracks(MOST_GAUGES - 1);
      const answer = await send([...good.slice(0, 123), bad, ...good.slice(123)]);
      assert.equal(answer.status, 200, answer.text);
      const { rejected, ...rest } = answer.json();
      assert.deepEqual(rest, { success: true, accepted: MOST_GAUGES - 1 });
      assert.deepEqual(
        rejected.map(({ message, ...one }) => one),
        [{ index: 123, messageId: "the-bad-one", code: "refused_by_librato" }],
      );
      storedOnce(good);
      assert.ok(librato.requests.length <= 24, `${librato.requests.length} requests`);
    });
  }

  it("a name that Librato gives is not searched for long: two or three requests", async () => {
    librato.play([], strict(isBad, refusals["named in quotes"]));
    const answer = await send([...tracks(MOST_GAUGES - 1), track("Bad")]);
    assert.equal(answer.json().accepted, MOST_GAUGES - 1);
    assert.ok(librato.requests.length <= 3, `${librato.requests.length} requests`);
  });

  for (const places of [
    [0, 299],
    [149, 150],
    [0, 1, 2],
    [5, 77, 142, 250],
  ]) {
    it(`${places.length} of ${MOST_GAUGES}, at ${places.join(", ")}, told without a word`, async () => {
      librato.play(
        [],
        strict(({ name }) => name.startsWith("Bad"), refusals["without a word"]),
      );
      const events = tracks(MOST_GAUGES);
      for (const place of places) events[place] = track(`Bad-${place}`);
      const answer = await send(events);
      assert.equal(answer.json().accepted, MOST_GAUGES - places.length, answer.text);
      assert.deepEqual(
        codes(answer.json()),
        places.map((place) => [place, "refused_by_librato"]),
      );
      storedOnce(events.filter(({ event }) => !event.startsWith("Bad")));
    });
  }

  it("every event of a refused gauge is reported", async () => {
    librato.play([], strict(isBad, refusals["named in a text"]));
    const timestamp = new Date().toISOString();
    const events = [track("Bad", { timestamp }), track("Good", { timestamp }), track("Bad", { timestamp })];
    const answer = await send(events);
    assert.equal(answer.json().accepted, 1);
    assert.deepEqual(
      answer.json().rejected.map(({ index, messageId }) => [index, messageId]),
      [0, 2].map((index) => [index, events[index].messageId]),
    );
    storedOnce(["Good"]);
  });

  it("refused by Librato and refused here stand in one list, by index", async () => {
    librato.play([], strict(isBad, refusals["named in a text"]));
    const events = [track("Good"), track("Bad"), track(undefined), track("Bad"), track("Also Good")];
    const answer = await send(events);
    partly(answer, 2, [
      [1, "refused_by_librato"],
      [2, "missing_event"],
      [3, "refused_by_librato"],
    ]);
  });

  it("a single event: 400 refused_by_librato; all of a batch: 200 with nothing accepted", async () => {
    for (const refusal of [
      refusals["named in a text"],
      refusals["without a word"],
      refusals["by a 200 with `errors`"],
    ]) {
      librato.play([], refusal);
      refused(await worker.post("/v1/track", track("Bad")), 400, "refused_by_librato");
      assert.equal(librato.requests.length, 1);

      librato.play([], refusal);
      partly(
        await send([track("Bad"), track("Worse"), track("Worst")]),
        0,
        [0, 1, 2].map((index) => [index, "refused_by_librato"]),
      );
    }
  });

  it("all of 300, without a word: the search ends in time", async () => {
    librato.play([], refusals["without a word"]);
    const answer = await send(tracks(MOST_GAUGES));
    // There is not enough time to search all of them: the rest is sent again.
    assert.ok([200, 503].includes(answer.status), answer.text);
    assert.equal(stored().length, 0);
  });

  it("an answer that repeats the credentials gives nothing away", async () => {
    // The harness looks for the secrets in every answer and log line.
    const echo = ({ headers: { authorization } }) => [
      authorization,
      Buffer.from(authorization.slice("Basic ".length), "base64").toString(),
      `https://${encodeURIComponent(secrets.LIBRATO_EMAIL)}:${secrets.LIBRATO_TOKEN}@librato.example`,
    ];
    librato.play([], (request) => ({ status: 503, body: { errors: { request: echo(request) } } }));
    refused(await worker.post("/v1/track", track("Echo")), 503, "upstream_unavailable");
    librato.play([], (request) => ({ status: 400, body: { errors: { request: echo(request) } } }));
    refused(await worker.post("/v1/track", track("Echo")), 400, "refused_by_librato");
    librato.play([], (request) => ({ status: 422, body: echo(request).join("\n") }));
    refused(await worker.post("/v1/track", track("Echo")), 400, "refused_by_librato");
  });

  it("an answer that repeats the measurements does not carry them into the log", async () => {
    librato.play([], ({ text }) => ({ status: 400, body: { errors: { request: [text] } } }));
    const lines = worker.printed.length;
    refused(await worker.post("/v1/track", track("Xylophone")), 400, "refused_by_librato");
    await waitFor("the log line", () => worker.printed.length > lines);
    assert.doesNotMatch(worker.printed.slice(lines).join("\n"), /Xylophone/);
  });
});

describe("the local Librato, strict as the real one, names the offender itself", () => {
  let strictLibrato;
  let other;
  before(async () => {
    strictLibrato = await startLibrato();
    other = await startWorker({ librato: strictLibrato.url });
  });
  after(async () => {
    await strictLibrato?.stop();
    await other?.stop();
  });

  it("a gauge with the name of a counter", async () => {
    const counter = { counters: [{ name: "logins", value: 1 }] };
    assert.equal((await strictLibrato.api("/v1/metrics", { method: "POST", body: counter })).status, 200);
    const events = [...tracks(MOST_GAUGES - 1), track("logins", { messageId: "clash" })];
    const answer = await other.post("/v1/batch", batch(events));
    assert.equal(answer.status, 200, answer.text);
    assert.deepEqual(
      answer.json().rejected.map(({ index, messageId, code }) => [index, messageId, code]),
      [[MOST_GAUGES - 1, "clash", "refused_by_librato"]],
    );
    const { metrics } = await strictLibrato.state();
    assert.equal(
      metrics.filter(({ name, count }) => name.startsWith("metric-") && count === 1).length,
      MOST_GAUGES - 1,
    );
  });

  it("200 with `errors` once, and then not again: all is delivered", async () => {
    await strictLibrato.reset();
    await strictLibrato.fault({ answer: "200-errors" });
    succeeded(await other.post("/v1/batch", batch(tracks(20))));
    const { metrics } = await strictLibrato.state();
    assert.deepEqual(
      metrics.map(({ count }) => count),
      Array(20).fill(1),
    );
  });

  it("the metric is created with its period and attributes", async () => {
    await strictLibrato.reset();
    succeeded(await other.post("/v1/track", track("Created")));
    const { body } = await strictLibrato.api("/v1/metrics/Created");
    assert.equal(body.period, 60);
    assert.equal(body.attributes.aggregate, true);
    assert.equal(body.attributes.summarize_function, "sum");
  });
});

describe("401, 403 without the API-limit text: kept and tried again, logged as an operator’s fault", () => {
  const answers = {
    "401 in plain text": {
      status: 401,
      body: "Credentials are required to access this resource.",
      headers: { "content-type": "text/plain", "www-authenticate": 'Basic realm="x"' },
    },
    "401 in JSON": { status: 401, body: { errors: { request: ["Please provide credentials for authentication."] } } },
    "401 without a body": { status: 401 },
    "403 read-only": { status: 403, body: { errors: { request: ["Not authorized to write."] } } },
    "403 without a body": { status: 403 },
    "403 in plain text": { status: 403, body: "Forbidden" },
  };
  for (const [what, answer] of Object.entries(answers)) {
    it(`${what}: 503 misconfigured`, async () => {
      librato.play([], () => answer);
      const printed = worker.printed.length;
      refused(await worker.post("/v1/track", track("Credentials")), 503, "misconfigured");
      assert.equal(librato.requests.length, 2);
      const lines = await waitFor("a log line", () => {
        const since = worker.lines.slice(printed);
        return since.length > 0 && since;
      });
      assert.match(JSON.stringify(lines), /credentials|misconfigured/i);
    });
  }

  it("once, and then well: delivered", async () => {
    librato.play([answers["401 in plain text"]]);
    succeeded(await worker.post("/v1/track", track("Credentials")));
    assert.equal(librato.requests.length, 2);
  });
});

describe("403 with the API-limit text, 429: after Retry-After or the reset header", () => {
  const limit = (more = {}) => ({ status: 429, body: { error: LIMIT_TEXT, request_time: now() }, ...more });
  const resetIn = (seconds, remaining = 0) => `limit=600000,remaining=${remaining},reset=${now() + seconds}`;
  const rows = [
    ["429, Retry-After: 40", () => limit({ headers: { "retry-after": "40" } }), [40, 40]],
    ["403 with the text, Retry-After: 40", () => limit({ status: 403, headers: { "retry-after": "40" } }), [40, 40]],
    ["429, Retry-After: 3600", () => limit({ headers: { "retry-after": "3600" } }), [300, 300]],
    [
      "429 and a date",
      () => limit({ headers: { "retry-after": new Date(Date.now() + 60e3).toUTCString() } }),
      [55, 61],
    ],
    ["429, reset in 50 s", () => limit({ headers: { "x-librato-ratelimit-agg": resetIn(50) } }), [44, 51]],
    [
      "403 with the text, reset in 50 s",
      () => limit({ status: 403, headers: { "x-librato-ratelimit-std": resetIn(50) } }),
      [44, 51],
    ],
    [
      "429, and only one of the two limits is used up",
      () =>
        limit({
          headers: { "x-librato-ratelimit-agg": resetIn(200, 599_998), "x-librato-ratelimit-std": resetIn(50) },
        }),
      [44, 51],
    ],
    ["429, reset far away", () => limit({ headers: { "x-librato-ratelimit-agg": resetIn(90_000) } }), [300, 300]],
    ["429 and no time at all", () => limit(), [1, 300]],
    ["429 and no body", () => ({ status: 429 }), [1, 300]],
    [
      "429, a Retry-After without meaning, reset in 50 s",
      () => limit({ headers: { "retry-after": "soon", "x-librato-ratelimit-agg": resetIn(50) } }),
      [44, 51],
    ],
    [
      "429 and nonsense",
      () => ({ status: 429, headers: { "retry-after": "soon", "x-librato-ratelimit-agg": "?" } }),
      [1, 300],
    ],
    ["429, Retry-After: -5", () => limit({ headers: { "retry-after": "-5" } }), [1, 300]],
  ];
  for (const [what, answer, [least, most]] of rows) {
    it(`${what}: 429 rate_limited`, async () => {
      librato.play([], answer);
      const response = await worker.post("/v1/track", track("Limited"));
      refused(response, 429, "rate_limited");
      const seconds = Number(response.headers.get("retry-after"));
      assert.ok(seconds >= least && seconds <= most, `Retry-After: ${seconds}`);
      assert.equal(response.headers.get("x-ratelimit-reset"), String(seconds));
      // There is no retry before the time that Librato gave.
      if (least > 6) assert.equal(librato.requests.length, 1);
      assert.ok(librato.requests.length <= 2);
    });
  }

  for (const headers of [{ "retry-after": "1" }, { "retry-after": "0" }, {}]) {
    it(`once, with ${JSON.stringify(headers)}, and then well: delivered`, async () => {
      librato.play([limit({ headers })]);
      succeeded(await worker.post("/v1/track", track("Limited")));
      assert.equal(librato.requests.length, 2);
      const [first, second] = librato.requests;
      if (headers["retry-after"] === "1") assert.ok(second.at - first.at >= 990, `${second.at - first.at} ms`);
      storedOnce(["Limited"]);
    });
  }

  it("403 with the text in another case or in `errors` is a limit as well", async () => {
    for (const body of [{ errors: { request: [LIMIT_TEXT] } }, { errors: [LIMIT_TEXT.toUpperCase()] }, LIMIT_TEXT]) {
      librato.play([], () => ({ status: 403, body, headers: { "retry-after": "60" } }));
      refused(await worker.post("/v1/track", track("Limited")), 429, "rate_limited");
    }
  });
});

describe("413: halved", () => {
  it("until the pieces are small enough", async () => {
    librato.play([], ({ gauges }) => (gauges.length > 80 ? { status: 413 } : {}));
    const events = tracks(MOST_GAUGES);
    succeeded(await send(events));
    assert.equal(librato.requests.length, 7, "one of 300, two of 150, four of 75");
    storedOnce(events);
  });

  it("a single measurement that is too large is set aside", async () => {
    librato.play(
      [],
      strict(
        ({ name }) => name === "Bad",
        () => ({ status: 413 }),
      ),
    );
    const answer = await send([...tracks(7), track("Bad")]);
    partly(answer, 7, [[7, "refused_by_librato"]]);
  });
});

describe("other 4xx: set aside", () => {
  for (const status of [402, 406, 409, 410, 415, 422]) {
    it(`${status}`, async () => {
      librato.play([], () => ({ status, body: { errors: { request: ["no"] } } }));
      refused(await worker.post("/v1/track", track("Aside")), 400, "refused_by_librato");
      assert.equal(librato.requests.length, 1);
      librato.play([], () => ({ status }));
      partly(
        await send(tracks(3)),
        0,
        [0, 1, 2].map((index) => [index, "refused_by_librato"]),
      );
      assert.equal(librato.requests.length, 1);
    });
  }
});

describe("400 in any other form: something on the way hiccups, and nothing is judged", () => {
  const forms = {
    "no body": {},
    "a page": { body: "<html><h1>400 Bad Request</h1></html>", headers: { "content-type": "text/html" } },
    "plain text": { body: "Bad Request" },
    "another service's JSON": { body: { message: "Bad Request" } },
    "empty errors": { body: { errors: [] } },
    "an array": { body: ["Bad Request"] },
  };
  for (const [what, form] of Object.entries(forms)) {
    it(`${what}: 503 after two tries, and a single one costs nothing`, async () => {
      const answer = { status: 400, ...form };
      librato.play([], () => answer);
      const events = tracks(MOST_GAUGES);
      refused(await send(events), 503, "upstream_unavailable");
      assert.equal(librato.requests.length, 2);

      librato.play([answer]);
      succeeded(await send(events));
      assert.equal(librato.requests.length, 2);
      storedOnce(events);
    });
  }
});

describe("404, 405: the operator's fault, kept and tried again", () => {
  for (const status of [404, 405]) {
    for (const [what, form] of [
      ["without a body", {}],
      ["a page", { body: "<html>Not Found</html>", headers: { "content-type": "text/html" } }],
      ["in JSON", { body: { errors: { request: ["Not Found"] } } }],
    ]) {
      it(`${status} ${what}: 503 misconfigured, which names the URL`, async () => {
        librato.play([], () => ({ status, ...form }));
        const answer = await send(tracks(MOST_GAUGES));
        refused(answer, 503, "misconfigured", /LIBRATO_URL/);
        assert.ok(librato.requests.length <= 2, `${librato.requests.length} requests`);
      });
    }
  }

  it("once: delivered", async () => {
    librato.play([{ status: 404 }]);
    const events = tracks(5);
    succeeded(await send(events));
    storedOnce(events);
  });
});

describe("5xx, time-out, network fault: two tries within 6 s, then 503", () => {
  for (const status of [500, 501, 502, 503, 504, 599]) {
    it(`${status} twice: 503 upstream_unavailable`, async () => {
      librato.play([], () => ({ status, body: "<html>gateway</html>" }));
      refused(await worker.post("/v1/track", track("Down")), 503, "upstream_unavailable");
      assert.equal(librato.requests.length, 2);
      assert.ok(librato.requests[1].at - librato.requests[0].at < 6_000);
    });

    it(`${status} once: delivered`, async () => {
      librato.play([{ status }]);
      const events = tracks(5);
      succeeded(await send(events));
      assert.equal(librato.requests.length, 2);
      assert.equal(librato.requests[0].text, librato.requests[1].text, "the second try is the first again");
      storedOnce(events);
    });
  }

  for (const cut of ["before", "middle"]) {
    it(`the connection is reset ${cut === "before" ? "before" : "in the middle of"} the answer`, async () => {
      librato.play([], () => ({ cut, status: 503 }));
      refused(await worker.post("/v1/track", track("Cut")), 503, "upstream_unavailable");
      assert.ok(librato.requests.length >= 2);

      librato.play([{ cut, status: 503 }]);
      succeeded(await worker.post("/v1/track", track("Cut")));
      storedOnce(["Cut"]);
    });
  }

  it("nobody listens, or there is no such host", async () => {
    for (const url of [`http://127.0.0.1:${await freePort()}`, "http://librato.invalid"]) {
      await withWorker({ librato: url }, async (other) => {
        refused(await other.post("/v1/track", track("Nobody")), 503, "upstream_unavailable");
      });
    }
  });

  it("only what was not delivered is tried again", async () => {
    librato.play([], ({ gauges }) => (librato.requests.length === 2 ? { status: 500 } : { delay: gauges.length }));
    const events = tracks(2 * MOST_GAUGES);
    succeeded(await send(events));
    assert.equal(librato.requests.length, 3);
    storedOnce(events);
  });

  it("one request of two fails for good: the client is told to send all of it again", async () => {
    librato.play([], ({ gauges }) => (gauges.length === 1 ? { status: 500 } : {}));
    refused(await send(tracks(MOST_GAUGES + 1)), 503, "upstream_unavailable");
    assert.deepEqual(
      librato.requests.map(({ gauges }) => gauges.length).sort((a, b) => a - b),
      [1, 1, MOST_GAUGES],
    );
  });

  it("a redirect is not followed: the credentials go to nobody else", async (t) => {
    const elsewhere = await startScripted();
    t.after(() => elsewhere.stop());
    for (const status of [301, 302, 307, 308]) {
      librato.play([], () => ({ status, headers: { location: `${elsewhere.url}/v1/metrics` } }));
      const answer = await worker.post("/v1/track", track("Redirect"));
      assert.ok(answer.status >= 400, answer.text);
    }
    assert.equal(elsewhere.requests.length, 0);
  });
});

describe("none takes longer than 7 s", { concurrency: true }, () => {
  // The harness checks the time of each answer.
  it("Librato never answers: 503 upstream_unavailable", async () => {
    await alone({}, async (upstream, other) => {
      upstream.play([], () => ({ hang: "all" }));
      refused(await other.post("/v1/track", track("Hang")), 503, "upstream_unavailable");
      assert.equal(upstream.requests.length, 2);
      await waitFor("the connections are closed", () => upstream.open === 0);
    });
  });

  it("Librato answers 200, but its body never ends", async () => {
    await alone({}, async (upstream, other) => {
      upstream.play([], () => ({ hang: "body", body: '{"' }));
      const answer = await other.post("/v1/track", track("Hang"));
      // After a 2xx the measurements are stored; an endless body cannot say otherwise in time.
      assert.ok([200, 503].includes(answer.status), answer.text);
      await waitFor("the connections are closed", () => upstream.open === 0);
    });
  });

  it("Librato never answers once: delivered at the second try", async () => {
    await alone({}, async (upstream, other) => {
      upstream.play([{ hang: "all" }]);
      succeeded(await other.post("/v1/track", track("Hang")));
      assert.equal(upstream.requests.length, 2);
      assert.ok(upstream.requests[1].at - upstream.requests[0].at < 4_500);
    });
  });

  it("Librato takes 2 s: delivered at the first try", async () => {
    await alone({}, async (upstream, other) => {
      upstream.play([], () => ({ delay: 2_000 }));
      succeeded(await other.post("/v1/track", track("Slow")));
      assert.equal(upstream.requests.length, 1);
    });
  });

  it("2,500 gauges and Librato never answers", async () => {
    await alone({}, async (upstream, other) => {
      upstream.play([], () => ({ hang: "all" }));
      const events = Array.from({ length: 2_500 }, (_, index) => ({ type: "track", event: `m${index}`, userId }));
      refused(await other.post("/v1/batch", batch(events)), 503, "upstream_unavailable");
      assert.ok(upstream.requests.length <= 2 * MOST_AT_ONCE, `${upstream.requests.length} requests`);
    });
  });

  it("2,500 gauges and Librato takes 2.5 s for each 300", async () => {
    await alone({}, async (upstream, other) => {
      upstream.play([], () => ({ delay: 2_500 }));
      const events = Array.from({ length: 2_500 }, (_, index) => ({ type: "track", event: `m${index}`, userId }));
      succeeded(await other.post("/v1/batch", batch(events)));
      assert.equal(upstream.gauges.length, 2_500);
    });
  });

  it("the search for an offender among slow answers", async () => {
    await alone({}, async (upstream, other) => {
      const isBad = ({ name }) => name === "Bad";
      upstream.play([], (request) => ({ ...strict(isBad, () => ({ status: 400 }))(request), delay: 900 }));
      const answer = await other.post("/v1/batch", batch([...tracks(299), track("Bad")]));
      assert.ok([200, 503].includes(answer.status), answer.text);
    });
  });

  it("Retry-After: 5 twice", async () => {
    await alone({}, async (upstream, other) => {
      upstream.play([], () => ({ status: 429, headers: { "retry-after": "5" } }));
      refused(await other.post("/v1/track", track("Limited")), 429, "rate_limited");
      assert.ok(upstream.requests.length <= 2);
    });
  });

  it("faults of the local Librato: hang, reset-before, reset-after", async (t) => {
    const local = await startLibrato();
    t.after(() => local.stop());
    await withWorker({ librato: local.url }, async (other) => {
      await local.fault({ answer: "reset-before" });
      succeeded(await other.post("/v1/track", track("Cut")));
      assert.equal((await local.metric("Cut")).count, 1);

      // The answer is lost, so the second try counts again: Librato has no idempotency key.
      await local.fault({ answer: "reset-after" });
      succeeded(await other.post("/v1/track", track("Lost")));
      assert.equal((await local.metric("Lost")).count, 2);

      await local.fault({ answer: "hang", times: 2 });
      refused(await other.post("/v1/track", track("Hang")), 503, "upstream_unavailable");
      assert.equal(await local.metric("Hang"), undefined);
    });
  });
});

describe("many requests at the same time", () => {
  it("each has its own events and its own answer", async () => {
    librato.play(
      [],
      strict(
        ({ name }) => name.startsWith("Bad"),
        () => ({ status: 400, body: { errors: [""] } }),
      ),
    );
    const sent = Array.from({ length: 50 }, (_, index) => index);
    const answers = await Promise.all(
      sent.map((index) => send([track(`Good-${index}`), ...(index % 3 === 0 ? [track(`Bad-${index}`)] : [])])),
    );
    answers.forEach((answer, index) => {
      assert.equal(answer.status, 200, answer.text);
      assert.equal(answer.json().rejected?.[0].index, index % 3 === 0 ? 1 : undefined);
    });
    storedOnce(sent.map((index) => `Good-${index}`));
  });

  it("pages and tracks of a real page: two requests with one name", async () => {
    librato.play([]);
    const answers = await Promise.all([worker.post("/v1/p", page("Home")), worker.post("/v1/t", track("Clicked"))]);
    answers.forEach(succeeded);
    assert.deepEqual(names(librato.gauges), ["Clicked", "Viewed-Home-Page"]);
  });
});

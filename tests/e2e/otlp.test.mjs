// OTLP as the destination, with real receivers: their output, the decoded official messages, and the data in a store. A
// 200 alone proves nothing with OTLP.

import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { after, before, beforeEach, describe, it } from "node:test";
import fc from "fast-check";
import { batch, now, track } from "./lib/events.mjs";
import { partly, refused, succeeded } from "./lib/expect.mjs";
import { at, otlp, points, totals, withSource } from "./lib/otlp.mjs";
import { operatorToken, withPlatform } from "./lib/platform.mjs";
import { version } from "./lib/project.mjs";
import { decoded, startRotel, startVictoriaMetrics, startWay } from "./lib/receivers.mjs";
import { EVENTS, faults, namesOf, sendThrough, told } from "./lib/through.mjs";
import { waitFor } from "./lib/wait.mjs";
import { secrets, startWorker, withWorker } from "./lib/worker.mjs";

describe("rotel, a collector: what a measurement is in each profile", () => {
  let rotel;
  before(async () => {
    rotel = await startRotel();
  });
  after(() => rotel?.stop());

  const delta = (isMonotonic) => ({
    DataType: "Sum",
    IsMonotonic: String(isMonotonic),
    AggregationTemporality: "AGGREGATION_TEMPORALITY_DELTA",
  });
  for (const [profile, value, count] of [
    [undefined, delta(false), delta(true)],
    ["delta", delta(false), delta(true)],
    ["monotonic", delta(true), delta(true)],
    ["gauge", { DataType: "Gauge" }, { DataType: "Gauge" }],
  ]) {
    it(profile ?? "unset", async () => {
      const settings = otlp(rotel.url, { OTLP_PROFILE: profile ?? null, ROLLUP_SECONDS: "5" });
      const name = `Rotel-${profile}`;
      const second = now() - 60 - ((now() - 60) % 5);
      await withWorker({ settings }, async (worker) => {
        const values = [2.5, -6, 0.25];
        const more = { ...withSource("web"), ...at(second) };
        const calls = values.map((value) => track(name, { properties: { value }, ...more }));
        succeeded(await worker.post("/v1/batch", batch(calls)));
      });
      const found = await waitFor("two points", () => {
        const found = rotel.points().filter((point) => point.Name.startsWith(name));
        return found.length >= 2 && found;
      });
      const nano = (seconds) => `${seconds}000000000`;
      const common = {
        attributes: { source: "web" },
        resource: { "service.name": "librato-edge", "service.version": version, "service.instance.id": "0" },
        StartTimestamp: nano(second - 5),
        Timestamp: nano(second),
      };
      assert.deepEqual(
        found.map(({ resource, ...point }) => ({ ...point, resource: { ...resource, "service.instance.id": "0" } })),
        [
          { Name: name, Unit: "", ...value, Value: "-3.25", ...common },
          { Name: `${name}.count`, Unit: "{event}", ...count, Value: "3", ...common },
        ],
      );
      assert.match(found[0].resource["service.instance.id"], /^r?\d+$/);
    });
  }
});

describe("the official messages: what is sent is what was measured", () => {
  let way;
  let worker;
  before(async () => {
    way = await startWay();
    worker = await startWorker({ settings: otlp(way.url) });
  });
  after(async () => {
    await worker?.stop();
    await way?.stop();
  });

  it("whatever the events", async () => {
    const runs = [];
    const event = fc.record({
      name: fc.constantFrom("a", "b", "A b", "x.count", "Ünïcode", "n".repeat(300)),
      source: fc.constantFrom("web", "app", "s".repeat(60)),
      // Halves add up exactly in any order.
      value: fc.integer({ min: -1e9, max: 1e9 }).map((halves) => halves / 2),
      age: fc.integer({ min: -5, max: 3_500 }),
    });
    await fc.assert(
      fc.asyncProperty(fc.array(event, { minLength: 1, maxLength: 700, size: "max" }), async (list) => {
        way.play([]);
        const second = now();
        const calls = list.map(({ name, source, value, age }) =>
          track(name, { properties: { value }, ...withSource(source), ...at(second - age) }),
        );
        succeeded(await worker.post("/v1/batch", { batch: calls }));
        runs.push({ list, second, bodies: way.requests.map(({ body }) => body) });
      }),
      { numRuns: 25 },
    );
    const requests = decoded(runs.flatMap(({ bodies }) => bodies));
    assert.ok(requests.length > runs.length, "some runs need more than one request");
    for (const { list, second, bodies } of runs) {
      const sent = requests.splice(0, bodies.length).flatMap(points);
      // The suffix fits the 255 characters too.
      const clean = (name) => name.replace(/[^A-Za-z0-9._-]/g, "-").slice(0, 255 - ".count".length);
      const key = ({ name, source, second, unit }) => `${name.toLowerCase()} ${source} ${second} ${unit ?? ""}`;
      const expected = list.flatMap(({ name, source, value, age }) => [
        { name: clean(name), source, value, second: second - age },
        { name: `${clean(name)}.count`, source, value: 1, second: second - age, unit: "{event}" },
      ]);
      const [found, wanted] = [totals(sent, key), totals(expected, key)];
      assert.deepEqual(new Map([...found].sort()), new Map([...wanted].sort()));
      assert.equal(found.size, sent.length, "two points of one series have one second");
      for (const { temporality, isMonotonic, unit, interval } of sent) {
        assert.equal(temporality, "AGGREGATION_TEMPORALITY_DELTA");
        assert.equal(isMonotonic, unit === "{event}");
        assert.equal(interval, 1);
      }
      assert.equal(new Set(sent.map(({ instance }) => instance)).size, 1, "one request of a client, one writer");
    }
    for (const body of runs.flatMap(({ bodies }) => bodies)) {
      assert.ok(body.length <= 100_000, `${body.length} bytes`);
    }
  });
});

describe("answers", () => {
  const token = `token-${randomBytes(12).toString("hex")}`;
  let way;
  let worker;
  before(async () => {
    way = await startWay();
    const headers = `Authorization=Bearer%20${token},X-Scope-OrgID=tenant-1`;
    const settings = otlp(`${way.url}?a=b`, { OTLP_HEADERS: headers, OPERATOR_TOKEN: operatorToken });
    worker = await startWorker({ settings });
  });
  beforeEach(() => way.play([]));
  after(async () => {
    await worker?.stop();
    await way?.stop();
  });

  const send = (name = "Answered") => worker.post("/v1/track", track(name, withSource("web")));
  /** Encodes a length-delimited field of protobuf. */
  const field = (number, bytes) => Buffer.concat([Buffer.from([number * 8 + 2, bytes.length]), Buffer.from(bytes)]);
  const lastLine = () => worker.lines.at(-1);

  it("the request: the whole URL, the headers, protobuf", async () => {
    succeeded(await send());
    const [{ path, headers }] = way.requests;
    assert.equal(path, "/v1/metrics?a=b");
    assert.equal(headers.authorization, `Bearer ${token}`);
    assert.equal(headers["x-scope-orgid"], "tenant-1");
    assert.equal(headers["content-type"], "application/x-protobuf");
    assert.equal(headers["user-agent"], `librato-edge/${version}`);
  });

  it("200 with a partial success is not sent again, and its points are counted in the log", async () => {
    const partial = Buffer.concat([Buffer.from([0x08, 3]), field(2, Buffer.from("too late"))]);
    way.play([{ body: field(1, partial) }]);
    const before = worker.lines.length;
    succeeded(await send());
    await waitFor("a log line", () => worker.lines.length > before);
    assert.equal(way.requests.length, 1);
    const { refusedPoints, trouble } = lastLine();
    assert.deepEqual([refusedPoints, trouble], [3, "the OTLP endpoint refused some points"]);
  });

  it("200 with a warning", async () => {
    way.play([{ body: field(1, field(2, Buffer.from("a hint"))) }]);
    const before = worker.lines.length;
    succeeded(await send());
    await waitFor("a log line", () => worker.lines.length > before);
    const { refusedPoints, trouble } = lastLine();
    assert.deepEqual([refusedPoints, trouble], [undefined, "the OTLP endpoint warns"]);
  });

  for (const status of [429, 502, 503, 504]) {
    it(`${status}, then 200: the same bytes again`, async () => {
      way.play([{ status }]);
      succeeded(await send());
      const [first, second] = way.requests.map(({ body }) => body.toString("hex"));
      assert.equal(way.requests.length, 2);
      assert.equal(first, second);
    });
  }

  it("a lost connection, then 200: the same bytes again", async () => {
    way.play([{ cut: "before" }]);
    succeeded(await send());
    const [first, second] = way.requests.map(({ body }) => body.toString("hex"));
    assert.deepEqual([way.requests.length, first], [2, second]);
  });

  it("Retry-After is passed on to the client", async () => {
    way.play([], () => ({ status: 503, headers: { "retry-after": "77" } }));
    const answer = await send();
    refused(answer, 503, "upstream_unavailable", /^the OTLP endpoint does not take measurements now/);
    assert.equal(answer.headers.get("retry-after"), "77");
    way.play([], () => ({ status: 429, headers: { "retry-after": "78" } }));
    const limited = await send();
    refused(limited, 429, "rate_limited", /^the OTLP endpoint limits the account/);
    assert.equal(limited.headers.get("retry-after"), "78");
  });

  for (const status of [401, 403]) {
    it(`${status}: the operator's fault`, async () => {
      way.play([], () => ({ status, body: token }));
      refused(await send(), 503, "misconfigured", /^OTLP_HEADERS: expected credentials/);
    });
  }

  for (const [status, body, said] of [
    [400, Buffer.concat([Buffer.from([0x08, 3]), field(2, Buffer.from(`bad point, Bearer ${token}`))]), "bad point, …"],
    [400, `{"code":3,"message":"bad point ${token}"}`, "bad point …"],
    [422, "no such unit", "no such unit"],
  ]) {
    it(`${status} is not sent again, and the server's words are told`, async () => {
      way.play([], () => ({ status, body }));
      const { message } = refused(await send(), 400, "refused_by_librato");
      assert.equal(message, `the OTLP endpoint answered ${status}: ${said}`);
      assert.equal(way.requests.length, 1);
    });
  }

  for (const [status, code] of [
    [404, "misconfigured"],
    [405, "misconfigured"],
    [302, "upstream_unavailable"],
    [500, "upstream_unavailable"],
  ]) {
    it(`${status} is ${code}: a client sends it again`, async () => {
      way.play([], () => ({ status }));
      refused(await send(), 503, code);
      assert.equal(way.requests.length, 2);
    });
  }

  for (const [suffix, named, long] of [
    [undefined, ["Named", "Named.count"], [249, 255]],
    ["_total", ["Named", "Named_total"], [249, 255]],
    ["-c", ["Named", "Named-c"], [253, 255]],
    ["off", ["Named"], [255]],
  ]) {
    it(`OTLP_COUNT_SUFFIX=${suffix ?? "(missing)"}: the names, the longest of which fit`, async () => {
      await withWorker({ settings: otlp(way.url, { OTLP_COUNT_SUFFIX: suffix ?? null }) }, async (other) => {
        succeeded(await other.post("/v1/track", track("Named")));
        succeeded(await other.post("/v1/track", track("n".repeat(300))));
      });
      const [short, cut] = decoded(way.requests.map(({ body }) => body)).map(points);
      assert.deepEqual(short.map(({ name }) => name).sort(), named);
      assert.deepEqual(cut.map(({ name }) => name.length).sort(), long);
    });
  }

  it("OTLP_COUNT_SUFFIX that is no part of a name is named", async () => {
    for (const suffix of ["a b", "é", "x".repeat(101)]) {
      await withWorker({ settings: otlp(way.url, { OTLP_COUNT_SUFFIX: suffix }) }, async (broken) => {
        refused(await broken.fetch("/health"), 503, "misconfigured", /^OTLP_COUNT_SUFFIX: expected/);
        refused(await broken.post("/v1/track", track("X")), 503, "misconfigured");
      });
    }
  });

  it("any 2xx is a success", async () => {
    way.play([], () => ({ status: 202, body: "later" }));
    succeeded(await send());
    assert.equal(way.requests.length, 1);
  });

  it("413 is halved until one is too large by itself", async () => {
    way.play([], ({ body }) => (body.includes("Too-Large") ? { status: 413 } : {}));
    const names = ["a", "b", "Too-Large", "c", "d"];
    partly(await worker.post("/v1/batch", batch(names.map((name) => track(name)))), 4, [[2, "refused_by_librato"]]);
  });

  it("an event may be an hour old", async () => {
    const old = (seconds) => worker.post("/v1/track", track("Old", at(now() - seconds)));
    succeeded(await old(3_590));
    refused(await old(3_660), 400, "timestamp_out_of_range", /between 3600 s before and 600 s after/);
  });

  it("a writer that is drawn is any of them", async () => {
    // Without the object that allocates writer ids.
    await withWorker({ settings: otlp(way.url), platform: { durableObjects: {} } }, async (other) => {
      for (let index = 0; index < 24; index += 1) succeeded(await other.post("/v1/track", track("Drawn")));
    });
    const drawn = way.requests.map(({ body }) =>
      Number(/service\.instance\.id.{1,6}?r(\d+)/s.exec(body.toString("latin1"))[1]),
    );
    assert.ok(drawn.some((number) => number % 2 === 0) && drawn.some((number) => number % 2 === 1), `${drawn}`);
  });

  it("GET /health and /health?deep=1", async () => {
    succeeded({ ...(await worker.fetch("/health")), text: '{"success":true}' });
    const deep = await worker.fetch("/health?deep=1");
    assert.equal(deep.status, 200, deep.text);
    assert.equal(deep.json().destination, "it takes the credentials");
    assert.deepEqual([way.requests[0].body.length, way.requests[0].headers.authorization], [0, `Bearer ${token}`]);
    way.play([{ status: 401 }]);
    const operator = { headers: { authorization: `Bearer ${operatorToken}` } };
    refused(await worker.fetch("/health?deep=1", operator), 503, "misconfigured", /^OTLP_HEADERS/);
  });

  it("a missing or malformed setting is named, and its value is not shown", async () => {
    for (const [setting, value] of [
      ["OTLP_URL", null],
      ["OTLP_URL", "hunter2"],
      ["OTLP_HEADERS", "hunter2"],
      ["OTLP_PROFILE", "hunter2"],
      ["DESTINATION", "hunter2"],
    ]) {
      const librato = setting === "DESTINATION" ? { LIBRATO_URL: way.url, ...secrets } : {};
      const settings = { ...otlp(way.url), ...librato, [setting]: value };
      await withWorker({ settings }, async (broken) => {
        const answer = await broken.fetch("/health");
        const { missing } = refused(answer, 503, "misconfigured");
        assert.deepEqual(
          missing.map((one) => one.setting),
          [setting],
        );
        assert.ok(!answer.text.includes("hunter2"));
        refused(await broken.post("/v1/track", track("x")), 503, "misconfigured", new RegExp(`^${setting}: expected`));
      });
    }
  });
});

// As Mimir and Datadog are: what is good of a request is stored although all of it is answered by 400, and a point that
// is stored under the same writer once more replaces the first.
describe("a store that keeps the good points of what it refuses", () => {
  let way;
  const isBad = ({ name }) => name.startsWith("Bad");
  const refusing = ({ body }) => (body.includes("Bad-") ? { status: 400, body: "one of them is odd" } : {});

  before(async () => {
    way = await startWay();
  });
  beforeEach(() => way.play([], refusing));
  after(() => way?.stop());

  /** What such a store has in the end, of everything that it was ever sent. */
  function stored() {
    const series = new Map();
    for (const point of decoded(way.requests.map(({ body }) => body)).flatMap(points)) {
      const { name, source, instance, second, value } = point;
      const isTaken = !isBad(point) || isCorrected;
      if (isTaken) series.set([name, source, instance, second].join(" "), { name, value });
    }
    return Object.fromEntries([...totals([...series.values()], ({ name }) => name)].sort());
  }
  /** Whether the store takes what it refused before. */
  let isCorrected = false;
  beforeEach(() => {
    isCorrected = false;
  });

  const COUNT = 100;
  /** Events of few names, so that points are merged, with an offender among them. */
  function events() {
    const second = now() - 60;
    const list = Array.from({ length: COUNT }, (_, index) =>
      track(`Good-${index % 30}`, { properties: { value: index }, ...at(second) }),
    );
    list.splice(41, 0, track("Bad-One", { properties: { value: 7 }, ...at(second) }));
    return list;
  }
  const expected = (list) => {
    const sums = list.flatMap(({ event: name, properties: { value } }) => [
      { name, value },
      { name: `${name}.count`, value: 1 },
    ]);
    return Object.fromEntries([...totals(sums, ({ name }) => name)].sort());
  };
  const good = (list) => list.filter(({ event }) => event !== "Bad-One");

  it("direct: the offender is told, all others count once", async () => {
    await withWorker({ settings: otlp(way.url) }, async (worker) => {
      const list = events();
      partly(await worker.post("/v1/batch", batch(list, { sentAt: undefined })), COUNT, [[41, "refused_by_librato"]]);
      assert.ok(way.requests.length > 2);
      assert.deepEqual(stored(), expected(good(list)));
    });
  });

  it("durable: the offender is set aside, all others count once, and so does what is sent again", async () => {
    await withPlatform({ settings: otlp(way.url) }, async (platform) => {
      const list = events();
      const messages = await platform.pack(list);
      assert.deepEqual(await platform.consume(messages), ["ack"]);
      assert.deepEqual(stored(), expected(good(list)));
      const letters = platform.letters();
      assert.deepEqual(
        letters.map(({ measurement }) => measurement.name),
        ["Bad-One"],
      );

      // The operator sends it again, twice, while the store still refuses it: under the writer of its first delivery.
      assert.deepEqual(await platform.keep(letters.map((letter) => JSON.stringify(letter))), ["ack"]);
      const replay = async () => {
        const { letters } = (await platform.operator("GET", "/set-aside")).json();
        const ids = letters.map(({ id }) => id);
        const { changed } = (await platform.operator("POST", "/set-aside/replay", { ids })).json();
        assert.equal(changed, 1);
        const bodies = platform.taken();
        assert.deepEqual(await platform.consume(bodies), ["ack"]);
      };
      await replay();
      const again = platform.letters();
      assert.deepEqual(await platform.keep(again.map((letter) => JSON.stringify(letter))), ["ack"]);

      isCorrected = true;
      way.play([]);
      const before = way.requests;
      await replay();
      way.requests.unshift(...before);
      const writers = decoded(way.requests.map(({ body }) => body))
        .flatMap(points)
        .filter(isBad);
      assert.equal(new Set(writers.map(({ instance }) => instance)).size, 1);
    });
  });

  it("what it has stored but refused with others counts once when the whole request is sent again", async () => {
    await withPlatform({ settings: otlp(way.url) }, async (platform) => {
      // It refuses everything that holds many points, good ones too, and stores them.
      way.play([], () => ({ status: 400, body: "no" }));
      const list = good(events());
      assert.deepEqual(await platform.consume(await platform.pack(list)), ["ack"]);
      const letters = platform.letters();
      assert.equal(letters.length, 30);
      for (const letter of letters) assert.deepEqual(await platform.keep([JSON.stringify(letter)]), ["ack"]);
      const refused = way.requests;
      way.play([]);
      const { changed } = (await platform.operator("POST", "/set-aside/replay", { all: true })).json();
      assert.equal(changed, 30);
      const bodies = platform.taken();
      assert.deepEqual(await platform.consume(bodies), Array(bodies.length).fill("ack"));
      way.requests.unshift(...refused);
      assert.deepEqual(stored(), expected(list));
    });
  });
});

describe("GET /health?deep=1 at a store that refuses the temporality", () => {
  it("is not ok while all that was lately sent was refused, with a hint at the profile", async () => {
    const way = await startWay();
    const settings = otlp(way.url, { OPERATOR_TOKEN: operatorToken });
    const operator = { headers: { authorization: `Bearer ${operatorToken}` } };
    const refusal = { status: 400, body: "invalid temporality and type combination for metric" };
    try {
      way.play([], ({ body }) => (body.length > 0 ? refusal : {}));
      await withPlatform({ settings }, async (platform) => {
        assert.equal((await platform.worker.fetch("/health?deep=1", operator)).status, 200);
        assert.deepEqual(await platform.consume(await platform.pack([track("Refused")])), ["ack"]);
        const answer = await platform.worker.fetch("/health?deep=1", operator);
        assert.equal(answer.status, 503, answer.text);
        assert.match(answer.text, /temporality/);
        assert.match(answer.text, /OTLP_PROFILE/);

        way.play([]);
        assert.deepEqual(await platform.consume(await platform.pack([track("Taken")])), ["ack"]);
        assert.equal((await platform.worker.fetch("/health?deep=1", operator)).status, 200);
      });
    } finally {
      await way.stop();
    }
  });
});

describe("VictoriaMetrics, a store, with the gauge profile", () => {
  let store;
  let way;
  let worker;
  before(async () => {
    store = await startVictoriaMetrics();
    way = await startWay(store.url);
    const settings = otlp(way.url, { OTLP_PROFILE: "gauge", OPERATOR_TOKEN: operatorToken });
    worker = await startWorker({ settings, queues: true });
  });
  after(async () => {
    await worker?.stop();
    await way?.stop();
    await store?.stop();
  });

  it(`has the exact totals of ${EVENTS.toLocaleString("en")} events of real clients, through faults`, async (t) => {
    const run = await sendThrough({ worker, way, faults });
    const { expected, came, times } = run;
    assert.deepEqual(await store.sums(namesOf(expected)), expected);

    // The failed request was repeated unchanged.
    for (const { body, turn } of came.filter(({ turn }) => turn.cut || turn.status)) {
      const same = times.get(body.toString("base64"));
      assert.ok(same.length > 1, `${JSON.stringify(turn)}: ${same.length} times the same bytes`);
    }
    // No two other requests have points of the same series and second.
    const seen = new Set();
    for (const { name, source, instance, second } of run.points) {
      const point = [name, source, instance, second].join(" ");
      assert.ok(!seen.has(point), `${point} is in two requests`);
      seen.add(point);
    }
    assert.ok(run.writers > 5, `${run.writers} writers of one second`);
    t.diagnostic(told(run));
    const sealed = worker.lines.filter(({ event }) => event === "consume").reduce((n, { sealed = 0 }) => n + sealed, 0);
    assert.ok(sealed > 0, "nothing was sealed");
  });
});

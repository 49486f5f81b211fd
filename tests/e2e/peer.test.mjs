// Compares the Worker with its peer in JavaScript, on which `npm run bench` relies: both are sent the same requests,
// and must give the same gauges, messages, answers and log lines.

import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { createServer } from "node:http";
import { after, before, describe, it } from "node:test";
import { gzipSync } from "node:zlib";
import fc from "fast-check";
import { batch as realisticBatch, single as realisticSingle, slim } from "../../bench/lib/events.mjs";
import { settings, startWorkers } from "../../bench/lib/workers.mjs";
import { projectPath } from "./lib/project.mjs";
import { basic } from "./lib/worker.mjs";

const NAMES = ["rust", "peer"];

/** A queue that forwards its messages to the sink. */
const QUEUE = `
  import { WorkerEntrypoint } from "cloudflare:workers";
  export class Queue extends WorkerEntrypoint {
    send(body, options) {
      return this.#pass([{ ...options, body }]);
    }
    sendBatch(messages) {
      return this.#pass([...messages]);
    }
    async #pass(messages) {
      const taken = await fetch(this.ctx.props.librato + "/queue", { method: "POST", body: JSON.stringify(messages) });
      if (!taken.ok) throw new Error(await taken.text());
    }
  }
  export default {};
`;

/** Mock of Librato for both. It records the requests of each. */
class Sink {
  #taken = { rust: [], peer: [] };
  #server = createServer(async (request, response) => {
    const chunks = await request.toArray();
    const [, worker, ...path] = request.url.split("/");
    const json = JSON.parse(Buffer.concat(chunks).toString());
    this.#taken[worker].push({ path: path.join("/"), headers: request.headers, json });
    const { status = 200, headers = {}, body = "" } = this.answer;
    response.writeHead(status, headers).end(body);
  });
  /** Answer to every request. */
  answer = {};

  async start() {
    await new Promise((resolve) => this.#server.listen(0, "127.0.0.1", resolve));
    this.url = `http://127.0.0.1:${this.#server.address().port}`;
  }

  take(worker) {
    return this.#taken[worker].splice(0);
  }

  stop() {
    this.#server.closeAllConnections();
    this.#server.close();
  }
}

/** Both Workers in one process. */
class Pair {
  #sink = new Sink();
  #lines = [];
  #workers;

  async start(options) {
    await this.#sink.start();
    const onLog = (line) => this.#lines.push(line);
    // Each has a path of its own.
    const librato = (name) => `${this.#sink.url}/${name}`;
    this.#workers = await startWorkers({ librato, names: NAMES, queue: QUEUE, onLog, ...options });
    return this;
  }

  /** Sets the answer to every request to the sink. */
  play(answer) {
    this.#sink.answer = answer;
  }

  async #send(name, { method = "POST", path, body, headers = {} }) {
    const lines = this.#lines.length;
    const sent = { authorization: basic(settings.WRITE_KEYS), origin: "https://shop.example", ...headers };
    const response = await fetch(this.#workers.urls[name] + path, { method, headers: sent, body });
    const { success, code, message, accepted, rejected } = await response.json();
    while (this.#lines.length === lines) await new Promise((resolve) => setImmediate(resolve));
    const { ms, trouble, ...line } = JSON.parse(this.#lines.at(-1));
    assert.equal(typeof ms, "number");
    const taken = this.#sink.take(name);
    return {
      answer: {
        status: response.status,
        // workerd sets those of the connection, which it closes if the body was not read to its end.
        headers: [...response.headers].filter(([header]) => !["content-length", "connection"].includes(header)),
        success,
        code,
        // A client library reads this text.
        message: code === "invalid_write_key" ? message : undefined,
        accepted,
        rejected: rejected?.map(({ index, messageId, code }) => ({ index, messageId, code })),
      },
      line: { ...line, trouble: trouble !== undefined },
      requests: taken.filter(({ path }) => path !== "queue").map(requestOf),
      messages: taken.filter(({ path }) => path === "queue").map(({ json }) => json.map(messageOf)),
    };
  }

  /**
   * Sends a request to both, and asserts that the results are equal.
   *
   * @returns the result
   */
  async compare(request) {
    for (let tries = 1; ; tries += 1) {
      const [rust, peer] = [await this.#send("rust", request), await this.#send("peer", request)];
      try {
        assert.deepEqual(peer, rust, `${request.path} ${request.body.slice(0, 2_000)}`);
        return rust;
      } catch (error) {
        // The clock may tick between the two requests, but hardly five times in a row.
        if (tries === 5) throw error;
      }
    }
  }

  async stop() {
    await this.#workers?.stop();
    this.#sink.stop();
  }
}

/** Returns the compared parts of a request to Librato: all but the `User-Agent`. */
function requestOf({ path, headers: { authorization, "content-type": type }, json }) {
  return { path, authorization, type, json };
}

/** Returns a message without its owner, which is random. */
function messageOf({ body, ...options }) {
  const { o: owner, ...rest } = JSON.parse(body);
  assert.match(owner, /^[0-9a-f]{16}$/);
  return { ...options, ...rest };
}

/** Runs with a pair, and stops it afterwards. */
async function withPair(options, use) {
  const pair = await new Pair().start(options);
  try {
    return await use(pair);
  } finally {
    await pair.stop();
  }
}

/** Returns the cases of the mapping's tables, grouped by their settings. */
function tables() {
  const groups = new Map();
  const folder = projectPath("tests/fixtures/mapping");
  for (const file of readdirSync(folder)) {
    for (const { settings: more = {}, receivedAt, path, body, rawBody } of JSON.parse(
      readFileSync(`${folder}/${file}`, "utf8"),
    ).cases) {
      // The table's time of receipt as `sentAt` shifts every event to now, like a sender's wrong clock; an event's own
      // `sentAt` comes later and has precedence.
      const moved = (rawBody ?? JSON.stringify(body)).replace("{", `{"sentAt":"${receivedAt}",`);
      const key = JSON.stringify(more);
      if (!groups.has(key)) groups.set(key, { more, requests: [] });
      groups.get(key).requests.push({ path, body: moved.replace(/,\s*}$/, "}") });
    }
  }
  return [...groups.values()];
}

/** Returns the events of the recording of the original destination, as batches. */
function recordings() {
  const lines = readFileSync(projectPath("tests/fixtures/original.jsonl"), "utf8").trimEnd().split("\n");
  const events = lines.map((line) => line.slice('{"in":'.length, line.lastIndexOf(',"out":')));
  const batches = [];
  // Small batches: each millisecond between the two requests shifts one event of a thousand into another second.
  for (let at = 0; at < events.length; at += 25) {
    batches.push(`{"sentAt":"2026-11-23T12:00:00.000Z","batch":[${events.slice(at, at + 25)}]}`);
  }
  return batches;
}

// Events in which any relevant field may have any value, but mostly a meaningful one.

const maybe = (arbitrary) => fc.option(arbitrary, { nil: undefined, freq: 2 });
const anything = fc.oneof(
  fc.constantFrom(null, true, false, 0, -0, 1, 1e21, 1e-7, "", [], {}, ["a", null], "é😀"),
  fc.jsonValue({ maxDepth: 1 }),
);
/** Generates a regular value in nine of ten cases. */
const mostly = (arbitrary) => fc.oneof({ weight: 9, arbitrary }, { weight: 1, arbitrary: anything });
/** Does the same for a text, which may have a lone surrogate. */
const texts = (...given) =>
  fc.oneof(
    { weight: 19, arbitrary: mostly(fc.constantFrom(...given)) },
    { weight: 1, arbitrary: fc.constant("a\ud800") },
  );
const name = texts(
  "Order Completed",
  "order completed",
  "ORDER COMPLETED",
  "Order:Completed",
  "all",
  "a:b",
  'a"b',
  "é😀",
  "\uffe6\uffe6\uffe6",
  "x".repeat(300),
);
const number = fc.oneof(
  fc.integer({ min: -9, max: 99 }),
  fc.constantFrom(
    0.1,
    1e126,
    -1e126,
    9e126,
    1e127,
    "12.5",
    "$3",
    "-$3",
    "$-3",
    "$-$3",
    " 4\n",
    "1e3",
    "5.",
    ".5",
    "x",
    null,
  ),
);
const now = Date.now();
const time = fc.oneof(
  fc.integer({ min: -5, max: 5 }).map((seconds) => new Date(now + seconds * 1000).toISOString()),
  fc.integer({ min: -9_000_000, max: 900_000 }).map((millis) => new Date(now + millis).toISOString()),
  fc.integer({ min: -10, max: 10 }).map((seconds) => now + seconds * 1000),
  fc.integer({ min: -10, max: 10 }).map((seconds) => Math.floor(now / 1000) + seconds),
  fc.integer({ min: -10, max: 10 }).map((seconds) => new Date(now + seconds * 1000).toUTCString()),
  fc.constantFrom(
    "",
    "soon",
    "2026-13-45T25:61:61Z",
    `${now}`,
    `${Math.floor(now / 1000)}`,
    "2026-02-30T00:00:00.000Z",
    new Date(now).toISOString().replace(/\d/g, (digit) => String.fromCodePoint(0x0660 + Number(digit))),
    "二〇二六年11月29日",
    new Date(now).toISOString().replace("Z", "\u221205:00"),
    new Date(now).toISOString().replace(/T\d\d/, "T1").replace("Z", " PM+02[Europe/Paris]"),
    new Date(now).toISOString().replace(/T\d\d/, "T1"),
    `${new Date(now).toUTCString()} (Mitteleuropäische Zeit)`,
  ),
);
const source = texts("web", "WEB", "all", "a b:c", 7, 1.5e300);
const entry = mostly(fc.oneof(fc.boolean(), fc.record({ source }, { requiredKeys: [] })));
const libraryPart = mostly(fc.constantFrom("@segment/analytics-node", "1.84.3", "a b", "x".repeat(65)));
const key = (...keys) => fc.constantFrom(...keys);
const section = mostly(
  fc
    .array(
      fc.oneof(
        fc.tuple(key("Librato", "librato", "LIB RATO", "$librato"), entry),
        fc.tuple(key("All", "all", "ALL"), mostly(fc.boolean())),
        fc.tuple(key("source", "Source"), source),
        fc.tuple(key("providers", "Providers"), fc.dictionary(key("All", "Librato", "librato"), entry)),
        fc.tuple(key("library"), mostly(fc.record({ name: libraryPart, version: libraryPart }))),
        fc.tuple(key("page", "locale", "Segment.io", "__proto__"), anything),
      ),
      { maxLength: 3 },
    )
    .map(written),
);

/** Makes an object with these entries in this order, with `__proto__` as an ordinary key. */
function written(entries) {
  return JSON.parse(`{${entries.map(([name, value]) => `${JSON.stringify(name)}:${JSON.stringify(value)}`)}}`);
}

const event = fc.record(
  {
    type: mostly(fc.constantFrom("track", "track", "track", "page", "identify", "group", "click")),
    event: name,
    name,
    category: maybe(name),
    userId: mostly(fc.constantFrom("u", 7)),
    anonymousId: mostly(fc.constant("a")),
    messageId: mostly(
      fc.oneof(fc.constantFrom("m1", "m2", "m3", "M1", "é\0😀", "7", 7, "a\ud800", "a\ufffd"), fc.uuid()),
    ),
    timestamp: maybe(mostly(time)),
    originalTimestamp: fc.option(mostly(time), { nil: undefined, freq: 5 }),
    receivedAt: fc.option(mostly(time), { nil: undefined, freq: 5 }),
    sentAt: maybe(mostly(time)),
    properties: mostly(
      fc
        .array(fc.tuple(key("value", "Value", "$VALUE", "total", "v.alue"), mostly(number)), { maxLength: 2 })
        .map(written),
    ),
    context: maybe(section),
    integrations: maybe(section),
    options: fc.option(section, { nil: undefined, freq: 5 }),
    traits: maybe(fc.dictionary(key("vip", "score"), mostly(fc.boolean()))),
  },
  { requiredKeys: ["type", "event", "userId"] },
);
const engage = event.map((made) => ({
  ...made,
  type: "identify",
  context: { personas: { computation_key: "vip" } },
}));
const envelope = fc.record(
  {
    batch: fc.array(
      fc.oneof({ weight: 12, arbitrary: event }, { weight: 1, arbitrary: engage }, { weight: 1, arbitrary: anything }),
      {
        maxLength: 12,
      },
    ),
    sentAt: maybe(mostly(time)),
    context: maybe(section),
    integrations: maybe(section),
  },
  { requiredKeys: ["batch"] },
);

/** Statistics of the generated requests. */
const seen = { measured: 0, rejected: new Set(), merged: 0 };
function note({ requests, line }) {
  seen.measured += line.measured;
  for (const code of Object.keys(line.rejected)) seen.rejected.add(code);
  for (const { json } of requests) seen.merged += json.gauges.filter(({ count }) => count > 1).length;
}

/** Removes `sentAt` from a batch: each millisecond between the two requests would shift some of its many events. */
const unsent = (body) => JSON.stringify({ ...JSON.parse(body), sentAt: undefined });

describe("the peer in JavaScript gives what the Worker gives", () => {
  let direct;
  let durable;
  before(async () => {
    direct = await new Pair().start();
    durable = await new Pair().start({ durable: true });
  });
  after(async () => {
    await direct?.stop();
    await durable?.stop();
  });

  /** Compares direct and durable delivery. */
  async function compare(request) {
    const { requests, messages, ...rest } = await direct.compare(request);
    assert.equal(messages.length, 0);
    note({ requests, ...rest });
    const stored = await durable.compare(request);
    assert.equal(stored.requests.length, 0);
    return { requests, messages: stored.messages, ...rest };
  }

  it("every rule of the mapping, by its table", async () => {
    let cases = 0;
    for (const { more, requests } of tables()) {
      const isDefault = Object.keys(more).length === 0;
      const all = async (pair) => {
        for (const request of requests) await (pair ?? { compare }).compare(request);
      };
      cases += requests.length;
      if (isDefault) await all();
      else await withPair({ more }, all);
    }
    assert.ok(cases > 500, `only ${cases} cases were found`);
  });

  it("3,000 recorded events", async () => {
    for (const body of recordings()) {
      const { answer } = await compare({ path: "/v1/batch", body });
      assert.equal(answer.status, 200);
    }
  });

  it("the events of the benchmark", async () => {
    for (const [path, body] of [
      ["/v1/t", realisticSingle(3)],
      ["/v1/b", unsent(realisticBatch(100))],
      ["/v1/b", unsent(realisticBatch(390))],
      ["/v1/b", JSON.stringify({ batch: Array.from({ length: 2_500 }, (_, index) => slim(index)) })],
    ]) {
      const { answer, requests, messages } = await compare({ path, body });
      assert.deepEqual(answer, { ...answer, status: 200, success: true, rejected: undefined });
      assert.ok(requests.length > 0 && messages.length > 0);
    }
  });

  it("generated batches", async () => {
    await fc.assert(
      fc.asyncProperty(envelope, fc.nat(9), async (made, shape) => {
        await compare({ path: "/v1/batch", body: JSON.stringify(shape === 0 ? made.batch : made) });
      }),
      { numRuns: 400 },
    );
    assert.ok(seen.measured > 1_000 && seen.merged > 50, JSON.stringify(seen));
    for (const code of [
      "missing_event",
      "invalid_value",
      "invalid_timestamp",
      "timestamp_out_of_range",
      "invalid_source",
    ]) {
      assert.ok(seen.rejected.has(code), `${code} was never seen: ${[...seen.rejected]}`);
    }
  });

  it("generated events by themselves", async () => {
    await fc.assert(
      fc.asyncProperty(key("track", "page", "identify", "group"), event, async (path, one) => {
        await compare({ path: `/v1/${path}`, body: JSON.stringify(one) });
      }),
      { numRuns: 200 },
    );
  });

  it("who may send, and what is no request", async () => {
    const good = { event: "X", userId: "u", messageId: "m" };
    const withKey = { ...good, writeKey: settings.WRITE_KEYS };
    const none = { authorization: "" };
    const filler = (bytes) => "x".repeat(bytes - JSON.stringify({ ...good, filler: "" }).length);
    for (const [path, body, headers] of [
      ["/v1/track", good, none],
      ["/v1/track", withKey, none],
      ["/v1/track", good, { authorization: basic("another") }],
      ["/v1/track", withKey, { authorization: basic("another") }],
      ["/v1/track", withKey, { authorization: "Bearer x" }],
      ["/v1/track", good, { authorization: basic(`${settings.WRITE_KEYS}\n`) }],
      ["/v1/track", { ...good, writeKey: ` ${settings.WRITE_KEYS}\r\n` }, none],
      ["/v1/track", { ...good, writeKey: " " }, none],
      [`/v1/track?writeKey=${settings.WRITE_KEYS}`, good, none],
      ["/v1/track?writeKey=another", good, none],
      ["/v1/batch", { batch: [withKey] }, none],
      ["/v1/batch", { batch: [good, withKey], writeKey: "another" }, none],
      ["/v1/batch", { batch: [], writeKey: settings.WRITE_KEYS }, none],
      ["/v1/batch", { batch: [] }],
      ["/v1/batch", { batch: {} }],
      ["/v1/batch", { batch: Array.from({ length: 2_501 }, () => 0) }],
      ["/v1/batch", [good]],
      ["/v1/batch", [withKey], none],
      ["/v1/batch", { ...withKey, type: "track" }, none],
      ["/v1/batch", { type: "track" }],
      ["/v1/batch", { type: "screen", batch: null }],
      ["/v1/batch", { type: "click" }],
      ["/v1/batch", "7"],
      ["/v1/track", [good]],
      ["/track/", good],
      ["//v1//track//", good],
      ["/v1/v1/t", good],
      ["/v1", { batch: [] }],
      ["/v1/v1/", { batch: [] }],
      ["/", good],
      ["/track/v1", good],
      ["/v1/nothing", good],
      ["/v1/track", ""],
      ["/v1/track", "{"],
      ["/v1/track", '{"event":NaN'],
      ["/v1/track", '{"event":"X","userId":"u",NaN:1}'],
      ["/v1/track", '{"event":"X","userId":"u","x":[NaN ,-Infinity\n]}'],
      ["/v1/track", "null"],
      ["/v1/track", `\ufeff ${JSON.stringify(good)} `],
      ["/v1/track", Uint8Array.of(0x7b, 0xff)],
      ["/v1/track", Uint8Array.of(0x1f, 0x8b, 0xff)],
      ["/v1/track", gzipSync(JSON.stringify(good))],
      ["/v1/track", gzipSync("x".repeat(1_048_577))],
      ["/v1/track", { ...good, filler: filler(65_536) }],
      ["/v1/track", { ...good, filler: filler(65_537) }],
      ["/v1/track", ` ${JSON.stringify({ ...good, filler: filler(65_536) })} `],
      ["/v1/track", { ...good, filler: filler(1_048_576) }],
      ["/v1/track", { ...good, filler: filler(1_048_577) }],
      ["/v1/track", { ...good, filler: filler(7_900_000) }],
      [
        "/v1/batch",
        `{"x":[${"[],".repeat(9)}0],"batch":[0, {} ,${JSON.stringify({ ...good, type: "track", filler: filler(65_521) })},[1,2],
        {"type":"track","event":"Y","userId":"u"}, ${JSON.stringify({ ...good, type: "track", filler: filler(65_522) })}]}`,
      ],
      [
        "/v1/batch",
        ` [0, {} ,${JSON.stringify({ ...good, type: "track", filler: filler(65_521) })},[1,[2,3]], "${"x".repeat(65_537)}",
        ${JSON.stringify({ ...good, type: "track", filler: filler(65_522) })},[${"1,".repeat(40_000)}1]]`,
      ],
      [
        "/v1/batch",
        `[{"type":"track","event":"X","userId":"u","messageId":9007199254740993},
        {"type":"track","event":"X","userId":"u","messageId":9007199254740992},
        {"type":"track","event":"X","userId":"u","messageId":1.0},
        {"type":"track","event":"X","userId":"u","messageId":1,"properties":{"x":-Infinity}}]`,
      ],
    ]) {
      const text = typeof body === "string" || body instanceof Uint8Array ? body : JSON.stringify(body);
      const { answer } = await compare({ path, body: text, headers });
      assert.ok([200, 400, 404].includes(answer.status));
    }
    for (const [method, path, status] of [
      ["PUT", "/v1/batch", 200],
      ["PATCH", "/v1/batch", 200],
      ["DELETE", "/v1/batch", 405],
      ["PUT", "/v1/track", 405],
    ]) {
      const { answer } = await compare({ method, path, body: JSON.stringify({ batch: [{ ...good, type: "track" }] }) });
      assert.equal(answer.status, status);
    }
  });

  it("origins, prefixes and names", async () => {
    const body = JSON.stringify({ event: "Order Completed", userId: "u" });
    const more = {
      ALLOWED_ORIGINS: "https://shop.example, https://*.pages.dev",
      PATH_PREFIX: "a/b",
      METRIC_PREFIX: "web.",
    };
    await withPair({ more }, async (pair) => {
      for (const [origin, status] of [
        ["https://shop.example", 200],
        ["https://A.b.pages.dev", 200],
        ["https://pages.dev", 403],
        ["https://x-pages.dev", 403],
        ["https://shop.example:443", 200],
        ["https://shop.example:80", 403],
      ]) {
        const { answer } = await pair.compare({ path: "/a//b/v1/t", body, headers: { origin } });
        assert.equal(answer.status, status, origin);
      }
      for (const path of ["/a/v1/t", "/a/b", "/a/b/v1/x"]) {
        const { answer } = await pair.compare({ path, body });
        assert.equal(answer.status, 404, path);
      }
    });
  });

  it("what Librato says", async () => {
    const body = JSON.stringify({ event: "X", userId: "u", messageId: "m" });
    const statuses = new Set();
    for (const answer of [
      { status: 202 },
      { status: 200, body: "fine" },
      { status: 200, body: '{"errors":{}}' },
      { status: 200, body: '{"errors":["no"]}' },
      { status: 400, body: '{"errors":{"params":{"name":["is invalid"]}}}' },
      { status: 400, body: '{"code":400,"message":"no JSON"}' },
      { status: 400, body: "<h1>Bad Request</h1>" },
      { status: 401 },
      { status: 403 },
      { status: 403, body: "API limit exceeded" },
      { status: 404 },
      { status: 405 },
      { status: 413 },
      { status: 418 },
      { status: 429, headers: { "retry-after": "77" } },
      { status: 429, headers: { "retry-after": new Date(Date.now() + 100_000_000).toUTCString() } },
      { status: 429, headers: { "x-librato-ratelimit-std": "limit=10,remaining=0,reset=4102444800" } },
      { status: 500 },
      { status: 503, headers: { "retry-after": "9" } },
      { status: 503, headers: { "retry-after": "9.2" } },
    ]) {
      direct.play(answer);
      const { answer: told } = await direct.compare({ path: "/v1/track", body });
      statuses.add(told.status);
    }
    direct.play({});
    assert.deepEqual(statuses, new Set([200, 400, 503, 429]));
  });

  it("a queue that does not take anything", async () => {
    const body = JSON.stringify({ event: "X", userId: "u", messageId: "m" });
    for (const answer of [{ status: 500 }, { status: 500, body: "Too Many Requests" }]) {
      durable.play(answer);
      await durable.compare({ path: "/v1/track", body });
    }
    durable.play({});
  });
});

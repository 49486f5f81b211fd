// What nobody should send, byte for byte over a bare connection: each request of the tables in tests/fixtures/hostile has
// the one answer that stands beside it, and the next good event arrives as if nothing had been.

import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import credentials from "../fixtures/hostile/credentials.mjs";
import encodings from "../fixtures/hostile/encodings.mjs";
import http from "../fixtures/hostile/http.mjs";
import json from "../fixtures/hostile/json.mjs";
import operator from "../fixtures/hostile/operator.mjs";
import origins from "../fixtures/hostile/origins.mjs";
import paths from "../fixtures/hostile/paths.mjs";
import pixel from "../fixtures/hostile/pixel.mjs";
import settings from "../fixtures/hostile/settings.mjs";
import sizes from "../fixtures/hostile/sizes.mjs";
import { batch, member, operatorToken, refused, webhookSecret, x } from "../fixtures/hostile/table.mjs";
import values from "../fixtures/hostile/values.mjs";
import webhooks from "../fixtures/hostile/webhooks.mjs";
import { checkAnswer, checkSourceConfig, list } from "./lib/contract.mjs";
import { track } from "./lib/events.mjs";
import { version } from "./lib/project.mjs";
import { exchange } from "./lib/raw.mjs";
import { startScripted } from "./lib/scripted.mjs";
import { basic, secrets, startWorker, writeKey } from "./lib/worker.mjs";

const tables = {
  json,
  values,
  sizes,
  encodings,
  http,
  paths,
  credentials,
  origins,
  pixel,
  webhooks,
  settings,
  operator,
};
const HOST = "edge.example.com";
/** No answer takes longer, in milliseconds. */
const SLOWEST = 7_000;

let librato;
let workers;

before(async () => {
  librato = await startScripted();
  workers = {
    open: await startWorker({
      librato: librato.url,
      settings: { WEBHOOK_SECRET: webhookSecret, OPERATOR_TOKEN: operatorToken },
    }),
    strict: await startWorker({ librato: librato.url, settings: { ALLOWED_ORIGINS: "https://shop.example" } }),
  };
});
after(async () => {
  const ends = await Promise.allSettled(Object.values(workers ?? {}).map((worker) => worker.stop()));
  await librato?.stop();
  for (const { reason } of ends) if (reason) throw reason;
});

/**
 * The bytes of a request, in parts. Unless it says otherwise it is a POST to `/v1/track` with the write key.
 *
 * @param {object} request
 * @param {Record<string, string | null>} [request.headers] `null` takes one away
 * @param {string | Buffer} [request.body]
 * @param {number} [request.length] what `Content-Length` claims
 * @param {number} [request.chunked] sends the body in chunks of so many bytes
 * @param {(string | Buffer)[]} [request.raw] what follows the head, as it is
 * @param {number} [request.pause] milliseconds between head and pieces of `raw`
 * @param {Buffer} [request.message] all of it, as it is
 */
function write({ method = "POST", path = "/v1/track", headers = {}, body, length, chunked, raw, message }) {
  if (message) return [message];
  const bytes = Buffer.from(body ?? "");
  const framed = body === undefined ? {} : { "content-length": length ?? bytes.length };
  const all = {
    host: HOST,
    authorization: basic(writeKey),
    ...(chunked ? { "transfer-encoding": "chunked" } : framed),
    ...headers,
  };
  const lines = Object.entries(all).flatMap(([name, value]) => (value === null ? [] : [`${name}: ${value}`]));
  const head = Buffer.from([`${method} ${path} HTTP/1.1`, ...lines, "", ""].join("\r\n"), "latin1");
  if (raw) return [head, ...raw];
  return chunked ? [Buffer.concat([head, inChunks(bytes, chunked)])] : [Buffer.concat([head, bytes])];
}

function inChunks(bytes, size) {
  const parts = [];
  for (let at = 0; at < bytes.length; at += size) {
    const part = bytes.subarray(at, at + size);
    parts.push(Buffer.from(`${part.length.toString(16)}\r\n`), part, Buffer.from("\r\n"));
  }
  return Buffer.concat([...parts, Buffer.from("0\r\n\r\n")]);
}

/** Name, source and value of each gauge that has come to Librato, by name. */
function gauges() {
  return librato.gauges
    .map(({ name, source, value, count, sum }) => [name, source, value ?? { count, sum }])
    .sort(byName);
}

const byName = ([one], [other]) => (one < other ? -1 : one > other ? 1 : 0);

/** The answer is the one that is expected, down to the field that its message begins with. */
function judge(request, answer, expected) {
  const where = `${answer?.status} ${answer?.text.slice(0, 300)}`;
  if (expected.turnedAway) return assert.equal(answer?.status, expected.turnedAway, where);
  assert.ok(answer, "the connection was closed without an answer");
  assert.ok(answer.ms < SLOWEST, `${where}: took ${Math.round(answer.ms)} ms`);

  const { status, headers, text } = answer;
  if (expected.head) {
    assert.equal(status, expected.head, where);
    assert.equal(text, "", where);
  } else if (expected.preflight) {
    judgePreflight(answer, expected);
  } else if (expected.pixel) {
    assert.equal(status, 200, where);
    assert.equal(headers.get("content-type"), "image/gif");
    assert.equal(answer.body.subarray(0, 10).toString("latin1"), "GIF89a\x01\0\x01\0", "a picture of one pixel");
    assert.equal(headers.get("x-event-status"), expected.pixel);
  } else if (expected.script) {
    assert.equal(status, 200, where);
    assert.match(headers.get("content-type"), /^text\/javascript\b/);
    if (expected.code) {
      const told = JSON.parse(text.slice(`/**/${expected.script}(`.length, -");".length));
      assert.deepEqual([told.success, told.code], [false, expected.code], where);
    } else {
      assert.equal(text, `${expected.script};`.replace(/;;$/, ";"));
    }
  } else if (expected.json) {
    assert.equal(status, 200, where);
    const told = JSON.parse(text);
    // What else an operator is told of the settings is not this test's business.
    if (expected.json === "health") assert.deepEqual([told.status, told.version], ["ok", version], where);
    else if (expected.json === "sourceConfig") checkSourceConfig(told, writeKey);
    else assert.deepEqual(told, documents[expected.json], where);
  } else {
    judgeEvents(request, answer, expected, where);
  }

  const hidden = [secrets.LIBRATO_TOKEN, secrets.LIBRATO_EMAIL, webhookSecret, operatorToken];
  if (!["settings", "sourceConfig"].includes(expected.json)) hidden.push(writeKey);
  for (const secret of hidden) assert.ok(!text.includes(secret), "a secret was given away");
}

const here = { apiKey: writeKey, apiHost: `${HOST}/v1`, protocol: "http" };
const documents = {
  settings: {
    integrations: { "Segment.io": here, "Customer.io Data Pipelines": here, "Hightouch.io": here },
    metrics: { sampleRate: 0 },
  },
  setAside: { count: 0, letters: [] },
};

function judgePreflight({ status, headers }, { preflight, isRefused = false }) {
  assert.equal(status, 204);
  const allowed = headers.get("access-control-allow-headers");
  assert.deepEqual(allowed.split(", "), ["Authorization", "Content-Type", "X-Retry-Count", ...preflight]);
  const methods = list(headers.get("access-control-allow-methods"));
  assert.deepEqual(methods.sort(), ["get", "options", "post"]);
  assert.equal(headers.get("access-control-max-age"), "86400");
  if (isRefused) assert.equal(headers.get("access-control-allow-credentials"), null);
}

function judgeEvents({ method = "POST", path = "/v1/track", headers = {} }, answer, expected, where) {
  const { code, field, status = 200, accepted, rejected, allow } = expected;
  assert.equal(answer.status, status, where);
  // The general check holds that no question about health is answered by 400; a deep one without a key is.
  if (!path.startsWith("/health")) checkAnswer({ method, path, origin: headers.origin }, answer);
  const told = JSON.parse(answer.text);
  if (code) {
    assert.equal(told.code, code, where);
    assert.ok(told.message.startsWith(`${field}: `), `${where}: the message begins with "${field}: "`);
  }
  if (allow) assert.equal(answer.headers.get("allow"), allow);
  assert.equal(told.accepted, accepted, where);
  const refusals = told.rejected?.map(({ index, code, message }) => [index, code, message.split(": ")[0]]);
  assert.deepEqual(refusals, rejected, where);
}

/** The Worker does what it is there for. */
async function works(worker) {
  librato.play([]);
  const answer = await worker.post("/v1/track", track("Still Here"));
  assert.equal(answer.status, 200, answer.text);
  assert.deepEqual(gauges(), [["Still-Here", "Still-Here", 1]]);
  return answer.ms;
}

let rows = 0;
for (const [name, groups] of Object.entries(tables)) {
  for (const [group, cases] of Object.entries(groups)) {
    describe(`${name}: ${group}`, () => {
      for (const [what, request, expected] of cases) {
        rows += 1;
        it(what, async () => {
          const asked = typeof request === "string" || Buffer.isBuffer(request) ? { body: request } : request;
          const worker = workers[asked.on ?? "open"];
          librato.play([]);
          const message = { parts: write(asked), pause: asked.pause, isHead: asked.method === "HEAD" };
          const answer = await exchange(new URL(worker.url), message);
          judge(asked, answer, expected);
          const wanted = [...(expected.gauges ?? [])].sort(byName);
          assert.deepEqual(gauges(), wanted);
          await works(worker);
        });
      }
    });
  }
}

it("the tables are all there", () => assert.ok(rows >= 150, `${rows} rows`));

describe("bodies that do not come, or come slowly", () => {
  const incomplete = refused("upstream_unavailable", "body", 503);
  const event = Buffer.from(x());
  const envelope = Buffer.from(batch([member()]).body);
  const head = (more) => write({ raw: [], ...more })[0];
  const chunked = { "transfer-encoding": "chunked" };
  const drops = (bytes) => Array.from(bytes, (_, at) => bytes.subarray(at, at + 1));
  const cases = [
    ["nothing of it", { parts: [head({ headers: { "content-length": 100 } })] }],
    ["half of it", { parts: [head({ headers: { "content-length": event.length } }), event.subarray(0, 10)] }],
    ["all but a byte", { parts: [head({ headers: { "content-length": event.length + 1 } }), event] }],
    ["no first chunk", { parts: [head({ headers: chunked })] }],
    ["no last chunk", { parts: [head({ headers: chunked }), `${event.length.toString(16)}\r\n${event}\r\n`] }],
    ["half a chunk", { parts: [head({ headers: chunked }), `fff\r\n${event}`] }],
    ["a chunk of 16 exabytes", { parts: [head({ headers: chunked }), `ffffffffffffffff\r\n${event}`] }],
    ["gzip's first bytes", { parts: [head({ headers: { "content-length": 500 } }), Buffer.from([0x1f, 0x8b])] }],
    ["half a batch", { parts: [head({ path: "/v1/batch", headers: { "content-length": 500_000 } }), envelope] }],
    [
      "half a webhook",
      { parts: [head({ path: "/webhooks/segment", headers: { "content-length": 500_000 } }), envelope] },
    ],
    [
      "a byte each 200 ms, for minutes",
      { parts: [head({ headers: { "content-length": 5_000 } }), ...drops(Buffer.alloc(5_000, " "))], pause: 200 },
    ],
    [
      "a chunk of one byte each second, for minutes",
      { parts: [head({ headers: chunked }), ...Array(300).fill("1\r\n \r\n")], pause: 1_000 },
    ],
  ];
  // All at once: each of them is waited for as long as anyone is.
  const answers = cases.map(() => Promise.withResolvers());
  let isOver = false;
  before(() => {
    for (const [index, [, message]] of cases.entries()) {
      exchange(new URL(workers.open.url), message).then(answers[index].resolve, answers[index].reject);
      answers[index].promise.catch(() => {});
    }
    Promise.allSettled(answers.map(({ promise }) => promise)).then(() => {
      isOver = true;
    });
  });

  it("good events are answered meanwhile", async () => {
    do assert.ok((await works(workers.open)) < 2_000);
    while (!isOver);
  });

  for (const [index, [what]] of cases.entries()) {
    it(what, async () => judge({}, await answers[index].promise, incomplete));
  }
});

describe("clients that leave, and clients that stay", () => {
  const url = () => new URL(workers.open.url);
  const leaving = [
    ["after the head", write({ headers: { "content-length": 1_000 }, raw: [] })],
    ["within the head", [Buffer.from("POST /v1/track HTTP/1.1\r\nHost: ")]],
    ["within the body", write({ body: x(), length: 1_000 })],
    ["within a chunk", write({ headers: { "transfer-encoding": "chunked" }, raw: [`fff\r\n${x()}`] })],
  ];
  for (const [what, parts] of leaving) {
    it(`${what}, many times`, async () => {
      librato.play([]);
      const all = Array.from({ length: 20 }, () => exchange(url(), { parts, ends: true }));
      // They are told to send it again, or the connection is closed; nobody is kept waiting.
      for (const answer of await Promise.all(all)) {
        if (answer) assert.deepEqual([answer.status, JSON.parse(answer.text).code], [503, "upstream_unavailable"]);
      }
      assert.deepEqual(gauges(), []);
      await works(workers.open);
    });
  }

  it("100 connections that send their heads a byte at a time, and never to the end", async () => {
    const head = Buffer.from("POST /v1/track HTTP/1.1\r\nHost: edge.example.com\r\nX-Slow: ");
    const parts = [...head, ...Buffer.alloc(1_000, "a")].map((byte) => Buffer.from([byte]));
    const all = Array.from({ length: 100 }, () => exchange(url(), { parts, pause: 50 }, 2_000).catch((error) => error));
    for (let count = 0; count < 10; count += 1) assert.ok((await works(workers.open)) < 2_000);
    for (const end of await Promise.all(all)) assert.match(`${end}`, /no answer within 2000 ms/);
    await works(workers.open);
  });
});

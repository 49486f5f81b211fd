// Durable delivery: what goes into the queue, what becomes of each message, what counts once, what is set aside.

import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { mkdtemp, readdir, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, beforeEach, describe, it } from "node:test";
import { batch, now, track, tracks } from "./lib/events.mjs";
import { partly, refused, succeeded } from "./lib/expect.mjs";
import { startLibrato } from "./lib/librato.mjs";
import { operatorToken, startPlatform, withPlatform, wrongAnswers } from "./lib/platform.mjs";
import { startScripted } from "./lib/scripted.mjs";
import { waitFor } from "./lib/wait.mjs";
import { basic, secrets, withWorker } from "./lib/worker.mjs";

const LIMIT_TEXT = "You have hit the API limit for measurements [measure:raw_rate]. Contact: support@librato.com";
/** The platform's limits, with the bytes that it adds itself. */
const LARGEST_MESSAGE = 128_000 - 100;
const LARGEST_CALL = 256_000;
const LONGEST_DELAY = 43_200;

let librato;
let platform;

before(async () => {
  librato = await startScripted({ onlyPosts: true });
  platform = await startPlatform({ librato: librato.url });
});
beforeEach(() => {
  librato.play([]);
  return platform.forget();
});
after(async () => {
  await librato?.stop();
  await platform?.stop();
});

/** Events of one second, so that they are merged by name and source alone. */
const at = (seconds = 60) => new Date((now() - seconds) * 1000).toISOString();

/** An event name that nobody else has used. */
const fresh = (name) => `${name}-${randomBytes(4).toString("hex")}`;

/** Events whose names alone are more than one message takes. */
const bulky = (count) =>
  tracks(count, fresh("x".repeat(230))).map(({ type, event, messageId }) => ({
    ...{ type, event, messageId: messageId.slice(0, 18), userId: "u" },
  }));

const names = (gauges) => gauges.map(({ name }) => name).sort();
const samples = (gauges) => gauges.reduce((sum, { count = 1 }) => sum + count, 0);

/** What was in the requests that Librato has stored. */
function stored(upstream = librato) {
  return upstream.requests
    .filter(({ answer }) => !answer.cut && (answer.status ?? 200) < 300 && !answer.body?.errors?.length)
    .flatMap(({ gauges }) => gauges);
}

function between(decisions, [shortest, longest], what = "a pause") {
  for (const seconds of [decisions].flat()) {
    assert.ok(seconds >= shortest && seconds <= longest, `${what}: ${seconds}, not ${shortest} to ${longest}`);
  }
}

/** Runs with a Librato and a Worker of its own. */
async function alone(options, use) {
  const upstream = await startScripted({ onlyPosts: true });
  try {
    await withPlatform({ librato: upstream.url, ...options }, (other) => use(other, upstream));
  } finally {
    await upstream.stop();
  }
}

/** A module in front of the Worker's, whose objects of a class first run statements of their own. */
const preceded = (className, statements) => `
  import { DurableObject } from "cloudflare:workers";
  import Worker, * as all from "./index.js";
  export * from "./index.js";
  export class ${className} extends DurableObject {
    constructor(state, env) {
      super(state, env);
      for (const statement of ${JSON.stringify(statements)}) state.storage.sql.exec(statement);
      this.real = new all.${className}(state, env);
    }
    fetch(request) {
      return this.real.fetch(request);
    }
  }
  export default Worker;
`;

/** How many bytes there are in a folder. */
async function sizeOf(folder) {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  const sizes = entries.map(async (entry) => (await stat(join(entry.parentPath, entry.name))).size);
  return (await Promise.all(sizes)).reduce((sum, size) => sum + size, 0);
}

/** Runs with a folder that is gone afterwards. */
async function withFolder(use) {
  const folder = await mkdtemp(join(tmpdir(), "librato-edge-"));
  try {
    await use(folder);
  } finally {
    await rm(folder, { recursive: true });
  }
}

describe("a request", () => {
  it("is one message, stored before the answer; nothing has gone to Librato yet", async () => {
    const bodies = await platform.pack([...tracks(20, "a"), ...tracks(20, "a")]);
    assert.equal(bodies.length, 1);
    assert.equal(librato.requests.length, 0);
    assert.deepEqual(await platform.consume(bodies), ["ack"]);
    assert.equal(samples(stored()), 40);
  });

  it("2,500 events are one message", async () => {
    const events = Array.from({ length: 2_500 }, (_, index) =>
      track(`Event ${index % 20}`, { properties: { value: index }, integrations: { Librato: { source: "web" } } }),
    );
    const bodies = await platform.pack(events);
    assert.equal(bodies.length, 1);
    assert.ok(Buffer.byteLength(bodies[0]) <= LARGEST_MESSAGE, `${Buffer.byteLength(bodies[0])} bytes`);
    assert.deepEqual(await platform.consume(bodies), ["ack"]);
    assert.equal(samples(stored()), 2_500);
  });

  it("what the platform would not take in one message or one call is several", async () => {
    const events = bulky(1_200);
    succeeded(await platform.worker.post("/v1/batch", { batch: events }));
    const calls = platform.calls.MEASUREMENTS;
    assert.ok(calls.length > 1, "the test sends too little");
    for (const messages of calls) {
      const sizes = messages.map(({ body }) => Buffer.byteLength(body));
      assert.ok(Math.max(...sizes) <= LARGEST_MESSAGE, `messages of ${sizes} bytes`);
      assert.ok(messages.length <= 100 && sizes.reduce((sum, size) => sum + size + 100, 0) <= LARGEST_CALL);
    }
    const bodies = platform.taken();
    assert.ok(bodies.length <= 4, `${bodies.length} messages`);
    assert.deepEqual(await platform.consume(bodies), Array(bodies.length).fill("ack"));
    assert.deepEqual(names(stored()), events.map(({ event }) => event).sort());
  });

  it("of which the queue has taken only a part is sent again by its client, and counts once", async () => {
    const events = bulky(1_200);
    const body = { batch: events };
    let calls = 0;
    platform.refuse.MEASUREMENTS = () => (++calls === 2 ? "the queue is out of order" : "");
    refused(await platform.worker.post("/v1/batch", body), 503, "upstream_unavailable");
    succeeded(await platform.worker.post("/v1/batch", body));
    const bodies = platform.taken();
    assert.deepEqual(await platform.consume(bodies), Array(bodies.length).fill("ack"));
    assert.deepEqual(names(stored()), events.map(({ event }) => event).sort());
  });

  it("without anything to measure is no message", async () => {
    const off = track("Off", { integrations: { All: false } });
    assert.deepEqual(await platform.pack([off]), []);
    assert.deepEqual(await platform.pack([]), []);
    succeeded(await platform.worker.post("/v1/identify", { type: "identify", userId: "u" }));
    assert.deepEqual(platform.taken(), []);
  });

  it("what is refused in a batch is told, and the rest stored", async () => {
    const name = fresh("Kept");
    const answer = await platform.worker.post(
      "/v1/batch",
      batch([track(name), track("Bad", { properties: { value: "much" } })]),
    );
    partly(answer, 1, [[1, "invalid_value"]]);
    await platform.consume(platform.taken());
    assert.deepEqual(names(stored()), [name]);
  });

  for (const [text, status, code] of [
    ["Queue sendBatch failed: Too Many Requests", 429, "rate_limited"],
    ["Too Many Requests", 429, "rate_limited"],
    ["Storage Limit Exceeded", 503, "upstream_unavailable"],
    ["Internal Server Error", 503, "upstream_unavailable"],
    ["hang", 503, "upstream_unavailable"],
  ]) {
    it(`the queue says "${text}": ${status}, and it counts once when it is sent again`, async () => {
      const event = track(fresh("Refused"));
      platform.refuse.MEASUREMENTS = () => text;
      refused(await platform.worker.post("/v1/track", event), status, code);
      platform.refuse.MEASUREMENTS = () => "";
      succeeded(await platform.worker.post("/v1/track", event));
      await platform.consume(platform.taken());
      assert.equal(samples(stored()), 1);
    });
  }

  it("without the queue is delivered directly, before the answer", async () => {
    await withWorker({ librato: librato.url }, async (worker) => {
      succeeded(await worker.post("/v1/track", track("Direct")));
      assert.deepEqual(names(librato.gauges), ["Direct"]);
      assert.deepEqual((await worker.fetch("/health?deep=1")).json().delivery, { mode: "direct" });
    });
  });
});

describe("a message that is delivered", () => {
  for (const answer of [
    { status: 200 },
    { status: 202, body: "accepted" },
    { status: 204 },
    { status: 200, body: { errors: [] } },
    { status: 200, body: { errors: {} } },
  ]) {
    it(`${JSON.stringify(answer)}: acknowledged, and known to be done`, async () => {
      const bodies = await platform.pack(tracks(3, fresh("Done")));
      librato.play([answer]);
      assert.deepEqual(await platform.consume(bodies), ["ack"]);
      assert.deepEqual(await platform.consume(bodies), ["ack"]);
      assert.equal(librato.requests.length, 1);
      assert.deepEqual(platform.letters(), []);
      assert.equal(await platform.waiting(), 0);
    });
  }
});

describe("a message that cannot be delivered now", () => {
  const comesAgain = async (answer, expected) => {
    const bodies = await platform.pack(tracks(3, fresh("Later")));
    librato.play([answer]);
    const decisions = await platform.consume(bodies);
    between(decisions, expected, JSON.stringify(answer));
    assert.equal(librato.requests.length, 1, "one try a delivery");
    assert.equal(await platform.waiting(), 3);
    assert.deepEqual(await platform.consume(bodies, [2]), ["ack"]);
    assert.equal(await platform.waiting(), 0);
    assert.equal(samples(librato.requests.at(-1).gauges), 3);
    assert.deepEqual(platform.letters(), []);
  };

  for (const answer of [
    { status: 500 },
    { status: 502, body: "<html>Bad Gateway</html>" },
    { status: 503, body: { errors: { system: ["maintenance"] } } },
    { status: 504 },
    { status: 408 },
    // A proxy's, or an address at which nothing takes measurements.
    { status: 400, body: "<html>400 Bad Request</html>" },
    { status: 404 },
    { status: 405 },
    { status: 301, headers: { location: "/elsewhere" } },
    { cut: "before" },
    { cut: "middle" },
    { status: 429, body: { error: LIMIT_TEXT } },
    { status: 403, body: { error: LIMIT_TEXT } },
    { status: 401, body: "Credentials are required to access this resource." },
    { status: 403, body: { errors: { request: ["The token is not allowed to submit measurements"] } } },
    // Its own pause is shorter than the platform's shortest.
    { status: 429, headers: { "retry-after": "0" } },
  ]) {
    it(`${JSON.stringify(answer)}: comes again after 2 to 5 s`, () =>
      comesAgain(answer, answer.headers?.["retry-after"] ? [1, 5] : [2, 5]));
  }

  it("no answer, or half of one, within 10 s: comes again after 2 to 5 s", async () => {
    await Promise.all(
      [{ delay: 13_000 }, { hang: "all" }, { hang: "body" }].map((answer) =>
        alone({}, async (other, upstream) => {
          const bodies = await other.pack(tracks(1));
          upstream.play([answer]);
          const started = Date.now();
          between(await other.consume(bodies), [2, 5]);
          between((Date.now() - started) / 1000, [9.5, 12], "the time-out");
          assert.deepEqual(await other.consume(bodies, [2]), ["ack"]);
        }),
      ),
    );
  });

  it("nobody listens: comes again after 2 to 5 s", async () => {
    const upstream = await startScripted({ onlyPosts: true });
    await withPlatform({ librato: upstream.url }, async (other) => {
      const bodies = await other.pack(tracks(1));
      await upstream.stop();
      between(await other.consume(bodies), [2, 5]);
    });
  });

  it("the pauses grow with each delivery of the message, doubling from 5 s to 300 s, the second half random", async () => {
    const attempts = [1, 2, 3, 4, 5, 6, 7, 8, 50, 89];
    const longest = [5, 10, 20, 40, 80, 160, 300, 300, 300, 300];
    const bodies = await platform.packEach(tracks(attempts.length, fresh("Pause")));
    librato.play([], () => ({ status: 500 }));
    const decisions = await platform.consume(bodies, attempts);
    for (const [index, seconds] of decisions.entries()) {
      between(seconds, [Math.floor(longest[index] / 2), longest[index]], `attempt ${attempts[index]}`);
    }
    const many = await platform.packEach(tracks(20, fresh("Jitter")));
    const pauses = await platform.consume(many, Array(20).fill(9));
    between(pauses, [150, 300]);
    assert.ok(new Set(pauses).size > 10, `not random: ${pauses}`);
  });

  for (const [title, answer, expected] of [
    ["Retry-After of a 429", () => ({ status: 429, headers: { "retry-after": "77" } }), [77, 77]],
    ["Retry-After of a 503", () => ({ status: 503, headers: { "retry-after": "120" } }), [120, 120]],
    [
      "Retry-After of a 403 with the limit's text",
      () => ({ status: 403, headers: { "retry-after": "33" }, body: { error: LIMIT_TEXT } }),
      [33, 33],
    ],
    [
      "Retry-After with a date",
      () => ({ status: 429, headers: { "retry-after": new Date(Date.now() + 60_000).toUTCString() } }),
      [57, 60],
    ],
    [
      "X-Librato-RateLimit's reset",
      () => ({ status: 429, headers: { "x-librato-ratelimit-agg": `limit=9,remaining=0,reset=${now() + 90}` } }),
      [87, 90],
    ],
    [
      "more than the platform takes",
      () => ({ status: 429, headers: { "retry-after": "999999" } }),
      [LONGEST_DELAY, LONGEST_DELAY],
    ],
  ]) {
    it(`${title} is honoured`, () => comesAgain(answer(), expected));
  }

  it("Retry-After holds for all that the limit has kept", async () => {
    const bodies = await platform.packEach(tracks(8, fresh("Limit")).map((event) => ({ ...event, timestamp: at() })));
    const large = await platform.pack(tracks(1_200, fresh("Large")));
    librato.play([], () => ({ status: 429, headers: { "retry-after": "44" } }));
    const decisions = await platform.consume([...bodies, ...large]);
    assert.deepEqual(decisions, Array(9).fill(44));
  });

  for (const answer of [
    { status: 401 },
    { status: 403, body: { errors: { request: ["The token is not allowed to submit measurements"] } } },
  ]) {
    it(`${answer.status}: the log says that it is the operator's fault, and Librato is not asked on and on`, async () => {
      const bodies = await platform.pack(tracks(2_400, fresh("Fault")));
      librato.play([], () => answer);
      between(await platform.consume(bodies), [2, 5]);
      assert.ok(librato.requests.length <= 6, `${librato.requests.length} requests`);
      const { operatorFault, trouble, retried } = await platform.line();
      assert.deepEqual({ operatorFault, retried }, { operatorFault: true, retried: bodies.length });
      assert.match(trouble, new RegExp(String(answer.status)));
      librato.play([]);
      assert.deepEqual(
        await platform.consume(bodies, [2, 2]),
        bodies.map(() => "ack"),
      );
      assert.equal(samples(stored()), 2_400);
      assert.equal((await platform.line()).operatorFault, undefined);
    });
  }

  it("Librato is down: no more than a few requests find it out", async () => {
    const bodies = await platform.pack(tracks(2_500, fresh("Down")));
    librato.play([], () => ({ status: 503 }));
    between(await platform.consume(bodies), [2, 5]);
    assert.ok(librato.requests.length <= 8, `${librato.requests.length} requests`);
  });

  it("comes again with only what is left of it", async () => {
    const events = tracks(600, fresh("Part"));
    const bodies = await platform.pack(events);
    librato.play([{ status: 500 }]);
    between(await platform.consume(bodies), [2, 5]);
    assert.equal(samples(stored()), 300);
    assert.equal(await platform.waiting(), 300);
    assert.deepEqual(await platform.consume(bodies, [2]), ["ack"]);
    assert.equal(librato.requests.length, 3);
    assert.deepEqual(names(stored()), events.map(({ event }) => event).sort());
    assert.equal(await platform.waiting(), 0);
  });

  it("each message for itself: one is kept, the others of its batch are acknowledged", async () => {
    const small = await platform.pack(tracks(300, fresh("Small")));
    const large = await platform.pack(tracks(300, fresh("Other")));
    librato.play([], ({ gauges }) => (gauges[0].name.startsWith("Other") ? { status: 500 } : {}));
    const [first, second] = await platform.consume([...small, ...large]);
    assert.equal(first, "ack");
    between(second, [2, 5]);
  });

  for (const attempts of [90, 95, 100]) {
    it(`delivery ${attempts}: a copy is sent, and only then the message acknowledged`, async () => {
      const [body] = await platform.pack(tracks(3, fresh("Renewed")));
      librato.play([], () => ({ status: 500 }));
      platform.refuse.MEASUREMENTS = () => "the queue is out of order";
      between(await platform.consume([body], [attempts]), [150, 300]);
      platform.refuse.MEASUREMENTS = () => "";
      assert.deepEqual(await platform.consume([body], [attempts]), ["ack"]);
      const [[{ body: copy, delaySeconds }], ...more] = platform.calls.MEASUREMENTS;
      assert.deepEqual(more, []);
      between(delaySeconds, [150, 300]);
      librato.play([]);
      assert.deepEqual(await platform.consume([copy]), ["ack"]);
      assert.equal(samples(stored()), 3);
    });
  }
});

describe("a measurement that Librato will never take", () => {
  const bad = ({ name }) => name.startsWith("Bad");
  const refusals = {
    "a 400 that names it": (name) => ({
      status: 400,
      body: { errors: { params: { type: [`'gauge' is inconsistent with the type of metric ${name}`] } } },
    }),
    "a 400 that names nobody": () => ({ status: 400, body: { errors: { request: ["no"] } } }),
    "a 200 with errors": () => ({ status: 200, body: { errors: ["something is wrong"] } }),
  };

  for (const [title, refusal] of Object.entries(refusals)) {
    it(`${title}: is set aside, and holds up no other`, async () => {
      const good = tracks(120, fresh("Good"));
      const name = fresh("Bad");
      const received = Date.now();
      const poison = track(name, {
        timestamp: at(),
        properties: { value: 2.5 },
        integrations: { Librato: { source: "shop" } },
      });
      const bodies = [
        ...(await platform.pack([...good.slice(0, 50), poison, ...good.slice(50, 60)])),
        ...(await platform.pack(good.slice(60))),
      ];
      librato.play([], ({ gauges }) => (gauges.some(bad) ? refusal(gauges.find(bad).name) : {}));
      assert.deepEqual(await platform.consume(bodies), ["ack", "ack"]);
      assert.deepEqual(names(stored()), good.map(({ event }) => event).sort());

      const [{ reason, message, receivedAt, letterId, ...letter }, ...others] = platform.letters();
      assert.deepEqual(others, []);
      assert.match(letterId, /^[\w-]{16}$/);
      const measure_time = Date.parse(poison.timestamp) / 1000;
      assert.deepEqual(letter, {
        schemaVersion: 1,
        measurement: {
          ...{ name, source: "shop", measure_time },
          ...{ count: 1, sum: 2.5, min: 2.5, max: 2.5, sum_squares: 6.25 },
        },
      });
      assert.equal(reason, "refused_by_librato");
      assert.match(message, /^Librato refused it: /);
      between(Date.parse(receivedAt), [received - 1_000, Date.now()], "receivedAt");
      assert.match(receivedAt, /^\d{4}-\d\d-\d\dT[\d:.]+Z$/);
      assert.equal((await platform.line()).setAside, 1);
      assert.equal(await platform.waiting(), 0);

      assert.deepEqual(await platform.consume(bodies, [2, 2]), ["ack", "ack"]);
      assert.deepEqual(platform.letters(), [], "known to be done");
    });
  }

  it("the letter of a merged gauge holds all of its samples", async () => {
    const name = fresh("Bad");
    const timestamp = at();
    const bodies = await platform.packEach(
      [3, -1, 0.5].map((value) => track(name, { timestamp, properties: { value } })),
    );
    librato.play([], () => ({ status: 400, body: { errors: { params: { name: ["is bad"] } } } }));
    assert.deepEqual(await platform.consume(bodies), ["ack", "ack", "ack"]);
    const measure_time = Date.parse(timestamp) / 1000;
    assert.deepEqual(
      platform.letters().map(({ measurement }) => measurement),
      [{ name, source: name, measure_time, count: 3, sum: 2.5, min: -1, max: 3, sum_squares: 10.25 }],
    );
  });

  for (const status of [410, 415, 422]) {
    it(`${status}: all of the request is set aside`, async () => {
      const events = tracks(3, fresh("Gone"));
      const bodies = await platform.pack(events);
      librato.play([{ status }]);
      assert.deepEqual(await platform.consume(bodies), ["ack"]);
      const letters = platform.letters();
      assert.deepEqual(
        letters.map(({ measurement }) => measurement.name).sort(),
        events.map(({ event }) => event).sort(),
      );
      for (const { reason, message } of letters) {
        assert.equal(reason, "refused_by_librato");
        assert.match(message, new RegExp(String(status)));
      }
      const { answers, reasons } = await platform.line();
      assert.deepEqual({ answers, reasons }, { answers: { [status]: 1 }, reasons: { refused_by_librato: 3 } });
    });
  }

  it("413: halved until it fits; what is too large alone is set aside", async () => {
    const events = tracks(300, fresh("Half"));
    const bodies = await platform.pack(events);
    librato.play([], ({ gauges }) =>
      gauges.length > 100 || gauges.some(({ name }) => name === events[7].event) ? { status: 413 } : {},
    );
    assert.deepEqual(await platform.consume(bodies), ["ack"]);
    assert.equal(samples(stored()), 299);
    assert.deepEqual(
      platform.letters().map(({ measurement }) => measurement.name),
      [events[7].event],
    );
  });

  it("the dead-letter queue fails: the message is kept, and what was delivered of it is not sent again", async () => {
    const [good, poison] = [track(fresh("Good")), track(fresh("Bad"))];
    const bodies = await platform.pack([good, poison]);
    const unreadable = "no parcel";
    const script = ({ gauges }) => (gauges.some(bad) ? refusals["a 400 that names nobody"]() : {});
    librato.play([], script);
    platform.refuse.SET_ASIDE = () => "the queue is out of order";
    between(await platform.consume([...bodies, unreadable]), [2, 5]);
    assert.deepEqual(names(stored()), [good.event]);
    platform.refuse.SET_ASIDE = () => "";
    librato.play([], script);
    assert.deepEqual(await platform.consume([...bodies, unreadable], [2, 2]), ["ack", "ack"]);
    assert.deepEqual(names(stored()), []);
    assert.deepEqual(
      platform.letters().map(({ measurement }) => measurement?.name),
      [undefined, poison.event],
    );
  });
});

describe("a message that cannot be read", () => {
  for (const [title, body, original = body] of [
    ["of another version", '{"v":2,"o":"1","r":1795000000,"n":["a"],"m":[[0,0,0,1,null]]}'],
    ["of another shape", '{"v":1,"events":[]}'],
    ["with a broken entry", '{"v":1,"o":"1","r":1795000000,"n":["a"],"m":[[0,1,0,1,null]]}'],
    ["not an object", "[1,2,3]"],
    ["not JSON", "Schöne Grüße, <b>nobody</b>\u0000 \u{1F600}"],
    ["empty", ""],
    ["not a text", { some: "object" }, '{"some":"object"}'],
  ]) {
    it(`${title}: is set aside with its original and acknowledged, and holds up no other`, async () => {
      const event = track(fresh("Beside"));
      const [good] = await platform.pack([event]);
      assert.deepEqual(await platform.consume([body, good]), ["ack", "ack"]);
      assert.deepEqual(names(stored()), [event.event]);
      const [{ reason, receivedAt, ...letter }, ...others] = platform.letters();
      assert.deepEqual(others, []);
      assert.equal(reason, "unreadable_message");
      assert.ok(Number.isFinite(Date.parse(receivedAt)));
      assert.equal(letter.schemaVersion, 1);
      assert.equal(letter.measurement, null);
      assert.equal(letter.original?.length, original.length, "the length of the original");
      assert.equal(letter.original, original);
    });
  }

  it("is as long as a message can be: all of it is there for the operator", async () => {
    const body = `{"v":2,"o":"${"x".repeat(LARGEST_MESSAGE - 20)}"}`;
    assert.deepEqual(await platform.consume([body]), ["ack"]);
    const messages = platform.calls.SET_ASIDE.flat().map(({ body }) => body);
    for (const message of messages) assert.ok(Buffer.byteLength(message) <= LARGEST_MESSAGE);
    assert.deepEqual(await platform.keep(messages), Array(messages.length).fill("ack"));
    const { letters } = (await platform.operator("GET", "/set-aside?limit=1")).json();
    assert.equal(letters[0].original.length, body.length, "the length of the original");
    assert.equal(letters[0].original, body);
  });

  it("a hundred of them at once", async () => {
    const bodies = Array.from({ length: 100 }, (_, index) => `${index}`);
    assert.deepEqual(await platform.consume(bodies), Array(100).fill("ack"));
    assert.deepEqual(
      platform.letters().map(({ original }) => original),
      bodies,
    );
  });
});

describe("an event", () => {
  /** All messages are acknowledged, and what they hold counts so often. */
  const counts = async (times, bodies, upstream = librato, other = platform) => {
    assert.deepEqual(await other.consume(bodies), Array(bodies.length).fill("ack"));
    assert.equal(samples(stored(upstream)), times);
  };

  it("that came in two requests counts once", async () => {
    const event = track(fresh("Twice"));
    await counts(1, await platform.pack([event]));
    await counts(1, await platform.pack([event]));
  });

  it("that came by two routes counts once", async () => {
    const event = track(fresh("Routes"));
    succeeded(await platform.worker.post("/v1/track", event));
    succeeded(await platform.worker.post("/v1/t", { ...event, timestamp: at(3) }));
    const [first, second] = platform.taken();
    await counts(1, [first, second, ...(await platform.pack([event]))]);
  });

  it("that is in two messages of one batch counts once", async () => {
    const [event, other] = tracks(2, fresh("Batch"));
    await counts(2, [...(await platform.pack([event])), ...(await platform.pack([event, other]))]);
  });

  it("that is in two messages, of which the first is kept, counts once", async () => {
    const event = track(fresh("Kept"));
    const [first, second] = [...(await platform.pack([event])), ...(await platform.pack([event]))];
    librato.play([{ status: 500 }]);
    const [kept, done] = await platform.consume([first, second]);
    between(kept, [2, 5]);
    assert.equal(done, "ack");
    await counts(1, [first]);
  });

  it("that two consumers have at the same time counts once", async () => {
    const shared = tracks(50, fresh("Shared"));
    const own = tracks(2, fresh("Own"));
    const bodies = [];
    for (const one of own) bodies.push(...(await platform.pack([one, ...shared])));
    librato.play([], () => ({ delay: 200 }));
    const decisions = await Promise.all(bodies.map((body) => platform.consume([body])));
    assert.deepEqual(decisions, [["ack"], ["ack"]]);
    assert.deepEqual(names(stored()), [...own, ...shared].map(({ event }) => event).sort());
  });

  it("whose message is delivered once more counts once", async () => {
    const bodies = await platform.pack(tracks(4, fresh("Redelivered")));
    await counts(4, bodies);
    await counts(4, bodies);
  });

  it("whose message is there twice in one batch counts once", async () => {
    // A copy that was sent although the answer said otherwise, beside the message that was kept.
    const [body] = await platform.pack(tracks(4, fresh("Copy")));
    await counts(4, [body, body]);
  });

  it("without a messageId counts each time, but not when its message comes again", async () => {
    const event = track(fresh("Nameless"), { messageId: undefined });
    const bodies = [...(await platform.pack([event, event])), ...(await platform.pack([event]))];
    await counts(3, bodies);
    await counts(3, bodies);
  });

  it("of another write key is another event", async () => {
    const keys = ["one", "two"].map((name) => `${name}-${randomBytes(8).toString("hex")}`);
    await alone({ settings: { WRITE_KEYS: keys.join(",") } }, async (other, upstream) => {
      const event = track("Keys");
      const bodies = [];
      for (const key of [...keys, ...keys]) bodies.push(...(await other.pack([event], { authorization: basic(key) })));
      await counts(2, bodies, upstream, other);
    });
  });

  it("is remembered by a storage that was evicted", async () => {
    const events = tracks(5, fresh("Evicted"));
    const bodies = await platform.pack(events);
    librato.play([{ status: 500 }]);
    between(await platform.consume(bodies), [2, 5]);
    await platform.worker.evict("Once", "once-0");
    assert.equal(await platform.waiting(), 5);
    await counts(5, bodies);
    await platform.worker.evict("Once", "once-0");
    await counts(5, [...bodies, ...(await platform.pack(events))]);
    assert.equal(await platform.waiting(), 0);
  });

  it("is remembered when the Worker has been started anew", async () => {
    await withFolder(async (storage) => {
      const events = tracks(3, fresh("Restart"));
      const [settled, kept] = [events.slice(0, 2), events.slice(2)];
      let bodies;
      await alone({ storage }, async (other, upstream) => {
        await counts(2, await other.pack(settled), upstream, other);
        bodies = await other.pack(kept);
        upstream.play([{ status: 500 }]);
        between(await other.consume(bodies), [2, 5]);
      });
      await alone({ storage }, async (other, upstream) => {
        assert.equal(await other.waiting(), 1);
        await counts(1, [...bodies, ...(await other.pack(events))], upstream, other);
      });
    });
  });

  it("with ONCE_SHARDS, each event still counts once", async () => {
    await alone({ settings: { ONCE_SHARDS: "7" } }, async (other, upstream) => {
      const events = tracks(200, fresh("Shards"));
      const bodies = await other.pack(events);
      upstream.play([{ status: 500 }]);
      between(await other.consume(bodies), [2, 5]);
      assert.equal(await other.waiting(), 200);
      await counts(200, [...bodies, ...(await other.pack(events))], upstream, other);
      assert.equal(await other.waiting(), 0);
    });
  });

  it("with more queues, each carries its own senders, whose shards no other meets", async () => {
    await alone({ queues: 3, settings: { ONCE_SHARDS: "6" } }, async (other, upstream) => {
      const queues = other.bindings.filter((name) => name.startsWith("MEASUREMENTS"));
      /** Sends all at once, and returns the messages of each queue. */
      const spread = async (events) => {
        succeeded(await other.worker.post("/v1/batch", batch(events, { sentAt: undefined })));
        return queues.map((name) => other.taken(name));
      };
      const users = Array.from({ length: 60 }, (_, index) => `user-${index}`);
      const events = users.flatMap((anonymousId) => tracks(2, fresh("Queues")).map((one) => ({ ...one, anonymousId })));
      const parts = await spread(events);
      const shards = new Set();
      for (const [place, bodies] of parts.entries()) {
        assert.equal(bodies.length, 1);
        other.asked.clear();
        assert.deepEqual(await other.consume(bodies), ["ack"]);
        assert.notEqual(other.asked.size, 0);
        for (const object of other.asked) {
          const shard = Number(object.replace("once-", ""));
          assert.equal(shard % 3, place, `${object} is asked for a message of queue ${place}`);
          shards.add(shard);
        }
      }
      assert.equal(shards.size, 6);
      assert.equal(samples(stored(upstream)), events.length);
      // A sender by itself meets one queue, and the same again.
      for (const anonymousId of users.slice(0, 5)) {
        const places = [];
        for (let times = 0; times < 2; times += 1) {
          const parts = await spread(tracks(2, fresh("Alone")).map((one) => ({ ...one, anonymousId })));
          places.push(parts.flatMap((bodies, place) => bodies.map(() => place)));
        }
        assert.equal(places[0].length, 1);
        assert.deepEqual(places[0], places[1]);
      }
      // What is sent again counts no more, whichever of the queues had taken it before.
      other.refuse.MEASUREMENTS_1 = () => "Too Many Requests";
      const more = users.map((anonymousId) => ({ ...track(fresh("Again")), anonymousId }));
      const answer = await other.worker.post("/v1/batch", batch(more, { sentAt: undefined }));
      assert.equal(answer.status, 429);
      other.refuse.MEASUREMENTS_1 = () => "";
      const before = queues.flatMap((name) => other.taken(name));
      assert.equal(before.length, 2);
      const bodies = [...before, ...(await spread([...events, ...more])).flat()];
      await counts(events.length + more.length, bodies, upstream, other);
    });
  });

  it("is remembered although a row of the log cannot be read", async () => {
    await withFolder(async (storage) => {
      const events = tracks(3, fresh("Row"));
      await alone({ storage }, async (other, upstream) => {
        await counts(3, await other.pack(events), upstream, other);
      });
      // What an object of the same storage does before the Worker's own begins.
      const statements = [
        "INSERT INTO log (seq, hour, question) VALUES (-2, 1, x'7a7a'), (-1, 1, 'no bytes')",
        "INSERT INTO log (hour, question) VALUES (600000, x'63ff'), ('no hour', x'64'), (600000, NULL)",
      ];
      await alone({ storage, front: preceded("Once", statements) }, async (other, upstream) => {
        await counts(0, await other.pack(events), upstream, other);
        await counts(2, await other.pack(tracks(2, fresh("Row"))), upstream, other);
        const lines = other.worker.lines.filter(({ event }) => event === "storage");
        assert.equal(lines.length, 1);
        assert.equal(lines[0].object, "once");
        assert.match(lines[0].error, /cannot be read.*: 5$/);
      });
    });
  });

  it("is kept while the log cannot be written, and the log line says why", async () => {
    await withFolder(async (storage) => {
      const statements = ["CREATE TABLE log (seq INTEGER PRIMARY KEY, hour INTEGER, question BLOB CHECK (hour < 0))"];
      const broken = { storage, front: preceded("Once", statements) };
      let bodies;
      await alone(broken, async (other, upstream) => {
        bodies = await other.pack(tracks(2));
        between(await other.consume(bodies), [2, 5]);
        assert.equal(upstream.requests.length, 0);
        const line = other.worker.lines.find(({ event }) => event === "storage");
        assert.equal(line.object, "once");
        assert.match(line.error, /CHECK constraint failed/);
      });
      await alone({ storage, front: preceded("Once", ["DROP TABLE log"]) }, async (other, upstream) => {
        await counts(2, bodies, upstream, other);
      });
    });
  });

  it("of millions: a full object begins anew as fast as ever, and remembers", async (t) => {
    await withFolder(async (storage) => {
      // 79 rows of 50,000 events that were done in this minute, which take 32 MB.
      const minute = Buffer.alloc(4);
      minute.writeUInt32LE(Math.floor(Date.now() / 60_000));
      const hour = Math.floor(Date.now() / 3_600_000);
      const statements = [
        "CREATE TABLE IF NOT EXISTS log (seq INTEGER PRIMARY KEY, hour INTEGER, question BLOB)",
        `WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 79)
         INSERT INTO log (hour, question) SELECT ${hour}, CAST(x'66${minute.toString("hex")}' || randomblob(400000) AS BLOB)
         FROM n WHERE NOT EXISTS (SELECT 1 FROM log)`,
      ];
      const events = tracks(3, fresh("Many"));
      await alone({ storage, front: preceded("Once", statements) }, async (other, upstream) => {
        await counts(3, await other.pack(events), upstream, other);
        await counts(3, await other.pack(events), upstream, other);
        await other.worker.evict("Once", "once-0");
        const before = Date.now();
        await counts(3, await other.pack(events), upstream, other);
        t.diagnostic(`a full object began anew and answered in ${Date.now() - before} ms`);
        assert.equal((await other.delivery()).waiting, 0);
      });
      const size = await sizeOf(storage);
      between(size / 1e6, [8, 80], "MB of storage");
    });
  });

  for (const fault of ["throw", "503", "500", "hang"]) {
    it(`the once-storage fails ("${fault}"): it is kept, and counts once afterwards`, async () => {
      const bodies = await platform.packEach(tracks(3, fresh("Kept")));
      platform.once = () => fault;
      between(await platform.consume(bodies), [2, 5]);
      assert.equal(librato.requests.length, 0);
      assert.deepEqual(platform.letters(), []);
      platform.once = () => "";
      await counts(3, bodies);
    });
  }

  it("the once-storage fails for a moment after the delivery: nothing of it counts twice", async () => {
    const bodies = await platform.pack(tracks(600, fresh("Told")));
    librato.play([{ status: 500 }]);
    let told = 0;
    platform.once = (kind) => (kind === "d" && ++told === 1 ? "throw" : "");
    between(await platform.consume(bodies), [2, 5]);
    assert.equal(told, 2);
    assert.deepEqual(await platform.consume(bodies, [2]), ["ack"]);
    assert.equal(samples(stored()), 600);
  });

  for (const answer of wrongAnswers) {
    it(`the once-storage is asked and answers wrongly ("${answer}"): it is kept, and counts once afterwards`, async () => {
      const events = tracks(3, fresh("Asked"));
      const bodies = await platform.packEach(events);
      platform.once = (kind) => (kind === "c" ? answer : "");
      between(await platform.consume(bodies), [2, 5]);
      assert.equal(librato.requests.length, 0);
      assert.deepEqual(platform.letters(), []);
      assert.match((await platform.line()).trouble, /ONCE/);
      platform.once = () => "";
      await counts(3, bodies);
      await counts(3, [...bodies, ...(await platform.pack(events))]);
      assert.equal(await platform.waiting(), 0);
    });

    it(`the once-storage is told and answers wrongly ("${answer}"): it counts once all the same`, async () => {
      const events = tracks(600, fresh("Told"));
      const bodies = await platform.pack(events);
      librato.play([{ status: 500 }]);
      let told = 0;
      platform.once = (kind) => (kind === "d" && ++told === 1 ? answer : "");
      between(await platform.consume(bodies), [2, 5]);
      assert.equal(told, 2);
      assert.equal(samples(stored()), 300);
      assert.deepEqual(await platform.consume(bodies, [2]), ["ack"]);
      await counts(600, [...bodies, ...(await platform.pack(events))]);
    });

    // The first byte is all of that question, and what it is answered is its answer. Any number could be the backlog.
    if (["half a question", "the stats", "other values"].includes(answer)) continue;
    it(`the once-storage is looked at and answers wrongly ("${answer}"): the backlog is unknown`, async () => {
      platform.once = (kind) => (kind === "s" ? answer : "");
      assert.equal((await platform.delivery()).waiting ?? null, null);
    });
  }

  it("the once-storage cannot be told of the delivery: another copy still does not count", async () => {
    const event = track(fresh("Untold"));
    platform.once = (kind) => (kind === "d" ? "throw" : "");
    await counts(1, await platform.pack([event]));
    platform.once = () => "";
    await counts(1, await platform.pack([event]));
  });

  it("without the once-storage is delivered", async () => {
    await alone({ once: false }, async (other, upstream) => {
      await counts(5, await other.pack(tracks(5)), upstream, other);
    });
  });
});

describe("an event that has waited too long", () => {
  /** A message as it would be had it arrived so many seconds ago. */
  const aged = (body, seconds) => {
    const parcel = JSON.parse(body);
    return JSON.stringify({ ...parcel, r: parcel.r - seconds });
  };

  for (const [late, delivered] of [
    ["reject", false],
    ["now", true],
  ]) {
    it(`LATE_EVENTS=${late}: ${delivered ? "counts now" : "is set aside"}`, async () => {
      await alone({ settings: { LATE_EVENTS: late } }, async (other, upstream) => {
        const [old, young] = tracks(2, "Age");
        const bodies = [
          ...(await other.pack([old])).map((body) => aged(body, 3 * 3_600)),
          ...(await other.pack([young])).map((body) => aged(body, 3_600)),
        ];
        const received = now();
        assert.deepEqual(await other.consume(bodies), ["ack", "ack"]);
        const gauges = stored(upstream);
        const letters = other.letters();
        const time = Object.fromEntries(gauges.map(({ name, measure_time }) => [name, measure_time]));
        between(time[young.event], [received - 3_610, received - 3_590], "the time of what is young enough");
        if (delivered) {
          assert.deepEqual(letters, []);
          between(time[old.event], [received - 1, now()], "the time of what is old");
        } else {
          assert.deepEqual(Object.keys(time), [young.event]);
          const [{ reason, measurement, receivedAt }] = letters;
          assert.equal(reason, "timestamp_out_of_range");
          assert.equal(measurement.name, old.event);
          between(Date.parse(receivedAt) / 1000, [received - 10_810, received - 10_790], "receivedAt");
        }
        assert.equal(await other.waiting(), 0);
      });
    });
  }
});

describe("a batch of messages", () => {
  it("100 messages of one gauge are one request with one gauge", async () => {
    const name = fresh("Merged");
    const timestamp = at();
    const events = Array.from({ length: 100 }, (_, index) => track(name, { timestamp, properties: { value: index } }));
    const bodies = await platform.packEach(events);
    assert.equal(bodies.length, 100);
    assert.deepEqual(await platform.consume(bodies), Array(100).fill("ack"));
    assert.equal(librato.requests.length, 1);
    const [{ count, sum, min, max, sum_squares, measure_time }, ...others] = librato.gauges;
    assert.deepEqual(others, []);
    assert.deepEqual(
      { count, sum, min, max, sum_squares, measure_time },
      { count: 100, sum: 4950, min: 0, max: 99, sum_squares: 328350, measure_time: Date.parse(timestamp) / 1000 },
    );
  });

  it("name and source are the same whatever their case; other sources, seconds and names are others", async () => {
    const name = fresh("Case");
    const [timestamp, later] = [at(60), at(50)];
    const from = (source) => ({ Librato: { source } });
    const events = [
      track(name, { timestamp, integrations: from("Web") }),
      track(name.toUpperCase(), { timestamp, integrations: from("WEB") }),
      track(name, { timestamp, integrations: from("app") }),
      track(name, { timestamp: later, integrations: from("Web") }),
      track(`${name}-2`, { timestamp, integrations: from("Web") }),
    ];
    const bodies = await platform.packEach(events);
    assert.deepEqual(await platform.consume(bodies), Array(5).fill("ack"));
    assert.equal(librato.requests.length, 1);
    assert.deepEqual(
      librato.gauges.map(({ name, source, count = 1 }) => [name, source, count]),
      [
        [name, "Web", 2],
        [name, "app", 1],
        [name, "Web", 1],
        [`${name}-2`, "Web", 1],
      ],
    );
  });

  it("fills requests up to 300 gauges, at most six at once", async () => {
    const bodies = [];
    for (let index = 0; index < 5; index += 1) bodies.push(...(await platform.pack(tracks(701, fresh("Many")))));
    librato.play([], () => ({ delay: 300 }));
    assert.deepEqual(await platform.consume(bodies), Array(5).fill("ack"));
    assert.equal(samples(stored()), 3_505);
    assert.deepEqual(
      librato.requests.map(({ gauges }) => gauges.length).sort((a, b) => a - b),
      [205, ...Array(11).fill(300)],
    );
    assert.equal(librato.busiest, 6);
  });

  it("no request is larger than 1 MB", async () => {
    const source = "s".repeat(255);
    const bodies = [];
    for (let index = 0; index < 3; index += 1) {
      const events = tracks(900, fresh("n".repeat(240)), { integrations: { Librato: { source } } });
      bodies.push(...(await platform.pack(events.slice(0, 700))));
    }
    assert.deepEqual(await platform.consume(bodies), Array(bodies.length).fill("ack"));
    assert.equal(samples(stored()), 2_100);
    for (const { text } of librato.requests) assert.ok(Buffer.byteLength(text) <= 1_000_000);
  });

  it("is empty: no request", async () => {
    assert.deepEqual(await platform.consume([]), []);
    assert.equal(librato.requests.length, 0);
  });
});

describe("the operator", () => {
  const gauge = (name, more = {}) => ({
    ...{ name, source: "shop", measure_time: now() - 60, count: 1, sum: 2, min: 2, max: 2, sum_squares: 4 },
    ...more,
  });
  const letter = (measurement) =>
    JSON.stringify({ schemaVersion: 1, reason: "bad luck", receivedAt: new Date().toISOString(), measurement });

  /** Runs with a Worker that has set so many letters aside. */
  const withLetters = (letters, use, options = {}) =>
    alone(options, async (other, upstream) => {
      for (let at = 0; at < letters.length; at += 100) {
        const part = letters.slice(at, at + 100);
        assert.deepEqual(await other.keep(part), Array(part.length).fill("ack"));
      }
      await use(other, upstream);
    });
  const list = async (other, query = "") => {
    const answer = await other.operator("GET", `/set-aside${query}`);
    assert.equal(answer.status, 200, answer.text);
    return answer.json();
  };
  const done = async (answer, changed, left) =>
    assert.deepEqual((await answer).json(), { success: true, changed, left });

  it("lists what was set aside, the newest first, with reason and original, page by page", async () => {
    const names = Array.from({ length: 120 }, (_, index) => `gauge-${index}`);
    await withLetters(
      names.map((name) => letter(gauge(name))),
      async (other) => {
        const first = await list(other);
        assert.equal(first.count, 120);
        assert.equal(first.letters.length, 50);
        const { id, reason, schemaVersion, measurement } = first.letters[0];
        assert.ok(Number.isInteger(id));
        assert.deepEqual({ reason, schemaVersion }, { reason: "bad luck", schemaVersion: 1 });
        assert.deepEqual(Object.keys(measurement), Object.keys(gauge("")));
        const seen = [];
        let query = "?limit=33";
        for (;;) {
          const { count, letters } = await list(other, query);
          assert.equal(count, 120);
          if (letters.length === 0) break;
          assert.ok(letters.length <= 33);
          seen.push(...letters.map(({ measurement }) => measurement.name));
          query = `?limit=33&before=${letters.at(-1).id}`;
        }
        assert.deepEqual(seen, names.toReversed());
        assert.deepEqual(await other.delivery(), { mode: "durable", waiting: 0, setAside: 120 });
      },
    );
  });

  it("sends letters again, which count once though it is asked twice", async () => {
    const gauges = [gauge("one"), gauge("two", { count: 3, sum: 6, sum_squares: 12 }), gauge("three")];
    await withLetters(gauges.map(letter), async (other, upstream) => {
      const ids = (await list(other)).letters.map(({ id }) => id);
      const answers = await Promise.all(
        [0, 1].map(() => other.operator("POST", "/set-aside/replay", { ids: ids.slice(0, 2) })),
      );
      assert.deepEqual(
        answers.map(({ status }) => status),
        [200, 200],
      );
      assert.equal((await list(other)).count, 1);
      const bodies = other.taken();
      assert.deepEqual(await other.consume(bodies), Array(bodies.length).fill("ack"));
      await done(other.operator("POST", "/set-aside/replay", { ids }), 1, 0);
      await done(other.operator("POST", "/set-aside/replay", { ids }), 0, 0);
      assert.deepEqual(await other.consume(other.taken()), ["ack"]);
      assert.deepEqual(
        stored(upstream).map(({ name, count = 1, sum, value = sum, measure_time }) => ({
          name,
          count,
          value,
          measure_time,
        })),
        [2, 1, 0].map((place) => {
          const { name, count, sum: value, measure_time } = gauges[place];
          return { name, count, value, measure_time };
        }),
      );
    });
  });

  it("sends all again at the present time", async () => {
    const old = gauge("old", { measure_time: now() - 86_400, count: 4, sum: 10, min: 1, max: 4, sum_squares: 30 });
    await withLetters([letter(old)], async (other, upstream) => {
      await done(other.operator("POST", "/set-aside/replay", { all: true, time: "now" }), 1, 0);
      await other.consume(other.taken());
      const [{ name, source, count, sum, min, max, sum_squares, measure_time }] = stored(upstream);
      const { measure_time: _, ...values } = old;
      assert.deepEqual({ name, source, count, sum, min, max, sum_squares }, values);
      between(measure_time, [now() - 10, now()], "the time");
    });
  });

  it("what is too old is set aside again unless it counts now", async () => {
    await withLetters([letter(gauge("old", { measure_time: now() - 86_400 }))], async (other, upstream) => {
      await done(other.operator("POST", "/set-aside/replay", { all: true }), 1, 0);
      assert.deepEqual(await other.consume(other.taken()), ["ack"]);
      assert.equal(upstream.requests.length, 0);
      const [again] = other.letters();
      assert.equal(again.reason, "timestamp_out_of_range");
      assert.deepEqual(await other.keep([JSON.stringify(again)]), ["ack"]);
      await done(other.operator("POST", "/set-aside/replay", { all: true, time: "now" }), 1, 0);
      await other.consume(other.taken());
      assert.deepEqual(names(stored(upstream)), ["old"]);
    });
  });

  it("sends a whole message again that the platform gave up, however long it is", async () => {
    await alone({}, async (other, upstream) => {
      const small = tracks(3, "small");
      const large = tracks(1_000, "l".repeat(80));
      const bodies = [...(await other.pack(small)), ...(await other.pack(large))];
      assert.ok(bodies[1].length > 100_000, `${bodies[1].length} bytes are too few`);
      assert.deepEqual(await other.keep(bodies), ["ack", "ack"]);
      await done(other.operator("POST", "/set-aside/replay", { all: true }), 2, 0);
      const again = other.taken();
      assert.deepEqual(await other.consume(again), Array(again.length).fill("ack"));
      assert.deepEqual(names(stored(upstream)), [...small, ...large].map(({ event }) => event).sort());
    });
  });

  it("what cannot be sent stays: nothing is dropped silently", async () => {
    await withLetters(["garbage", letter(gauge("good"))], async (other, upstream) => {
      await done(other.operator("POST", "/set-aside/replay", { all: true }), 1, 1);
      await other.consume(other.taken());
      assert.deepEqual(names(stored(upstream)), ["good"]);
      const { count, letters } = await list(other);
      assert.equal(count, 1);
      assert.equal(letters[0].original, "garbage");
    });
  });

  it("the queue fails: the letters stay", async () => {
    await withLetters([letter(gauge("stays"))], async (other) => {
      other.refuse.MEASUREMENTS = () => "the queue is out of order";
      refused(await other.operator("POST", "/set-aside/replay", { all: true }), 503, "upstream_unavailable");
      assert.equal((await list(other)).count, 1);
    });
  });

  it("more letters than one request is about are sent in several", async () => {
    const letters = Array.from({ length: 620 }, (_, index) => letter(gauge(`many-${index}`)));
    await withLetters(letters, async (other, upstream) => {
      await done(other.operator("POST", "/set-aside/replay", { all: true }), 500, 120);
      await done(other.operator("POST", "/set-aside/replay", { all: true }), 120, 0);
      const bodies = other.taken();
      assert.deepEqual(await other.consume(bodies), Array(bodies.length).fill("ack"));
      assert.equal(new Set(names(stored(upstream))).size, 620);
      assert.equal(samples(stored(upstream)), 620);
    });
  });

  it("forgets letters, and only those that are named", async () => {
    await withLetters(
      ["a", "b", "c"].map((name) => letter(gauge(name))),
      async (other) => {
        const { letters } = await list(other);
        await done(other.operator("DELETE", "/set-aside", { ids: [letters[1].id] }), 1, 2);
        assert.deepEqual(
          (await list(other)).letters.map(({ measurement }) => measurement.name),
          ["c", "a"],
        );
        for (const body of ["", "{}", '{"ids":["1"]}', '{"all":true,"ids":[1]}', '{"everything":true}']) {
          assert.equal((await other.operator("DELETE", "/set-aside", body)).status, 400, body);
        }
        assert.equal((await list(other)).count, 2);
        await done(other.operator("DELETE", "/set-aside", { all: true }), 2, 0);
        assert.deepEqual(other.taken(), []);
      },
    );
  });

  /** Bodies of the letters that a refusal of Librato's becomes. */
  const refusal = async (other, upstream, events) => {
    const bodies = await other.packEach(events);
    upstream.play([], () => ({ status: 400, body: { errors: { request: ["no"] } } }));
    assert.deepEqual(await other.consume(bodies), Array(bodies.length).fill("ack"));
    upstream.play([]);
    return other.calls.SET_ASIDE.splice(0)
      .flat()
      .map(({ body }) => body);
  };
  const kept = async (other, bodies) => assert.deepEqual(await other.keep(bodies), Array(bodies.length).fill("ack"));
  /** Sends all letters again, and delivers them. */
  const replayed = async (other, changed) => {
    await done(other.operator("POST", "/set-aside/replay", { all: true }), changed, 0);
    const bodies = other.taken();
    assert.deepEqual(await other.consume(bodies), Array(bodies.length).fill("ack"));
  };

  it("a letter that the queue delivers again is there once, and counts once", async () => {
    await alone({}, async (other, upstream) => {
      const letters = await refusal(other, upstream, tracks(2, "again"));
      await kept(other, [...letters, letters[0]]);
      await kept(other, letters);
      assert.equal((await list(other)).count, 2);
      await replayed(other, 2);
      assert.equal(samples(stored(upstream)), 2);
    });
  });

  it("a letter that comes again when it has been sent again or deleted does not come back", async () => {
    await alone({}, async (other, upstream) => {
      const letters = await refusal(other, upstream, tracks(3, "gone"));
      await kept(other, letters);
      const [{ id }] = (await list(other)).letters;
      await done(other.operator("DELETE", "/set-aside", { ids: [id] }), 1, 2);
      await kept(other, letters);
      assert.equal((await list(other)).count, 2);
      await replayed(other, 2);
      await kept(other, letters);
      assert.equal((await list(other)).count, 0);
      await done(other.operator("POST", "/set-aside/replay", { all: true }), 0, 0);
      assert.equal(samples(stored(upstream)), 2);
      assert.deepEqual(await other.delivery(), { mode: "durable", waiting: 0, setAside: 0 });
    });
  });

  it("two letters of equal content are two events", async () => {
    await alone({}, async (other, upstream) => {
      const timestamp = at();
      const letters = [];
      for (let index = 0; index < 2; index += 1) {
        letters.push(...(await refusal(other, upstream, [track("equal", { timestamp })])));
      }
      const contents = letters.map((letter) => ({ ...JSON.parse(letter), letterId: "", receivedAt: "" }));
      assert.deepEqual(contents[0], contents[1]);
      await kept(other, letters);
      assert.equal((await list(other)).count, 2);
      await replayed(other, 2);
      assert.equal(samples(stored(upstream)), 2);
    });
  });

  it("a letter that is refused again is another", async () => {
    await alone({}, async (other, upstream) => {
      const letters = await refusal(other, upstream, [track("stubborn")]);
      for (let times = 0; times < 3; times += 1) {
        await kept(other, letters);
        assert.equal((await list(other)).count, 1);
        upstream.play([], () => ({ status: 400, body: { errors: { request: ["no"] } } }));
        await replayed(other, 1);
        const again = other.calls.SET_ASIDE.splice(0).flat();
        assert.equal(again.length, 1);
        letters.push(again[0].body);
      }
      upstream.play([]);
      await kept(other, letters);
      await replayed(other, 1);
      assert.equal(samples(stored(upstream)), 1);
    });
  });

  it("a message that the platform has moved is there once, and again when it is moved again", async () => {
    await alone({}, async (other, upstream) => {
      const bodies = await other.pack(tracks(3, "moved"));
      await kept(other, [...bodies, ...bodies]);
      assert.equal((await list(other)).count, 1);
      await done(other.operator("POST", "/set-aside/replay", { all: true }), 1, 0);
      const moved = other.taken();
      await kept(other, [...bodies, ...moved]);
      assert.equal((await list(other)).count, 1);
      await replayed(other, 1);
      assert.deepEqual(await other.consume([...bodies, ...moved]), ["ack", "ack"]);
      assert.equal(samples(stored(upstream)), 3);
    });
  });

  it("letters of an older version, without an identity, are kept and sent again", async () => {
    await withFolder(async (storage) => {
      const old = [letter(gauge("first")), letter(gauge("second")), letter(gauge("third"))];
      const statements = [
        "CREATE TABLE IF NOT EXISTS letters (number INTEGER PRIMARY KEY AUTOINCREMENT, letter TEXT)",
        ...old.map((text) => `INSERT INTO letters (letter) VALUES ('${text}')`),
        "DELETE FROM letters WHERE number = 3",
      ];
      await alone({ storage, front: preceded("SetAside", statements) }, async (other, upstream) => {
        assert.equal((await list(other)).count, 2);
        await kept(other, await refusal(other, upstream, [track("new")]));
        const { letters } = await list(other);
        assert.deepEqual(
          letters.map(({ id, measurement }) => [id, measurement.name]),
          [
            [4, "new"],
            [2, "second"],
            [1, "first"],
          ],
        );
        for (const { id } of letters) {
          const ask = () => other.operator("POST", "/set-aside/replay", { ids: [id] });
          assert.deepEqual(
            (await Promise.all([ask(), ask()])).map(({ status }) => status),
            [200, 200],
          );
        }
        const bodies = other.taken();
        assert.deepEqual(await other.consume(bodies), Array(bodies.length).fill("ack"));
        assert.deepEqual(names(stored(upstream)), ["first", "new", "second"]);
      });
    });
  });

  it("a hundred letters as long as a message can be are all kept", async () => {
    await alone({}, async (other) => {
      const bodies = Array.from({ length: 100 }, (_, index) => `"${index}${'"'.repeat(LARGEST_MESSAGE - 10)}`);
      await kept(other, bodies);
      const { count, letters } = await list(other, "?limit=1");
      assert.equal(count, 100);
      assert.equal(letters[0].original.length, bodies[99].length);
    });
  });

  it("letters outlive the Worker", async () => {
    await withFolder(async (storage) => {
      await withLetters([letter(gauge("durable"))], async () => {}, { storage });
      await alone({ storage }, async (other) => {
        assert.deepEqual(
          (await list(other)).letters.map(({ measurement }) => measurement.name),
          ["durable"],
        );
      });
    });
  });

  for (const [method, path] of [
    ["GET", "/set-aside"],
    ["DELETE", "/set-aside"],
    ["POST", "/set-aside/replay"],
  ]) {
    it(`${method} ${path}: 401 for a wrong token, 404 where none is set`, async () => {
      const body = method === "GET" ? undefined : { all: true };
      for (const token of ["", "wrong", operatorToken.slice(0, -1), `${operatorToken}x`, secrets.LIBRATO_TOKEN]) {
        refused(await platform.operator(method, path, body, token), 401, "invalid_token");
      }
      const writeKeyAlone = await platform.worker.fetch(path, { method, body });
      refused(writeKeyAlone, 401, "invalid_token");
      await alone({ settings: { OPERATOR_TOKEN: null } }, async (other) => {
        refused(await other.operator(method, path, body), 404, "not_found");
        refused(await other.operator(method, path, body, ""), 404, "not_found");
      });
    });
  }
});

describe("GET /health?deep=1", () => {
  const SHARDS = 20;

  /** Runs with so many objects, and counts how often one is asked. */
  async function withShards(shards, use) {
    const settings = { ONCE_SHARDS: String(shards) };
    await withPlatform({ librato: librato.url, settings }, async (other) => {
      let asked = 0;
      other.once = () => {
        asked += 1;
        return "";
      };
      await use(other, () => asked);
    });
  }

  it("a write key makes no crowd of objects answer, and none of them often", async () => {
    await withShards(2, async (other, asked) => {
      for (let index = 0; index < 5; index += 1) {
        const { delivery } = (await other.worker.fetch("/health?deep=1")).json();
        assert.deepEqual(delivery, { mode: "durable", waiting: 0, setAside: 0 });
      }
      assert.equal(asked(), 2);
    });
    await withShards(SHARDS, async (other, asked) => {
      const { delivery } = (await other.worker.fetch("/health?deep=1")).json();
      assert.deepEqual(delivery, { mode: "durable", waiting: null, setAside: 0 });
      assert.equal(asked(), 0);
    });
  });

  it("the operator's token does, each time", async () => {
    await withShards(SHARDS, async (other, asked) => {
      for (const times of [1, 2]) {
        assert.deepEqual(await other.delivery(), { mode: "durable", waiting: 0, setAside: 0 });
        assert.equal(asked(), times * SHARDS);
      }
    });
  });
});

describe("all of it, with the queues of wrangler.toml", () => {
  it("an event arrives within seconds, a refused one is set aside, and what Librato loses comes again", async () => {
    const upstream = await startLibrato();
    const settings = { OPERATOR_TOKEN: operatorToken };
    try {
      await withWorker({ librato: upstream.url, settings, queues: true }, async (worker) => {
        succeeded(await worker.post("/v1/track", track("First")));
        await upstream.counted("First", 1);
        const started = Date.now();
        const event = track("Arrives");
        succeeded(await worker.post("/v1/track", event));
        succeeded(await worker.post("/v1/track", event));
        await upstream.counted("Arrives", 1);
        between((Date.now() - started) / 1000, [0, 3], "seconds until it has arrived");

        await upstream.api("/v1/metrics", { method: "POST", body: { counters: [{ name: "Counter", value: 1 }] } });
        await upstream.fault({ answer: "503", times: 1 });
        succeeded(await worker.post("/v1/batch", batch([track("Counter"), ...tracks(5, "Beside")])));
        const operator = { headers: { authorization: `Bearer ${operatorToken}` } };
        const delivery = async () => (await worker.fetch("/health?deep=1", operator)).json().delivery;
        await waitFor("the outage", async () => (await delivery()).waiting === 6);
        await upstream.counted("Beside-4", 1, { within: 20_000 });
        const list = async () => (await worker.fetch("/set-aside", operator)).json();
        const { letters } = await waitFor("a letter", async () => {
          const page = await list();
          return page.count > 0 && page;
        });
        assert.deepEqual(
          letters.map(({ measurement }) => measurement.name),
          ["Counter"],
        );
        assert.deepEqual(await delivery(), { mode: "durable", waiting: 0, setAside: 1 });
        const totals = await upstream.totals();
        assert.deepEqual(totals["Arrives Arrives"], { count: 1, sum: 1 });
        for (let index = 0; index < 5; index += 1) {
          assert.deepEqual(totals[`Beside-${index} Beside-${index}`], { count: 1, sum: 1 });
        }
      });
    } finally {
      await upstream.stop();
    }
  });
});

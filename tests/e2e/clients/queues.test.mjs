// The queues of mobile libraries against the Worker: a batch of which nothing is accepted must not stand in the way of what
// comes after it, nor come again for ever.

import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { after, before, describe, it } from "node:test";
import { startScripted } from "../lib/scripted.mjs";
import { startWorker, writeKey } from "../lib/worker.mjs";
import { libraries } from "./queues.mjs";

const BATCH = 2;
const anonymousId = randomUUID();

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

/** An event as these libraries make one. */
const event = (name, more) => ({
  type: "track",
  event: name,
  messageId: randomUUID(),
  anonymousId,
  context: { library: { name: "a model", version: "1" } },
  originalTimestamp: new Date().toISOString(),
  properties: {},
  integrations: { All: true },
  ...more,
});

/** Nine batches of good events, each with a name of its own. */
const good = Array.from({ length: 9 * BATCH }, (_, index) => `Good-${index}`);

/** Events of which nothing can be accepted, each for a reason of its own. */
const refusals = {
  "a value that is no number": () => event("Refused", { properties: { value: true } }),
  "no user": () => event("Refused", { anonymousId: undefined }),
  "no name": () => event(undefined),
  "a time of long ago": () => event("Refused", { originalTimestamp: undefined, timestamp: "2014-01-01T00:00:00Z" }),
  "a time that is none": () => event("Refused", { timestamp: "yesterday" }),
  "a type that nobody knows": () => event("Refused", { type: "delete" }),
  "a source that is none": () => event("Refused", { integrations: { Librato: { source: [] } } }),
  "an event above the limit": () => event("Refused", { properties: { text: "x".repeat(66_000) } }),
};

/** Starts a library with these events in its queue, and has it send until it holds nothing or gives up. */
async function run(Model, events, { key = writeKey, url = worker.url, flushes = 3, ...options } = {}) {
  const library = new Model({ url, writeKey: key, batchSize: BATCH, ...options });
  for (const one of events) library.track(one);
  await library.start();
  for (let flush = 0; flush < flushes && library.queue.length > 0 && !library.stopped; flush += 1)
    await library.flush();
  return library;
}

/** What has come to Librato, and how often. */
function arrived() {
  const counts = {};
  for (const { name, count = 1 } of librato.gauges) counts[name] = (counts[name] ?? 0) + count;
  return counts;
}

const once = (names) => Object.fromEntries(names.map((name) => [name, 1]));

for (const [name, Model] of Object.entries(libraries)) {
  describe(name, () => {
    for (const [what, refused] of Object.entries(refusals)) {
      it(`a batch of nothing but ${what}, before nine good ones`, async () => {
        librato.play([]);
        const events = [...Array.from({ length: BATCH }, refused), ...good.map((one) => event(one))];
        const { queue, stopped, posts, waited } = await run(Model, events);
        assert.deepEqual(arrived(), once(good));
        assert.deepEqual({ left: queue.length, stopped, waited }, { left: 0, stopped: undefined, waited: 0 });
        assert.deepEqual(
          posts.map(({ status }) => status),
          Array(10).fill(200),
        );
      });
    }

    it("one refused event among the good ones of its batch", async () => {
      librato.play([]);
      const events = good.map((one) => event(one)).toSpliced(1, 1, refusals["a value that is no number"]());
      const { queue, posts } = await run(Model, events);
      assert.deepEqual(arrived(), once(good.toSpliced(1, 1)));
      assert.deepEqual([queue.length, posts.length], [0, 9]);
    });

    it("events of nearly 64 kB, in a batch of 500 kB or, where a file is closed too late, of 575", async () => {
      librato.play([]);
      const large = (one) => event(one, { properties: { text: "x".repeat(63_590) } });
      const { queue, stopped, posts } = await run(Model, good.map(large), { batchSize: 9 });
      assert.deepEqual(arrived(), once(good));
      assert.deepEqual({ left: queue.length, stopped }, { left: 0, stopped: undefined });
      const overdue = ["RudderStack, Kotlin", "RudderStack, Swift"].includes(name);
      assert.deepEqual(
        posts.map(({ events }) => events.length),
        overdue ? [9, 9] : [8, 8, 2],
      );
    });

    it("Librato is down for two requests: nothing is lost, and nothing counts twice", async () => {
      librato.play(Array(4).fill({ status: 503 }));
      const { queue, stopped } = await run(
        Model,
        good.map((one) => event(one)),
        { flushes: 9 },
      );
      assert.deepEqual({ left: queue.length, stopped }, { left: 0, stopped: undefined });
      const accepted = librato.requests.filter(({ answer }) => answer.status !== 503);
      const names = accepted.flatMap(({ gauges }) => gauges.map((gauge) => gauge.name));
      assert.deepEqual(names.sort(), [...good].sort());
    });

    for (const [what, more] of Object.entries({ "with a slash": "/", "with two": "//", "with /v1": "/v1" })) {
      // What Flutter is given is a host and no address.
      if (name === "analytics_flutter") continue;
      it(`its address ${what} at the end`, async () => {
        librato.play([]);
        const { queue, stopped } = await run(
          Model,
          good.map((one) => event(one)),
          { url: worker.url + more },
        );
        assert.deepEqual({ left: queue.length, stopped }, { left: 0, stopped: undefined });
        assert.deepEqual(arrived(), once(good));
      });
    }

    it("an unknown write key: it stops, or gives its events up", async () => {
      librato.play([]);
      const library = await run(
        Model,
        good.map((one) => event(one)),
        { key: "other", flushes: 1 },
      );
      if (name === "analytics_flutter") {
        // It knows no refusal that is for good: each batch once at each flush is what its source leaves.
        assert.deepEqual(
          library.posts.map(({ status }) => status),
          Array(9).fill(400),
        );
      } else {
        assert.equal(library.stopped, "write key");
        assert.deepEqual(library.posts, []);
      }
      assert.deepEqual(librato.requests, []);
    });
  });
}

describe("a write key that was good when the library began", () => {
  // What it asked first is stored, so that it begins without an answer.
  const begun = {
    "RudderStack, Android": { stopped: "write key", left: good.length },
    // A 400 is a file deleted: these two are through with them after nine.
    "RudderStack, Kotlin": { stopped: undefined, left: 0 },
    "RudderStack, Swift": { stopped: undefined, left: 0 },
  };
  // For iOS's there is no answer at which it would stop: it takes no 400 for that, and to others a 401 is worse.
  for (const [name, expected] of Object.entries(begun)) {
    it(`${name} comes to an end`, async () => {
      librato.play([]);
      const library = new libraries[name]({ url: worker.url, writeKey: "other", batchSize: BATCH });
      library.dataPlane = worker.url;
      for (const one of good) library.track(event(one));
      await library.flush();
      assert.deepEqual({ stopped: library.stopped, left: library.queue.length }, expected);
      assert.deepEqual(librato.requests, []);
    });
  }
});

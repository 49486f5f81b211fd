// Segment's own library for Node, from npm, against the Worker.

import assert from "node:assert/strict";
import { after, before, beforeEach, describe, it } from "node:test";
import { Analytics } from "@segment/analytics-node";
import { userId } from "./lib/events.mjs";
import { startLibrato } from "./lib/librato.mjs";
import { startWorker, writeKey } from "./lib/worker.mjs";

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

/** Creates a client, calls `use` with it, and waits until everything is sent. Returns the undelivered events. */
async function analytics(settings, use) {
  const client = new Analytics({ writeKey, host: worker.url, flushInterval: 100, ...settings });
  const errors = [];
  client.on("error", (error) => errors.push(error));
  await use(client);
  await client.closeAndFlush({ timeout: 30_000 });
  return errors;
}

/** Returns the expected totals of a list of calls: `{ "metric source": { count, sum } }`. */
function total(calls) {
  const totals = {};
  for (const { metric, source, value } of calls) {
    const { count, sum } = totals[`${metric} ${source}`] ?? { count: 0, sum: 0 };
    totals[`${metric} ${source}`] = { count: count + 1, sum: sum + value };
  }
  return totals;
}

// Spread over names, sources and values so that no two gauges are equal; halves and quarters add up exactly.
const calls = Array.from({ length: 1_000 }, (_, index) => {
  const source = index % 3 === 0 ? undefined : `host-${index % 5}`;
  const options = source && { integrations: { All: true, Librato: { source } } };
  if (index % 10 === 9) {
    const metric = `Viewed-Docs-Chapter-${index % 4}-Page`;
    const page = { category: "Docs", name: `Chapter ${index % 4}` };
    return { page, options, metric, source: source ?? metric, value: 1 };
  }
  const metric = `Order-${index % 7}`;
  const properties = index % 11 === 0 ? { plan: "pro" } : { value: (index % 97) / 4 - 3 };
  return {
    event: `Order ${index % 7}`,
    properties,
    options,
    metric,
    source: source ?? metric,
    value: properties.value ?? 1,
  };
});

function send(client, { event, page, properties, options = {} }) {
  if (page) client.page({ userId, ...page, ...options });
  else client.track({ anonymousId: "a-1", event, properties, ...options });
}

describe("@segment/analytics-node", () => {
  it("1,000 events arrive, with exact totals for each gauge", async () => {
    const errors = await analytics({ flushAt: 40 }, (client) => {
      for (const call of calls) send(client, call);
    });
    assert.deepEqual(errors, []);
    assert.deepEqual(await librato.totals(), total(calls));

    const requests = await librato.requests();
    const members = requests.reduce((sum, { gauges }) => sum + gauges, 0);
    assert.ok(requests.length <= calls.length / 40 + 1, `${requests.length} requests`);
    assert.ok(members < calls.length, "nothing was merged");
  });

  it("what Librato does not take for a moment is sent again, and counts once", async () => {
    // Two tries of the Worker fail, so that the library gets an error and sends its batch again.
    await librato.fault({ answer: "503", times: 2 });
    const some = calls.slice(0, 20);
    const errors = await analytics({ flushAt: 20 }, (client) => {
      for (const call of some) send(client, call);
    });
    assert.deepEqual(errors, []);
    assert.deepEqual(await librato.totals(), total(some));
  });

  // A batch that could be read is answered 200, so the library has nothing to report: the log line tells what was refused.
  it("what is refused is dropped: the library does not send it again", async () => {
    const errors = await analytics({ flushAt: 1 }, (client) => {
      client.track({ userId, event: "Refused", properties: { value: "much" } });
      client.track({ userId, event: "Taken" });
    });
    assert.deepEqual(errors, []);
    assert.deepEqual(await librato.totals(), { "Taken Taken": { count: 1, sum: 1 } });
  });
});

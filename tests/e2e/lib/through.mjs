// Runs of many events into a store by OTLP, through a proxy that fails on demand: what the store has in the end is for
// the test to ask.

import assert from "node:assert/strict";
import { events as crowdEvents, sendByAll } from "./crowd.mjs";
import { drained } from "./durable.mjs";
import { now, track } from "./events.mjs";
import { succeeded } from "./expect.mjs";
import { at, expectedSums, points, withSource } from "./otlp.mjs";
import { decoded } from "./receivers.mjs";
import { waitFor } from "./wait.mjs";

export const EVENTS = 10_000;
const NAME = "Soak-otlp";

/** Outcomes of requests, one after the other, with successes in between. */
export const faults = [
  { cut: "after" },
  { status: 503 },
  { cut: "before" },
  { status: 429, headers: { "retry-after": "1" } },
  { cut: "after" },
  { status: 502 },
  { status: 504 },
  { status: 401 },
];

/** The same, but every request that the store has taken is answered. */
export const faultsWithAnswers = faults.filter(({ cut }) => cut !== "after");

/**
 * Sends events of real clients to a Worker that delivers durably, while some of its requests fail, and waits until all
 * are settled.
 *
 * @param {object} run
 * @param {object} run.worker
 * @param {object} run.way
 * @param {object[]} run.faults
 * @param {boolean} [run.isOneSecondShared] whether one event of each part has the same second, which so is in many
 *   deliveries; else events are sent as they happen
 */
export async function sendThrough({ worker, way, faults, isOneSecondShared = true }) {
  let turn = 0;
  way.play([], ({ body }) => {
    // The check of the credentials is no delivery.
    if (body.length === 0) return {};
    turn += 1;
    return (turn % 2 === 1 && faults[(turn - 1) / 2]) || {};
  });
  const list = crowdEvents("otlp", EVENTS);
  const shared = now();
  for (let from = 0; from < EVENTS; from += 500) {
    const before = turn;
    const second = isOneSecondShared ? shared : now();
    const more = { properties: { value: 1 }, ...withSource("host-0"), ...at(second) };
    succeeded(await worker.post("/v1/track", track(`${NAME}-0`, more)));
    list.push({ event: `${NAME}-0`, source: "host-0", value: 1 });
    await sendByAll(worker, list.slice(from, from + 500));
    await waitFor("a request", () => turn > before);
  }
  await drained(worker);
  assert.ok(turn >= 2 * faults.length, `${turn} requests are too few for all faults`);

  const came = way.requests.filter(({ body }) => body.length > 0);
  const times = Map.groupBy(came, ({ body }) => body.toString("base64"));
  const all = decoded([...times.values()].map(([{ body }]) => body)).flatMap(points);
  return {
    expected: expectedSums(list),
    /** The requests, with repetitions. */
    came,
    /** How often each body came. */
    times,
    /** The points of all bodies. */
    points: all,
    writers: new Set(all.map(({ instance }) => instance)).size,
  };
}

/** What a run has taken, in words. */
export const told = ({ came, points, writers }) =>
  `${came.length} requests, ${points.length} points, ${writers} writers`;

const LATE = { events: 800, delivery: 40, seconds: 600 };

/**
 * Sends sparse events up to ten minutes late, forty a delivery.
 *
 * @param {object} platform
 * @returns {Promise<{ expected: Map<string, number>, letters: object[] }>} and what was set aside
 */
export async function sendLate(platform) {
  const second = now();
  const list = Array.from({ length: LATE.events }, (_, index) => ({
    event: `Late-otlp-${index % 5}`,
    source: `host-${index % 8}`,
    value: 1 + ((index * 7_919) % 1_000_003),
    // In no order (Knuth's multiplicative hash).
    age: Math.floor((((index * 2_654_435_761) % 2 ** 32) / 2 ** 32) * LATE.seconds),
  }));
  for (let from = 0; from < LATE.events; from += LATE.delivery) {
    const calls = list
      .slice(from, from + LATE.delivery)
      .map(({ event, source, value, age }) =>
        track(event, { properties: { value }, ...withSource(source), ...at(second - age) }),
      );
    const messages = await platform.pack(calls);
    assert.deepEqual(
      await platform.consume(messages),
      messages.map(() => "ack"),
    );
  }
  return { expected: expectedSums(list), letters: platform.letters() };
}

/** The names of metrics in such sums. */
export const namesOf = (sums) => [...new Set([...sums.keys()].map((key) => key.split(" ")[0]))];

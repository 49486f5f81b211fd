// Soak test: clients of several kinds at once, while Librato goes through all its faults. Afterwards the totals, with
// the events that were set aside, must be exact.
//
// SOAK_EVENTS sets the number of events, 100,000 by default.

import assert from "node:assert/strict";
import { after, before, it } from "node:test";
import { table } from "../../bench/lib/figures.mjs";
import { events, sendByAll } from "./lib/crowd.mjs";
import { drained, letters } from "./lib/durable.mjs";
import { startLibrato } from "./lib/librato.mjs";
import { operatorToken } from "./lib/platform.mjs";
import { waitFor } from "./lib/wait.mjs";
import { startWorker } from "./lib/worker.mjs";

const EVENTS = Number(process.env.SOAK_EVENTS ?? 100_000);
/** Events in a wave, during which Librato has one kind of fault. */
const WAVE = 6_250;
/** Requests, and gauges, of the original destination for 1,000 events. */
const ORIGINAL = 1_000;

/** Faults, in an order in which measurements kept during one can be delivered during another. */
const faults = [
  { answer: "reset-after", times: 2 },
  { answer: "none" },
  { answer: "500", times: 3 },
  { answer: "413", times: 3 },
  { answer: "503", times: 3 },
  { answer: "400-garbage", times: 3 },
  { answer: "429", times: 2, retryAfter: 1 },
  { answer: "401", times: 2 },
  { answer: "slow", times: 4, delayMs: 1_500 },
  { answer: "504", times: 3 },
  { answer: "200-errors", times: 3 },
  { answer: "hang", times: 2 },
  { answer: "403-limit", times: 2, retryAfter: 1 },
  { answer: "poison" },
  { answer: "403-readonly", times: 2 },
  { answer: "reset-before", times: 3 },
];

let librato;
let worker;

before(async () => {
  librato = await startLibrato();
  worker = await startWorker({ librato: librato.url, queues: true, settings: { OPERATOR_TOKEN: operatorToken } });
});
after(async () => {
  await librato?.stop();
  await worker?.stop();
});

const sum = (numbers) => numbers.reduce((total, number) => total + number, 0);

/** Adds up counts and sums by metric and source. */
class Totals {
  #cells = new Map();

  add({ name, source, count, sum }) {
    const key = `${name} ${source}`;
    const cell = this.#cells.get(key) ?? { count: 0, sum: 0 };
    this.#cells.set(key, { count: cell.count + count, sum: cell.sum + sum });
  }

  get(key) {
    return this.#cells.get(key) ?? { count: 0, sum: 0 };
  }

  keys(wave) {
    return [...this.#cells.keys()].filter((key) => key.startsWith(`Soak-${wave}-`));
  }
}

it(`${EVENTS.toLocaleString("en")} events, each of which counts once`, { timeout: 3_600_000 }, async (t) => {
  const started = Date.now();
  // Librato never accepts a gauge with the name of a counter.
  const counter = { name: "Soak-poison-0", source: "nobody", value: 1 };
  await librato.api("/v1/metrics", { method: "POST", body: { counters: [counter] } });

  const rows = new Map();
  const accepted = new Totals();
  const cut = new Totals();
  let seen = 0;
  /** Records the faults that requests have met since the last call. */
  const note = async () => {
    for (;;) {
      const requests = await librato.requests({ after: seen });
      if (requests.length === 0) return;
      seen = requests.at(-1).seq;
      for (const { fault, members } of requests) {
        if (fault) rows.get(fault).requests += 1;
        if (fault !== "reset-after") continue;
        for (const { name, source, value, count = 1, sum = value } of members) cut.add({ name, source, count, sum });
      }
    }
  };

  for (const { answer } of faults) rows.set(answer, { requests: 0, sent: 0, accepted: 0 });
  for (let left = EVENTS, wave = 0; left > 0; wave += 1) {
    const fault = faults[wave % faults.length];
    const row = rows.get(fault.answer);
    // Repeated points of this fault must not be attributed to another.
    if (fault.answer === "reset-after") await drained(worker);
    if (fault.times) await librato.fault(fault);
    const list = events(fault.answer, Math.min(left, WAVE));
    row.sent += await sendByAll(worker, list);
    row.accepted += list.length;
    for (const { event: name, source, value } of list) accepted.add({ name, source, count: 1, sum: value });
    await waitFor(`the end of ${fault.answer}`, async () => (await librato.state()).faults.length === 0, {
      within: 120_000,
    });
    if (fault.answer === "reset-after") await drained(worker);
    await note();
    left -= list.length;
  }
  await drained(worker);
  await waitFor("all letters", async () => {
    const sent = sum(worker.lines.filter(({ event }) => event === "consume").map(({ setAside }) => setAside));
    return (await letters(worker)).length === sent;
  });
  await note();

  const arrived = new Totals();
  const { metrics, requests, accepted: gauges } = await librato.state();
  for (const { name, sources } of metrics) {
    for (const { source, count, sum } of sources) arrived.add({ name, source, count, sum });
  }
  const aside = new Totals();
  for (const { measurement } of await letters(worker)) aside.add(measurement);

  for (const [wave, row] of rows) {
    Object.assign(row, { arrived: 0, "set aside": 0, twice: 0, lost: 0 });
    for (const key of new Set([...accepted.keys(wave), ...arrived.keys(wave), ...aside.keys(wave)])) {
      if (key === `${counter.name} ${counter.source}`) continue;
      const excess = arrived.get(key).count + aside.get(key).count - accepted.get(key).count;
      row.arrived += arrived.get(key).count;
      row["set aside"] += aside.get(key).count;
      row.twice += Math.max(0, excess);
      row.lost += Math.max(0, -excess);
    }
  }
  const seconds = (Date.now() - started) / 1000;
  const messages = sum(worker.lines.filter(({ event }) => event === "request").map(({ messages }) => messages));
  const perThousand = (count) => Math.round((count / EVENTS) * 10_000) / 10;
  t.diagnostic(
    `${EVENTS.toLocaleString("en")} events in ${Math.round(seconds)} s, by the fault during which they were sent:\n` +
      table(
        ["fault", ...Object.keys([...rows][0][1])],
        [...rows].map(([fault, row]) => [fault, ...Object.values(row)]),
      ),
  );
  t.diagnostic(
    `For 1,000 events, all faults and repetitions included:\n${table(
      ["", "Librato requests", "gauges", "queue messages"],
      [
        ["this Worker", perThousand(requests), perThousand(gauges), perThousand(messages)],
        ["the original destination", ORIGINAL, ORIGINAL, 0],
      ],
    )}`,
  );

  for (const [wave, row] of rows) {
    const { twice, lost, requests } = row;
    assert.equal(lost, 0, `${wave}: ${lost} are lost`);
    if (wave !== "reset-after") assert.equal(twice, 0, `${wave}: ${twice} count twice`);
    for (const key of accepted.keys(wave)) {
      const [all, asides, expected, twices] = [arrived, aside, accepted, cut].map((totals) => totals.get(key));
      // Only the points of requests whose answer was lost after storing count once more.
      assert.equal(all.count + asides.count, expected.count + twices.count, `${key}: the count`);
      assert.equal(all.sum + asides.sum, expected.sum + twices.sum, `${key}: the sum`);
    }
    const { times } = faults.find(({ answer }) => answer === wave);
    if (times && row.accepted) assert.ok(requests >= times, `${wave} has met ${requests} requests`);
  }
  const headers = { authorization: `Bearer ${operatorToken}` };
  const { delivery } = (await worker.fetch("/health?deep=1", { headers })).json();
  assert.deepEqual(delivery, { mode: "durable", waiting: 0, setAside: (await letters(worker)).length });
});

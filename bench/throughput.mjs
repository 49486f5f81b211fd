// Throughput of durable delivery: how many events a second go the whole way through workerd on this machine, from a client
// over the queue and the ledger to the destination, and what each part of the way costs.

import { readFileSync } from "node:fs";
import { headers } from "./cpu.mjs";
import { batchOf, track } from "./lib/events.mjs";
import { digits, median, spread, table } from "./lib/figures.mjs";
import { startLoad, startSink } from "./lib/outside.mjs";
import { cpuOf } from "./lib/usage.mjs";
import { startWorkers } from "./lib/workers.mjs";

/** Events of a request, as browsers send them. */
const EVENTS = 10;
const CONNECTIONS = 16;
/** Batches of the queue in a round, and their messages: a request is one. */
const BATCHES = 20;
const MESSAGES = 100;
const ROUNDS = 7;
/** What the load generator numbers, so that each event is a new one. */
const SERIAL = "serial0000000000";

/** Requests of as many clients. */
const bodies = () =>
  Array.from({ length: 64 }, (_, client) => {
    const events = Array.from({ length: EVENTS }, (_, place) => ({
      ...track(client * EVENTS + place),
      messageId: `ajs-next-1764460800000-${SERIAL}`,
      anonymousId: `9f3c1a52-7d0e-4b86-a1c4-${String(client).padStart(12, "0")}`,
      sentAt: undefined,
    }));
    return batchOf(events);
  });

/** Measures and returns the table. */
export async function throughput() {
  const queue = readFileSync(new URL("lib/queue.js", import.meta.url), "utf8");
  const sink = await startSink();
  const load = startLoad();
  const workers = await startWorkers({ librato: sink.url, names: ["rust"], durable: true, consumed: true, queue });
  // In a process of its own: what it sends is nothing to consume.
  const others = await startWorkers({ librato: sink.url, names: ["floor"], durable: true });
  const requests = BATCHES * MESSAGES;

  const send = (name) => load.send(name, requests);
  const consume = async (consumers) => {
    const answer = await fetch(`${workers.urls.queue}/?batches=${BATCHES}&consumers=${consumers}`);
    const { again } = await answer.json();
    if (again > 0) throw new Error(`${again} messages came again`);
  };
  const parts = {
    "any Worker that takes such requests": () => send("floor"),
    "up to the queue": () => send("rust"),
    "from the queue on, one consumer": () => consume(1),
    "the whole way, two consumers": () => Promise.all([send("rust"), consume(2)]),
  };
  try {
    const target = { path: "/v1/b", bodies: bodies(), headers, connections: CONNECTIONS, serial: SERIAL };
    const urls = { ...workers.urls, ...others.urls };
    for (const name of ["rust", "floor"]) await load.aim(name, { ...target, url: urls[name] });
    const cpu = () => cpuOf(workers.pid) + cpuOf(others.pid);
    const found = Object.fromEntries(Object.keys(parts).map((part) => [part, []]));
    for (let round = 0; round <= ROUNDS; round += 1) {
      for (const [part, work] of Object.entries(parts)) {
        const [began, before] = [performance.now(), cpu()];
        await work();
        const [millis, used] = [performance.now() - began, cpu() - before];
        const events = requests * EVENTS;
        // The first round warms up.
        if (round > 0) found[part].push({ rate: (1_000 * events) / millis, cpu: (1_000 * used) / events });
      }
    }
    const arrived = await sink.counted();
    if (arrived.requests === 0) throw new Error("nothing has reached the destination");
    const rows = Object.entries(found).map(([part, all]) => {
      const cpus = all.map(({ cpu }) => cpu);
      return [part, digits(median(all.map(({ rate }) => rate)), 2), spread(cpus)];
    });
    return { text: table(["durable, batches of ten", "events a second", "CPU of workerd, µs an event"], rows) };
  } finally {
    await workers.stop();
    await others.stop();
    await load.stop();
    await sink.stop();
  }
}

// What starting costs: CPU time of a fresh workerd while it loads and runs a Worker's global scope, against a `worker`
// program that does nothing.
//
// As `wrangler check startup`, which lets a first request import the Worker and takes a profile of it; here the CPU time
// is taken instead, since a profile's samples are coarser than the whole.

import { digits, median, spread, table } from "./lib/figures.mjs";
import { cpuOf } from "./lib/usage.mjs";
import { startWorkers } from "./lib/workers.mjs";

const NAMES = ["rust", "bare", "nothing"];
const TARGET = 1.3;
const ROUNDS = 15;

async function start(name) {
  const workers = await startWorkers({ librato: "http://127.0.0.1:1", names: [name], lazily: true });
  try {
    const before = cpuOf(workers.pid);
    const response = await fetch(workers.urls[name]);
    if (!response.ok) throw new Error(`${name} does not start: ${await response.text()}`);
    await response.text();
    return cpuOf(workers.pid) - before;
  } finally {
    await workers.stop();
  }
}

/** Starts each often, by turns, and returns the table's row. */
export async function startup() {
  const taken = Object.fromEntries(NAMES.map((name) => [name, []]));
  for (let round = -1; round < ROUNDS; round += 1) {
    for (const name of round % 2 ? NAMES.toReversed() : NAMES) {
      const cpu = await start(name);
      // The first round only fills the system's caches.
      if (round >= 0) taken[name].push(cpu);
    }
  }
  // What a request and a module cost that does nothing is no part of either.
  const base = median(taken.nothing);
  const own = (name) => taken[name].map((cpu) => cpu - base);
  const value = median(own("rust")) / median(own("bare"));
  const head = ["start-up, CPU ms", "Rust", "a bare `worker` program", "ratio"];
  return {
    text: table(head, [["global scope", spread(own("rust")), spread(own("bare")), digits(value)]]),
    summary: [{ what: "start-up CPU against a bare `worker` program", figure: digits(value), value, target: TARGET }],
  };
}

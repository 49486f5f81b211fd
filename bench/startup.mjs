// Start-up time: CPU time of a fresh workerd while it loads a Worker and runs its global scope, compared with a program
// on the crate `worker` that does nothing.
//
// It imports the Worker in a first request, like `wrangler check startup`, but measures CPU time in place of a profile,
// whose sampling interval is longer than a start-up.

import { digits, median, spread, table } from "./lib/figures.mjs";
import { cpuOf } from "./lib/usage.mjs";
import { startWorkers } from "./lib/workers.mjs";

const NAMES = ["rust", "bare", "nothing"];
const TARGET = 1.5;
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

/** Starts each Worker repeatedly, in turns, and returns a row of the table. */
export async function startup() {
  const taken = Object.fromEntries(NAMES.map((name) => [name, []]));
  for (let round = -1; round < ROUNDS; round += 1) {
    for (const name of round % 2 ? NAMES.toReversed() : NAMES) {
      const cpu = await start(name);
      // The first round warms up the system's caches.
      if (round >= 0) taken[name].push(cpu);
    }
  }
  // The cost of a request to an empty module is subtracted.
  const base = median(taken.nothing);
  const own = (name) => taken[name].map((cpu) => cpu - base);
  const value = median(own("rust")) / median(own("bare"));
  const head = ["start-up, CPU ms", "Rust", "a bare `worker` program", "ratio"];
  return {
    text: table(head, [["global scope", spread(own("rust")), spread(own("bare")), digits(value)]]),
    summary: [{ what: "start-up CPU against a bare `worker` program", figure: digits(value), value, target: TARGET }],
  };
}

// How long an answer takes under a fixed rate of requests: each begins when it is due, whatever became of those before.

import { headers, workloads } from "./cpu.mjs";
import { digits, quantile, table } from "./lib/figures.mjs";
import { startLoad, startSink } from "./lib/outside.mjs";
import { startWorkers } from "./lib/workers.mjs";

const NAMES = ["rust", "peer", "floor"];
/** Requests a second: about a third of what one core can do. */
const RATES = { single: 200, batch: 60 };
const TURN = 2_000;
const TURNS = 4;
const WARM_UP = 2_500;

/** Measures all three, in direct delivery, and returns the table. */
export async function latency() {
  const sink = await startSink();
  const load = startLoad();
  const workers = await startWorkers({ librato: sink.url, names: NAMES });
  const rows = [];
  try {
    for (const [workload, rate] of Object.entries(RATES)) {
      const { title, path, bodies } = workloads[workload];
      const target = { path, bodies: bodies(), headers, connections: 32 };
      const taken = Object.fromEntries(NAMES.map((name) => [name, []]));
      for (const name of NAMES) {
        await load.aim(name, { ...target, url: workers.urls[name] });
        await load.run(name, WARM_UP, rate);
      }
      for (let turn = 0; turn < TURNS; turn += 1) {
        for (const name of turn % 2 ? NAMES.toReversed() : NAMES) {
          taken[name].push(...(await load.run(name, TURN, rate)).latencies);
        }
      }
      for (const share of [0.5, 0.99]) {
        const [rust, peer, floor] = NAMES.map((name) => quantile(taken[name], share));
        const label = `${title}, ${rate} a second, p${share * 100}`;
        rows.push([label, digits(rust), digits(peer), digits(floor), digits(rust / peer)]);
      }
    }
  } finally {
    await workers.stop();
    await load.stop();
    await sink.stop();
  }
  return table(["latency, ms", "Rust", "JavaScript", "floor", "ratio"], rows);
}

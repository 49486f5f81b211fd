// Cost of a request by the number of events in a batch, and by the size of an event.

import { byTurns, cpus, ratios } from "./cpu.mjs";
import { batchOf, sized, slim } from "./lib/events.mjs";
import { digits, median, table } from "./lib/figures.mjs";
import { startLoad, startSink } from "./lib/outside.mjs";
import { startWorkers } from "./lib/workers.mjs";

const NAMES = ["rust", "peer"];
const EVENTS = [1, 10, 100, 500, 1_000, 2_500];
const BYTES = [1_024, 2_048, 4_096, 8_192, 16_384, 32_768];
const SECONDS = 1.5;
const WARM_UP = 700;

/** Measures both, in direct delivery, and returns their two tables. */
export async function growth() {
  const sink = await startSink();
  const load = startLoad();
  const workers = await startWorkers({ librato: sink.url, names: NAMES });
  const measured = async (path, bodies) => {
    const turns = await byTurns({
      path,
      bodies,
      delivery: "direct",
      seconds: SECONDS,
      names: NAMES,
      workers,
      load,
      sink,
      warmUp: WARM_UP,
    });
    return [...NAMES.map((name) => median(cpus(turns, name))), median(ratios(turns, "rust", "peer"))];
  };
  try {
    const byEvents = [];
    for (const count of EVENTS) {
      const bodies = [batchOf(Array.from({ length: count }, (_, index) => slim(index)))];
      const [rust, peer, ratio] = await measured("/v1/b", bodies);
      const micros = (cpu) => digits((cpu * 1000) / count);
      byEvents.push([count, bodies[0].length, digits(rust), digits(peer), digits(ratio), micros(rust), micros(peer)]);
    }
    const byBytes = [];
    for (const bytes of BYTES) {
      const [rust, peer, ratio] = await measured("/v1/t", [sized(bytes)]);
      byBytes.push([bytes, digits(rust), digits(peer), digits(ratio)]);
    }
    const each = ["Rust, µs an event", "JavaScript, µs an event"];
    return [
      table(["events a batch", "bytes", "Rust, CPU ms", "JavaScript, CPU ms", "ratio", ...each], byEvents),
      table(["bytes of an event", "Rust, CPU ms", "JavaScript, CPU ms", "ratio"], byBytes),
    ].join("\n\n");
  } finally {
    await workers.stop();
    await load.stop();
    await sink.stop();
  }
}

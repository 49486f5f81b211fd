// Latency under a fixed rate of requests: each begins when it is due, also when those before are still unanswered.

import { headers, workloads } from "./cpu.mjs";
import { digits, quantile, table } from "./lib/figures.mjs";
import { startLoad, startSink, startWatch } from "./lib/outside.mjs";
import { startWorkers } from "./lib/workers.mjs";

const NAMES = ["rust", "peer", "floor"];
/** Requests a second, about a third of what one core can do, and the number of requests to each Worker. */
const LOADS = { single: { rate: 200, count: 20_000 }, batch: { rate: 60, count: 3_000 } };
const TURN = 4_000;
const WARM_UP = 5_000;

/** A late answer takes at least this many times the median, and this many milliseconds. */
const LATE = { times: 4, millis: 5 };
/** Late answers in a row that make a pause; one or two quick ones may be among them. */
const PAUSE = { answers: 3, between: 2 };

/** Returns the pauses among latencies, which are in the order in which their requests were due. */
function pausesOf(latencies) {
  const limit = Math.max(LATE.millis, LATE.times * quantile(latencies, 0.5));
  const pauses = [];
  for (const [place, latency] of latencies.entries()) {
    if (latency <= limit) continue;
    const last = pauses.at(-1);
    if (last && place - last.to <= PAUSE.between) last.to = place;
    else pauses.push({ from: place, to: place });
  }
  return pauses.filter(({ from, to }) => to - from + 1 >= PAUSE.answers);
}

/** Returns the latencies of one Worker: all, those outside pauses, and the pauses. */
async function judged({ latencies, due }, watch) {
  const pauses = pausesOf(latencies);
  const isInPause = (place) => pauses.some(({ from, to }) => place >= from && place <= to);
  const lasted = pauses.map(({ from, to }) => {
    const until = Math.max(...latencies.slice(from, to + 1).map((latency, index) => due[from + index] + latency));
    return { from: due[from], until };
  });
  const waits = await watch.waited(lasted);
  return {
    all: latencies,
    rest: latencies.filter((_, place) => !isInPause(place)),
    pauses: lasted.map(({ from, until }, index) => ({ millis: until - from, waited: waits[index] })),
    late: latencies.filter((_, place) => isInPause(place)).length,
  };
}

function rowsOf(label, found) {
  const millis = (what, figures) => [
    `${label}, ${what}`,
    ...figures.map((figure) => digits(figure)),
    digits(figures[0] / figures[1]),
  ];
  const share = (key, at) => found.map((one) => quantile(one[key], at));
  const inPauses = (of) => found.map(({ pauses }) => of(pauses));
  return [
    millis("p50", share("all", 0.5)),
    millis("p99", share("all", 0.99)),
    millis("p99 outside pauses", share("rest", 0.99)),
    [`${label}, pauses`, ...inPauses(({ length }) => length), "–"],
    [`${label}, answers in pauses`, ...found.map(({ late }) => late), "–"],
    millis(
      "longest pause",
      inPauses((pauses) => Math.max(0, ...pauses.map(({ millis }) => millis))),
    ),
    millis(
      "all pauses",
      inPauses((pauses) => pauses.reduce((sum, { millis }) => sum + millis, 0)),
    ),
    millis(
      "of these, without a processor",
      inPauses((pauses) => pauses.reduce((sum, { waited }) => sum + waited, 0)),
    ),
  ];
}

/**
 * Measures all three, in direct delivery, and returns the table.
 *
 * @param {string[]} v8Flags flags of the engine, to find the cause of pauses
 */
export async function latency(v8Flags = []) {
  const sink = await startSink();
  const load = startLoad();
  // What the engine says of itself, and not the Workers' own lines.
  const onLog = v8Flags.length > 0 ? (line) => line.startsWith("{") || console.error(line) : undefined;
  const workers = await startWorkers({ librato: sink.url, names: NAMES, v8Flags, onLog });
  const watch = startWatch(workers.pid);
  const rows = [];
  try {
    for (const [workload, { rate, count }] of Object.entries(LOADS)) {
      const { title, path, bodies } = workloads[workload];
      const target = { path, bodies: bodies(), headers, connections: 32 };
      const taken = NAMES.map(() => ({ latencies: [], due: [] }));
      for (const name of NAMES) {
        await load.aim(name, { ...target, url: workers.urls[name] });
        await load.run(name, WARM_UP, rate);
      }
      for (let turn = 0; turn * TURN * rate < count * 1000; turn += 1) {
        const order = [...NAMES.entries()];
        for (const [place, name] of turn % 2 ? order.toReversed() : order) {
          const { latencies, due } = await load.run(name, TURN, rate);
          taken[place].latencies.push(...latencies);
          taken[place].due.push(...due);
        }
      }
      const found = [];
      for (const one of taken) found.push(await judged(one, watch));
      rows.push(...rowsOf(`${title}, ${rate} a second`, found));
    }
  } finally {
    await workers.stop();
    await watch.stop();
    await load.stop();
    await sink.stop();
  }
  return table(["latency, ms", "Rust", "JavaScript", "floor", "ratio"], rows);
}

// CPU time of a request: the Worker, its peer in JavaScript and the floor, measured alternately.

import { batch, single } from "./lib/events.mjs";
import { digits, median, spread, table } from "./lib/figures.mjs";
import { startLoad, startSink } from "./lib/outside.mjs";
import { cpuOf } from "./lib/usage.mjs";
import { settings, startWorkers } from "./lib/workers.mjs";

/** Concurrent connections. */
const CONNECTIONS = 8;
/** Length of a turn, in milliseconds. */
const TURN = 150;
/** Warm-up of each, in which the engine compiles hot code, in milliseconds. */
const WARM_UP = 2_500;

const authorization = `Basic ${Buffer.from(`${settings.WRITE_KEYS}:`).toString("base64")}`;

/** Requests to send. The headers are those of analytics.js 1.84 in Chrome. */
export const workloads = {
  single: {
    title: "one Track event",
    path: "/v1/t",
    bodies: () => Array.from({ length: 16 }, (_, index) => single(index)),
    targets: { direct: 1.2, durable: 1.2 },
  },
  batch: {
    title: "a batch of 100",
    path: "/v1/b",
    bodies: () => Array.from({ length: 4 }, (_, index) => batch(100, index * 100)),
    targets: { direct: 0.75, durable: 0.75 },
  },
};

export const headers = [
  "Content-Type: text/plain",
  `Authorization: ${authorization}`,
  "Origin: https://www.example.com",
  "Referer: https://www.example.com/",
  "Accept: */*",
  "Accept-Encoding: gzip, deflate, br, zstd",
  "Accept-Language: de-DE,de;q=0.9,en;q=0.8",
  "User-Agent: Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36",
];

/**
 * Measures workloads.
 *
 * @param {object} options
 * @param {string[]} options.chosen of `workloads`
 * @param {string[]} options.deliveries "direct", "durable"
 * @param {number} options.seconds duration of each workload, without the warm-up
 * @param {string[]} [options.names] Workers to compare
 */
export async function measure({ chosen, deliveries, seconds, names = ["rust", "peer", "floor"] }) {
  const sink = await startSink();
  const load = startLoad();
  const results = [];
  try {
    for (const delivery of deliveries) {
      const workers = await startWorkers({ librato: sink.url, names, durable: delivery === "durable" });
      try {
        for (const workload of chosen) {
          const { path, bodies } = workloads[workload];
          const turns = await byTurns({ path, bodies: bodies(), delivery, seconds, names, workers, load, sink });
          results.push({ workload, delivery, turns });
        }
      } finally {
        await workers.stop();
      }
    }
  } finally {
    await load.stop();
    await sink.stop();
  }
  return results;
}

/**
 * Sends the same requests to Workers in turns.
 *
 * @returns {Promise<Record<string, { cpu: number, requests: number, bytes: number }[]>>} the turns of each: CPU
 *   milliseconds a request, requests, and bytes of a request to the sink
 */
export async function byTurns({ path, bodies, delivery, seconds, names, workers, load, sink, warmUp = WARM_UP }) {
  const target = { path, bodies, headers, connections: CONNECTIONS };
  for (const name of names) await load.aim(name, { ...target, url: workers.urls[name] });
  const turn = async (name, millis) => {
    const before = cpuOf(workers.pid);
    const { requests } = await load.run(name, millis);
    const cpu = (cpuOf(workers.pid) - before) / requests;
    const arrived = await sink.counted();
    // More than 300 gauges take more than one request.
    if (delivery === "direct" ? arrived.requests < requests : arrived.requests > 0) {
      throw new Error(`${name}: ${requests} requests made ${arrived.requests} to the sink`);
    }
    return { cpu, requests, bytes: arrived.bytes / requests };
  };
  for (const name of names) await turn(name, warmUp);
  const rounds = Math.max(3, Math.round((seconds * 1000) / (TURN * names.length)));
  const turns = Object.fromEntries(names.map((name) => [name, []]));
  for (let round = 0; round < rounds; round += 1) {
    // The order is reversed in each round.
    for (const name of round % 2 ? names.toReversed() : names) turns[name].push(await turn(name, TURN));
  }
  return turns;
}

/** Returns the ratios by round, since a machine that is slower for a while is so for both. */
export const ratios = (turns, one, other) => turns[one].map(({ cpu }, round) => cpu / turns[other][round].cpu);

export const cpus = (turns, name) => turns[name].map(({ cpu }) => cpu);

/** Returns the table of CPU milliseconds a request, and the rows of the summary. */
export function report(results) {
  const rows = results.map(({ workload, delivery, turns }) => {
    const over = (name) => median(cpus(turns, name)) - median(cpus(turns, "floor"));
    return [
      `${workloads[workload].title}, ${delivery}`,
      ...["rust", "peer", "floor"].map((name) => spread(cpus(turns, name))),
      spread(ratios(turns, "rust", "peer")),
      digits(over("rust") / over("peer")),
      turns.rust.reduce((sum, { requests }) => sum + requests, 0),
    ];
  });
  const head = ["CPU ms a request", "Rust", "JavaScript", "floor", "ratio", "above the floor", "requests of each"];
  const text = `${table(head, rows)}\n"Above the floor" is the ratio of what the two cost beyond it.`;
  const summary = results.map(({ workload, delivery, turns }) => {
    const ratio = ratios(turns, "rust", "peer");
    return {
      what: `${workloads[workload].title}, ${delivery}: CPU against JavaScript`,
      figure: spread(ratio),
      value: median(ratio),
      target: workloads[workload].targets[delivery],
    };
  });
  return { text, summary };
}

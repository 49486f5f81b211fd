// V8's CPU profile of a Worker under load, through workerd's inspector.

import { writeFileSync } from "node:fs";
import { headers, workloads } from "./cpu.mjs";
import { table } from "./lib/figures.mjs";
import { Inspector } from "./lib/inspector.mjs";
import { startLoad, startSink } from "./lib/outside.mjs";
import { startWorkers } from "./lib/workers.mjs";

/** Sampling interval, in microseconds. */
const INTERVAL = 100;
const WARM_UP = 3_000;
const MOST_ROWS = 45;

/**
 * @param {object} options
 * @param {string} options.workload
 * @param {string} options.delivery
 * @param {string} options.name "rust", "peer" or "floor"
 * @param {number} options.seconds
 * @param {string} [options.file] file for the profile, which Chrome's developer tools can open
 */
export async function profile({ workload, delivery, name, seconds, file }) {
  const sink = await startSink();
  const load = startLoad();
  const workers = await startWorkers({
    librato: sink.url,
    names: [name],
    durable: delivery === "durable",
    inspected: true,
  });
  try {
    const inspector = await Inspector.of(workers.inspector, name);
    const { path, bodies } = workloads[workload];
    await load.aim(name, { path, bodies: bodies(), headers, connections: 8, url: workers.urls[name] });
    await load.run(name, WARM_UP);
    await inspector.send("Profiler.enable");
    await inspector.send("Profiler.setSamplingInterval", { interval: INTERVAL });
    await inspector.send("Profiler.start");
    const { requests } = await load.run(name, seconds * 1000);
    const { profile: taken } = await inspector.send("Profiler.stop");
    inspector.close();
    if (file) writeFileSync(file, JSON.stringify(taken));
    return `${name}, ${workloads[workload].title}, ${delivery}: ${requests} requests\n\n${summary(taken, requests)}`;
  } finally {
    await workers.stop();
    await load.stop();
    await sink.stop();
  }
}

function summary({ nodes, samples, timeDeltas }, requests) {
  const byId = new Map(nodes.map((node) => [node.id, node]));
  const functions = new Map();
  const groups = new Map();
  let total = 0;
  samples.forEach((id, index) => {
    const micros = timeDeltas[index];
    const { functionName, url, lineNumber, columnNumber } = byId.get(id).callFrame;
    if (functionName === "(idle)" || functionName === "(root)") return;
    total += micros;
    const place = url ? `${url.split("/").at(-1)}:${lineNumber + 1}:${columnNumber + 1}` : "";
    add(functions, `${functionName || "(anonymous)"}\t${place}`, micros);
    add(groups, groupOf(functionName, url), micros);
  });
  const share = (micros) => [`${((100 * micros) / total).toFixed(1)} %`, (micros / requests).toFixed(2)];
  const sorted = (map) => [...map].sort(([, one], [, other]) => other - one);
  const rows = sorted(functions)
    .slice(0, MOST_ROWS)
    .map(([key, micros]) => [...share(micros), ...key.split("\t")]);
  return [
    table(
      ["share", "µs a request", "group"],
      sorted(groups).map(([group, micros]) => [...share(micros), group]),
    ),
    table(["self", "µs a request", "function", "where"], rows),
  ].join("\n\n");
}

const add = (map, key, micros) => map.set(key, (map.get(key) ?? 0) + micros);

function groupOf(name, url) {
  if (name === "(garbage collector)") return "garbage collector";
  if (name === "(program)") return "(program): the engine and workerd outside any function";
  if (url.startsWith("wasm:") || url.includes(".wasm")) return "WebAssembly";
  return url ? "JavaScript of the Worker" : "functions of the platform";
}

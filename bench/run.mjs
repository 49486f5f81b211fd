// `npm run bench`, after the build: runs the parts that the command line names, or all, and prints a summary.

import { parseArgs } from "node:util";
import { main, Problem, step } from "../scripts/lib/console.mjs";
import { NOTABLE, sizes } from "./budget.mjs";
import { core } from "./core.mjs";
import { measure, report, workloads } from "./cpu.mjs";
import { growth } from "./growth.mjs";
import { latency } from "./latency.mjs";
import { ledger } from "./ledger.mjs";
import { table } from "./lib/figures.mjs";
import { memory } from "./memory.mjs";
import { profile } from "./profile.mjs";
import { scale } from "./scale.mjs";
import { startup } from "./startup.mjs";
import { throughput } from "./throughput.mjs";
import { versions } from "./versions.mjs";

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    seconds: { type: "string", default: "16" },
    worker: { type: "string", default: "rust" },
    save: { type: "string" },
    v8: { type: "string", default: "" },
  },
});
const seconds = Number(values.seconds);
const v8Flags = values.v8.split(" ").filter(Boolean);

/** Returns the given words that are known, or all. */
function chosen(known) {
  const found = known.filter((word) => positionals.includes(word));
  return found.length > 0 ? found : known;
}

const CPU_WORDS = [...Object.keys(workloads), "direct", "durable"];
const cpu = { chosen: chosen(Object.keys(workloads)), deliveries: chosen(["direct", "durable"]) };

/** The parts: each prints its tables and returns its rows of the summary. */
const PARTS = {
  cpu: { title: "CPU time of a request", work: async () => report(await measure({ ...cpu, seconds })) },
  latency: { title: "latency", work: async () => ({ text: await latency(v8Flags) }) },
  growth: { title: "growth", work: async () => ({ text: await growth() }) },
  core: { title: "the native core", work: core },
  startup: { title: "start-up", work: startup },
  memory: { title: "memory over 100,000 requests", work: memory },
  ledger: { title: "a full ledger", work: ledger },
  throughput: { title: "throughput of durable delivery", work: throughput },
  scale: { title: "a day of up to a billion events, simulated", work: scale },
  size: { title: "size", work: async () => size() },
};

function size() {
  const { script, wasm, total } = sizes();
  return {
    text: table(["gzip -9, bytes", "index.js", "index_bg.wasm", "together"], [["build/", script, wasm, total]]),
    summary: [{ what: "deployed artefact, gzip -9, bytes", figure: total, value: total, target: NOTABLE }],
  };
}

async function profiles() {
  for (const delivery of chosen(["direct", "durable"]).slice(0, positionals.includes("durable") ? 2 : 1)) {
    for (const workload of cpu.chosen) {
      const wish = { workload, delivery, seconds, name: values.worker, file: values.save };
      console.log(`\n${await profile(wish)}`);
    }
  }
}

await main(async () => {
  const known = [...Object.keys(PARTS), ...CPU_WORDS, "profile"];
  const unknown = positionals.find((word) => !known.includes(word));
  if (unknown) throw new Problem(`There is no "${unknown}". There are: ${known.join(", ")}.`);
  if (positionals.includes("profile")) return profiles();

  const names = Object.keys(PARTS).filter((name) => positionals.includes(name));
  if (names.length === 0) names.push(...(positionals.length > 0 ? ["cpu"] : Object.keys(PARTS)));
  const summary = [];
  for (const name of names) {
    const { title, work } = PARTS[name];
    const made = await step(title, work);
    console.log(`\n${made.text}\n`);
    summary.push(...(made.summary ?? []));
  }
  const rows = summary.map(({ what, figure, value, target, means }) => [
    what,
    figure,
    means ?? `at most ${target}`,
    value <= target ? "✓" : "✗",
  ]);
  if (rows.length > 0) console.log(`${table(["against the targets", "median (quarters)", "target", ""], rows)}\n`);
  console.log(await versions());
});

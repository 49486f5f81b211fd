// Versions and hardware of a measurement.

import { readFileSync } from "node:fs";
import { cpus, release } from "node:os";
import { ask } from "../scripts/lib/process.mjs";
import { lockedVersion } from "../scripts/lib/setup.mjs";
import { startWorkers } from "./lib/workers.mjs";

const versionOf = (name) =>
  JSON.parse(readFileSync(new URL(`../node_modules/${name}/package.json`, import.meta.url), "utf8")).version;

/** Returns them in one line. */
export async function versions() {
  const [{ model }] = cpus();
  return [
    `workerd ${versionOf("workerd")} (V8 ${await engine()})`,
    `wrangler ${versionOf("wrangler")}`,
    ask("rustc", "--version"),
    `worker ${lockedVersion("worker")}`,
    `wasm-bindgen ${lockedVersion("wasm-bindgen")}`,
    `binaryen ${versionOf("binaryen")}`,
    `node ${process.versions.node}`,
    `${cpus().length} × ${model.trim()}`,
    `${process.platform} ${release()}`,
  ].join(", ");
}

/** Returns the version of V8 in workerd, which only its inspector has. */
async function engine() {
  const workers = await startWorkers({ librato: "http://127.0.0.1:1", names: ["floor"], inspected: true });
  try {
    const told = await (await fetch(`http://${workers.inspector}/json/version`)).json();
    return told["V8-Version"] ?? "unknown";
  } catch {
    return "unknown";
  } finally {
    await workers.stop();
  }
}

// A Collector, as its recipe sets it up but for the backend behind it, and with what the recipe warns of.

import assert from "node:assert/strict";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { compiledCommand } from "../../../scripts/lib/compiled.mjs";
import { freePort } from "../../e2e/lib/net.mjs";
import { points, sums } from "../../e2e/lib/otlp.mjs";
import { decoded } from "../../e2e/lib/receivers.mjs";
import { recipe } from "../../e2e/lib/recipe.mjs";
import { faultsWithAnswers } from "../../e2e/lib/through.mjs";
import { assertLost, assertSums, startProgram, testStore } from "../lib/stores.mjs";

const how = recipe("collector");
const PATH = new URL(how.settings.OTLP_URL).pathname;
const headers = {
  "content-type": "application/x-protobuf",
  authorization: decodeURIComponent(how.headers.replace("Authorization=", "")),
};

/**
 * Starts one with the recipe's configuration and a second one, which replaces the pipeline's end.
 *
 * @param {(folder: string) => { exporters: object, processors?: object }} end
 */
function start(end) {
  const command = async ({ folder, port }) => {
    const { exporters, processors = {} } = end(folder);
    const metrics = { processors: Object.keys(processors), exporters: Object.keys(exporters) };
    const replaced = {
      receivers: { otlp: { protocols: { http: { endpoint: `127.0.0.1:${port}` } } } },
      ...{ processors, exporters },
      service: { pipelines: { metrics }, telemetry: { metrics: { level: "none" } } },
    };
    const files = { recipe: join(folder, "recipe.yaml"), replaced: join(folder, "replaced.yaml") };
    await writeFile(files.recipe, how.configuration);
    // JSON is YAML, too.
    await writeFile(files.replaced, JSON.stringify(replaced));
    return [...compiledCommand("collector"), ...Object.values(files).map((file) => `--config=${file}`)];
  };
  const isReady = async (url) => (await fetch(url + PATH, { method: "POST", headers })).ok;
  return startProgram("Collector", command, isReady);
}

const fileIn = (folder) => join(folder, "points.jsonl");

/** One that writes what it gets into a file, a request a line. */
async function startWithFile() {
  const { folder, url, stop } = await start((folder) => ({ exporters: { file: { path: fileIn(folder) } } }));
  return {
    ...{ url: url + PATH, headers: how.headers, stop },
    async sums(names) {
      const text = await readFile(fileIn(folder), "utf8");
      // The last line may be half written.
      const lines = text
        .slice(0, text.lastIndexOf("\n") + 1)
        .split("\n")
        .filter(Boolean);
      const all = lines.flatMap((line) => points(JSON.parse(line)));
      return sums(all.filter(({ name }) => names.includes(name)));
    },
  };
}

testStore("Collector with the file exporter: delta", {
  profile: "delta",
  start: startWithFile,
  through: "exact, but that it keeps both where an answer was lost",
  async assertThrough(store, { expected, came }) {
    const twice = decoded(came.filter(({ turn }) => turn.cut === "after").map(({ body }) => body)).flatMap(points);
    assert.ok(twice.length > 0);
    const all = [...expected].map(([key, value]) => ({ name: key.split(" ")[0], source: key.split(" ")[1], value }));
    await assertSums(store, sums([...all, ...twice]));
  },
});

/** One that adds up, for whom comes to fetch. */
async function startWithAddition() {
  const scraped = await freePort();
  const exporter = { endpoint: `127.0.0.1:${scraped}`, metric_expiration: "1h" };
  const { url, stop } = await start(() => ({
    processors: { deltatocumulative: {} },
    exporters: { prometheus: exporter },
  }));
  return {
    ...{ url: url + PATH, headers: how.headers, stop },
    async sums(names) {
      const text = await (await fetch(`http://127.0.0.1:${scraped}/metrics`)).text();
      const byStored = new Map(names.map((name) => [name.replace(/[-.]/g, "_"), name]));
      const series = [...text.matchAll(/^(\w+?)(?:_total)?\{.*?\bsource="(.*?)".*?\} (\S+)$/gm)];
      const all = series.map(([, stored, source, value]) => ({
        name: byStored.get(stored),
        source,
        value: Number(value),
      }));
      return sums(all.filter(({ name }) => name));
    },
  };
}

// A lost answer is left out: what comes again is older than what has come since.
testStore("Collector with deltatocumulative: delta", {
  profile: "delta",
  start: startWithAddition,
  faults: faultsWithAnswers,
  isOneSecondShared: false,
  late: "taken with a 200 and dropped",
  assertLate: assertLost,
});

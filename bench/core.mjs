// Native benchmarks of the core: runs `benches/core.rs` and `tests/allocations.rs`, and reads their results.

import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { inProject, run } from "../scripts/lib/process.mjs";
import { median, spread, table } from "./lib/figures.mjs";

const GROUP = join(process.env.CARGO_TARGET_DIR ?? inProject("target"), "criterion/batch of 100");

/** Returns the median of each run of a benchmark, in microseconds. */
function turnsOf(name) {
  return readdirSync(GROUP)
    .filter((folder) => folder.startsWith(`${name}-`))
    .sort()
    .map((folder) => {
      const estimates = JSON.parse(readFileSync(join(GROUP, folder, "new/estimates.json"), "utf8"));
      return estimates.median.point_estimate / 1000;
    });
}

/** Runs both and returns a table. */
export async function core() {
  await run(["cargo", "bench", "--locked", "--bench", "core"]);
  const [deliver, skip] = [turnsOf("deliver"), turnsOf("skip")];
  const ratio = deliver.map((micros, turn) => micros / skip[turn]);
  const said = await run(["cargo", "test", "--locked", "--test", "allocations", "--", "--nocapture"]).catch(
    ({ message }) => message,
  );
  const allocations = Number(/: (\S+) an event$/m.exec(said)?.[1]);
  return {
    text: table(
      ["native core, a batch of 100, µs", "parse to request", "`IgnoredAny`", "ratio"],
      [["median of the turns", spread(deliver), spread(skip), spread(ratio)]],
    ),
    summary: [
      { what: "native core against `serde_json` skipping", figure: spread(ratio), value: median(ratio), target: 2.2 },
      { what: "heap allocations an event, in the core", figure: allocations, value: allocations, target: 3 },
    ],
  };
}

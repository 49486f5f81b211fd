// Prometheus, as its recipe sets it up, and as those would who leave a part of that out.

import assert from "node:assert/strict";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { compiledCommand } from "../../../scripts/lib/compiled.mjs";
import { askedSums } from "../../e2e/lib/receivers.mjs";
import { recipe } from "../../e2e/lib/recipe.mjs";
import { faultsWithAnswers } from "../../e2e/lib/through.mjs";
import { assertLost, assertSums, startProgram, testStore } from "../lib/stores.mjs";

const how = recipe("prometheus");
const [asGauges, asDeltas] = how.commands("prometheus");
const NO_WINDOW = "";

async function start({ flags, configuration = how.configuration, over = "sum_over_time", total = "" }) {
  const query = (metric) => how.query(metric).replace("sum_over_time", over);
  const stored = (name) => name.replace(/[-.]/g, "_").replace(/_count$/, `_count${total}`);
  const file = (folder) => join(folder, "prometheus.yml");
  const command = async ({ folder, port }) => {
    await writeFile(file(folder), configuration);
    return [
      ...compiledCommand("prometheus"),
      ...flags.map((flag) => flag.replace("=prometheus.yml", `=${file(folder)}`)),
      ...[`--web.listen-address=127.0.0.1:${port}`, `--storage.tsdb.path=${join(folder, "data")}`],
      "--web.enable-lifecycle",
    ];
  };
  const { folder, url, stop } = await startProgram(
    "Prometheus",
    command,
    async (url) => (await fetch(`${url}/-/ready`)).ok,
  );
  return {
    url: url + new URL(how.settings.OTLP_URL).pathname,
    sums: (names) => askedSums(url, query, names, stored),
    /** Reads another configuration while it runs. */
    async reload(configuration) {
      await writeFile(file(folder), configuration);
      const { ok } = await fetch(`${url}/-/reload`, { method: "POST" });
      assert.ok(ok);
    },
    stop,
  };
}

testStore("Prometheus: gauge", { profile: how.settings.OTLP_PROFILE, start: () => start({ flags: asGauges }) });

testStore("Prometheus with native delta ingestion: delta", {
  profile: "delta",
  start: () => start({ flags: asDeltas, total: "_total" }),
});

// A lost answer is left out: what is stored already is refused when it comes again, if newer points have come since.
testStore("Prometheus without a window: gauge", {
  profile: "gauge",
  start: () => start({ flags: asGauges, configuration: NO_WINDOW }),
  faults: faultsWithAnswers,
  isOneSecondShared: false,
  late: "refused and set aside, and exact once the window is set and all is replayed",
  async assertLate(store, { expected, letters, platform, way }) {
    assert.ok(letters.length > 0);
    for (const { message } of letters) assert.match(message, /out of order sample/);
    assert.deepEqual(
      await platform.keep(letters.map((letter) => JSON.stringify(letter))),
      letters.map(() => "ack"),
    );
    await store.reload(how.configuration);
    way.play([]);
    let replayed = 0;
    // All that are there at most 500 at a time.
    while (replayed < letters.length) {
      const { changed } = (await platform.operator("POST", "/set-aside/replay", { all: true })).json();
      assert.ok(changed > 0);
      replayed += changed;
    }
    const messages = platform.taken();
    assert.deepEqual(
      await platform.consume(messages),
      messages.map(() => "ack"),
    );
    assert.deepEqual(platform.letters(), []);
    await assertSums(store, expected);
  },
});

// What is added up stands in the newest point.
testStore("Prometheus with deltatocumulative: delta", {
  profile: "delta",
  start: () =>
    start({
      flags: [...asGauges, "--enable-feature=otlp-deltatocumulative"],
      ...{ over: "last_over_time", total: "_total" },
    }),
  faults: faultsWithAnswers,
  isOneSecondShared: false,
  late: "taken with a 200 and dropped",
  assertLate: assertLost,
});

// VictoriaMetrics in the version that stores delta sums, too.

import { compiledCommand } from "../../../scripts/lib/compiled.mjs";
import { startVictoriaMetrics } from "../../e2e/lib/receivers.mjs";
import { testStore } from "../lib/stores.mjs";

for (const profile of ["gauge", "delta"]) {
  testStore(`VictoriaMetrics: ${profile}`, {
    profile,
    start: () => startVictoriaMetrics(compiledCommand("victoria-metrics")[0]),
  });
}

// `npm run bench`: what everything costs, against the targets. `docs/performance.md` tells which words it takes.

import { buildWorker } from "./lib/build.mjs";
import { main } from "./lib/console.mjs";
import { pass } from "./lib/process.mjs";
import { setup } from "./lib/setup.mjs";

await main(async () => {
  await buildWorker(await setup());
  if (!(await pass(["node", "bench/run.mjs", ...process.argv.slice(2)]))) process.exitCode = 1;
});

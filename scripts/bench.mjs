// `npm run bench`: what everything costs, against the targets. `docs/performance.md` tells which words it takes.

import { buildBare, buildWorker } from "./lib/build.mjs";
import { main } from "./lib/console.mjs";
import { pass } from "./lib/process.mjs";
import { setup } from "./lib/setup.mjs";

await main(async () => {
  const words = process.argv.slice(2);
  const tools = await setup();
  await buildWorker(tools);
  if (words.length === 0 || words.includes("startup")) await buildBare(tools);
  if (!(await pass(["node", "bench/run.mjs", ...words]))) process.exitCode = 1;
});

// `npm run deploy`: creates the queues that `wrangler.toml` names and the account lacks, and deploys. What Wrangler does
// not create by itself is only the queues; it builds by the command in `wrangler.toml`.

import { readFileSync } from "node:fs";
import { main, Problem } from "./lib/console.mjs";
import { ask, inProject, pass } from "./lib/process.mjs";
import { setup } from "./lib/setup.mjs";

const queues = () => {
  const named = readFileSync(inProject("wrangler.toml"), "utf8").matchAll(/^(?:queue|dead_letter_queue) = "([^"]+)"/gm);
  return new Set([...named].map(([, name]) => name));
};

await main(async () => {
  await setup();
  for (const name of queues()) {
    if (ask("wrangler", "queues", "info", name) !== undefined) continue;
    if (!(await pass(["wrangler", "queues", "create", name]))) {
      throw new Problem(`The queue "${name}" could not be created. Wrangler says why above.`);
    }
  }
  if (!(await pass(["wrangler", "deploy", ...process.argv.slice(2)]))) throw new Problem("It was not deployed.");
});

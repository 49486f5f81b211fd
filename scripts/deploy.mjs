// `npm run deploy`: creates the queues that `wrangler.toml` names and the account lacks, and deploys. What Wrangler does
// not create by itself is only the queues; it builds by the command in `wrangler.toml`.

import { readFileSync } from "node:fs";
import { stripVTControlCharacters } from "node:util";
import { main, Problem, step } from "./lib/console.mjs";
import { inProject, pass, run } from "./lib/process.mjs";
import { setup } from "./lib/setup.mjs";

const queues = () => {
  const named = readFileSync(inProject("wrangler.toml"), "utf8").matchAll(/^(?:queue|dead_letter_queue) = "([^"]+)"/gm);
  return new Set([...named].map(([, name]) => name));
};

/** What Wrangler says where there is no such queue, and where there is one of that name. */
const MISSING = /Queue "[^"]+" does not exist/;
const TAKEN = /already (taken|exists)|\[code: 11009\]/;

const HINT = '"npx wrangler login" logs in; CLOUDFLARE_ACCOUNT_ID chooses one of several accounts.';

/** A command of Wrangler's on a queue: undefined, or what it said as it failed. It asks nothing, for nobody would see it. */
async function refused(command, name) {
  try {
    await run(["wrangler", "queues", command, name]);
    return undefined;
  } catch (error) {
    if (error.log === undefined) throw error;
    return stripVTControlCharacters(error.log).trim();
  }
}

/** Creates a queue unless it is there. Only "there is none" means that: a failure of any other kind ends all. */
async function ensure(name) {
  const unknown = await refused("info", name);
  if (unknown === undefined) return;
  const says = (text, pattern) => pattern.test(text.replace(/\s+/g, " "));
  if (!says(unknown, MISSING))
    throw new Problem(`Wrangler cannot tell of the queue "${name}":\n\n${unknown}\n\n${HINT}`);
  const failure = await refused("create", name);
  // Somebody else was faster, which is as good.
  if (failure === undefined || says(failure, TAKEN)) return;
  throw new Problem(`The queue "${name}" could not be created:\n\n${failure}\n\n${HINT}`);
}

await main(async () => {
  await setup();
  for (const name of queues()) await step(`queue ${name}`, () => ensure(name));
  if (!(await pass(["wrangler", "deploy", ...process.argv.slice(2)]))) throw new Problem("It was not deployed.");
});

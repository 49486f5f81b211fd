// `npm run build`, and the build command of `wrangler.toml`.

import { buildWorker } from "./lib/build.mjs";
import { main } from "./lib/console.mjs";
import { setup } from "./lib/setup.mjs";

await main(async () => buildWorker(await setup()));

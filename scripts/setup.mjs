// `npm run deploy` and CI: installs what is missing, and builds nothing.

import { main } from "./lib/console.mjs";
import { setup } from "./lib/setup.mjs";

await main(setup);

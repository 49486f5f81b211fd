// Before `npm start`, whose command only a shell of Unix understands: on Windows, this says what to do instead.

import { main } from "./lib/console.mjs";

await main(() => {});

// The libraries that need no compiler, while Librato is down.

import { after, before } from "node:test";
import { startChromium } from "../lib/chromium.mjs";
import { browserClients } from "./browser.mjs";
import { nodeClients } from "./node.mjs";
import { outages } from "./outages.mjs";
import { pythonClients } from "./python.mjs";

let browser;

before(async () => {
  browser = await startChromium();
});
after(() => browser?.close());

outages([...browserClients, ...nodeClients, ...pythonClients], () => browser);

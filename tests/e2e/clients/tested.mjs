// The one place that says which client is tested, in which version, and how. The table of clients is compared with it.

import { browserClients } from "./browser.mjs";
import { fixtures, recordings } from "./fixtures.mjs";
import { goClients } from "./go.mjs";
import { javaClients } from "./java.mjs";
import { nodeClients } from "./node.mjs";
import { pythonClients } from "./python.mjs";
import { rustClients } from "./rust.mjs";

const named = (clients) => clients.map(({ client: name, version }) => ({ name, version }));

/**
 * The clients, by what the table calls it.
 *
 * @type {Record<string, { name: string, version: string }[]>}
 */
export const tested = {
  /** The library itself runs, by `npm test`. */
  executed: [...browserClients, ...nodeClients, ...pythonClients],
  /** The same, by `npm test -- compiled`. */
  "executed, compiled": [...goClients, ...javaClients, ...rustClients],
  /** A request as the running library has sent it, byte for byte. */
  recorded: named(recordings),
  /** A request as the library's source puts it together. */
  "request built from its source": named(fixtures),
};

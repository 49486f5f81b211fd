// The libraries for browsers: from npm, and from the Worker itself by Segment's own snippet.

import * as snippet5 from "@segment/snippet";
import * as snippet4 from "snippet-4";
import { writeKey } from "../lib/worker.mjs";
import { bundle, html, Visit } from "./site.mjs";
import { installedVersion } from "./versions.mjs";

/** What a program in `pages/` becomes, and with which settings it is started. */
const bundled = (program, alias) => async () => ({
  document: html('<script src="script.js"></script>'),
  script: await bundle({ program, alias }),
  started: false,
});

/** Segment's own snippet, with nothing changed but the host and the write key. */
const bySnippet = (snippet) => async (edge, options) => ({
  document: html(
    `<script>${snippet.min({ host: new URL(edge).host, apiKey: writeKey, page: false, load: options ?? true })}</script>`,
    '<script src="script.js"></script>',
  ),
  script: await bundle({ program: "snippet" }),
  started: true,
});

/**
 * @param {object} client
 * @param {string} client.id
 * @param {string} client.name as the README has it
 * @param {string} client.package the package whose version counts
 * @param {Function} client.page
 * @param {string[]} client.routes where its calls arrive when all goes well, sorted
 * @param {object} [client.options] what the library is loaded with
 * @param {"all" | "few" | "none"} [client.retries] with `meets` and `heeds`, which `outages.mjs` explains
 */
function inBrowser(definition) {
  const { package: of, page, options, ...client } = definition;
  return {
    retries: "all",
    ...client,
    version: installedVersion(of),
    /** The same under another name, and with other options. */
    as: (id, changes) => inBrowser({ ...definition, id, ...changes }),
    /** Opens a page with the library, to a new visitor or to one that has been there before. */
    async open({ browser, site, edge }, visitor = Visit.by(browser)) {
      const { document, script, started } = await page(edge, options);
      const visit = await visitor;
      await visit.open(site.put(client.id, document, script), edge);
      if (!started) {
        await visit.page.evaluate((settings) => window.start(settings), { edge, writeKey, options });
      }
      return visit;
    },
    /** Has a page make these calls. */
    async send(world, calls) {
      const visit = await this.open(world);
      await visit.make(calls);
      return visit;
    },
  };
}

/** What analytics.js is loaded with to deliver in another way than each event at once. */
export const delivering = (deliveryStrategy) => ({ integrations: { "Segment.io": { deliveryStrategy } } });
// Up to 1.83 a batch is tried ten times, once in each `timeout`: so many seconds must outlast the outage by far.
const inBatches = delivering({ strategy: "batching", config: { size: 5, timeout: 2_500 } });

const each = ["/v1/p", "/v1/p", "/v1/t", "/v1/t", "/v1/t"];
const eachInFull = ["/v1/page", "/v1/page", "/v1/track", "/v1/track", "/v1/track"];
const hightouch = {
  name: "Hightouch, JavaScript",
  package: "@ht-sdks/events-sdk-js-browser",
  page: bundled("hightouch"),
  // It does not look at the answer.
  retries: "none",
};
const rudderstack = {
  name: "RudderStack, JavaScript",
  package: "@rudderstack/analytics-js",
  page: bundled("rudderstack"),
};

/** analytics.js in both of its strategies. */
const analyticsJs = (id, client) => [
  inBrowser({ id, name: "analytics.js", routes: each, meets: 2, heeds: client.retries !== "none", ...client }),
  inBrowser({ id: `${id}-batching`, name: "analytics.js", routes: ["/v1/b"], meets: 2, options: inBatches, ...client }),
];

export const browserClients = [
  ...analyticsJs("ajs-snippet-5", { package: "@segment/analytics-next", page: bySnippet(snippet5) }),
  // It loads the same library, which has to find host and write key in the script's URL.
  inBrowser({
    id: "ajs-snippet-4",
    name: "analytics.js",
    package: "@segment/analytics-next",
    page: bySnippet(snippet4),
    routes: each,
    meets: 2,
    heeds: true,
  }),
  ...["@segment/analytics-next", "analytics-next-183"].flatMap((of) =>
    analyticsJs(`ajs-${installedVersion(of).replaceAll(".", "-")}`, {
      package: of,
      page: bundled("analytics-next", { "analytics-next": of }),
    }),
  ),
  ...analyticsJs("ajs-1-70-0", {
    package: "analytics-next-170",
    page: bundled("analytics-next", { "analytics-next": "analytics-next-170" }),
    // It does not look at the answer.
    retries: "none",
  }),
  inBrowser({
    id: "classic",
    name: "analytics.js, classic",
    package: "@segment/analytics.js-core",
    page: bundled("classic"),
    routes: each,
    meets: 2,
  }),
  inBrowser({
    id: "customerio",
    name: "Customer.io, JavaScript",
    package: "@customerio/cdp-analytics-browser",
    page: bundled("customerio"),
    routes: each,
    // Like analytics.js in its 1.70, which it was made of, it does not look at the answer.
    retries: "none",
  }),
  inBrowser({ ...hightouch, id: "hightouch", routes: eachInFull }),
  inBrowser({ ...hightouch, id: "hightouch-batching", routes: ["/v1/batch"], options: { batching: true } }),
  inBrowser({
    ...rudderstack,
    id: "rudderstack",
    routes: eachInFull,
    meets: 2,
  }),
  inBrowser({
    ...rudderstack,
    id: "rudderstack-batch",
    routes: ["/v1/batch"],
    meets: 2,
    options: { queueOptions: { batch: { enabled: true, maxItems: 5, flushInterval: 1_000 } } },
  }),
  inBrowser({
    ...rudderstack,
    id: "rudderstack-beacon",
    routes: ["/beacon/v1/batch"],
    options: { useBeacon: true, beaconQueueOptions: { maxItems: 5, flushQueueInterval: 500 } },
    // A beacon tells nobody what became of it.
    retries: "none",
  }),
];

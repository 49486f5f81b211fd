// The libraries for Node.

import { Analytics as CustomerIo } from "@customerio/cdp-analytics-node";
import RudderAnalytics from "@rudderstack/rudder-sdk-node";
import { Analytics } from "@segment/analytics-node";
import LegacyAnalytics from "analytics-node";
import { Analytics as Analytics2 } from "analytics-node-2";
import { writeKey } from "../lib/worker.mjs";
import { GaveUp } from "./calls.mjs";
import { installedVersion } from "./versions.mjs";

/** Milliseconds; so few that no test waits for them. */
const FLUSH_INTERVAL = 100;

/** Segment's library of today, and of before. */
function segment(Library, settings) {
  return ({ host }, calls) => {
    const analytics = new Library({ writeKey, host, flushInterval: FLUSH_INTERVAL, ...settings });
    const errors = [];
    analytics.on("error", (error) => errors.push(error));
    for (const { type, ...call } of calls) analytics[type](call);
    return {
      async finish() {
        await analytics.closeAndFlush({ timeout: 120_000 });
        if (errors.length > 0) throw new GaveUp(errors);
      },
    };
  };
}

/** Segment's first one, and RudderStack's, which was made of it. */
function legacy(Library, settings) {
  return ({ host }, calls) => {
    const handled = { errorHandler: () => {}, flushInterval: FLUSH_INTERVAL, ...settings };
    const analytics = new Library(writeKey, { host, ...handled });
    const made = calls.map(
      ({ type, timestamp, ...call }) =>
        new Promise((done) => {
          analytics[type]({ ...call, ...(timestamp && { timestamp: new Date(timestamp) }) }, done);
        }),
    );
    return {
      async finish() {
        const errors = (await Promise.all(made)).filter(Boolean);
        if (errors.length > 0) throw new GaveUp(errors);
      },
    };
  };
}

/**
 * @param {string} id
 * @param {string} name as the README has it
 * @param {string} of the package whose version counts
 * @param {Function} send
 * @param {object} [more] of `retries`, `meets` and `heeds`, which `outages.mjs` explains
 */
const inNode = (id, name, of, send, more) => ({
  id,
  name,
  version: installedVersion(of),
  send,
  retries: "all",
  ...more,
});

const rudderstack = legacy(RudderAnalytics, { logLevel: "none" });

const few = { retries: "few" };

export const nodeClients = [
  inNode("node-3", "analytics-node", "@segment/analytics-node", segment(Analytics), { meets: 2, heeds: true }),
  inNode("node-2", "analytics-node", "analytics-node-2", segment(Analytics2), few),
  inNode("node-2-patient", "analytics-node", "analytics-node-2", segment(Analytics2, { maxRetries: 60 }), {
    meets: 6,
  }),
  inNode("node-legacy", "analytics-node, legacy", "analytics-node", legacy(LegacyAnalytics), few),
  inNode(
    "node-legacy-patient",
    "analytics-node, legacy",
    "analytics-node",
    legacy(LegacyAnalytics, { retryCount: 10 }),
    { meets: 3 },
  ),
  inNode("node-customerio", "Customer.io, Node", "@customerio/cdp-analytics-node", segment(CustomerIo), few),
  inNode("node-rudderstack", "RudderStack, Node", "@rudderstack/rudder-sdk-node", rudderstack, { heeds: true }),
];

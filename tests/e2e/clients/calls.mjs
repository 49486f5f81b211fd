// What every client is told to send, and what has to come of it. Each client has metrics of its own, so all of them
// can send to the same Librato at the same time.

import assert from "node:assert/strict";
import { userId } from "../lib/events.mjs";

/** How long before they were sent some of the events happened. */
const EARLIER = 300;

/** How much later than it was an event may seem to be: clock correction adds the time that the request took. */
const ON_THE_WAY = 15;

/** What a library has told of events that it could not deliver. */
export class GaveUp extends Error {
  constructor(errors) {
    super(errors.map(String).join("\n"));
  }
}

/**
 * @typedef {object} Call in the terms of the libraries
 * @property {'track' | 'page'} type
 * @property {string} userId
 * @property {string} [event]
 * @property {string} [category]
 * @property {string} [name]
 * @property {object} properties
 * @property {object} [integrations]
 * @property {object} [context]
 * @property {string} [timestamp]
 */

/**
 * The calls that a client makes.
 *
 * @param {string} id letters, digits and dashes only
 * @returns {Call[]}
 */
export function callsOf(id) {
  const at = new Date(Date.now() - EARLIER * 1_000).toISOString();
  return [
    {
      type: "track",
      event: `${id}: order completed`,
      properties: { value: 2.5, revenue: 9, plan: "pro" },
      integrations: { All: true, Librato: { source: "shop 1" } },
    },
    {
      type: "track",
      event: `${id}: order completed`,
      properties: { value: "$4" },
      context: { Librato: { source: "s2" } },
    },
    { type: "track", event: `${id}: signed up`, properties: {} },
    { type: "page", category: id, name: "home", properties: { value: 0 } },
    { type: "page", name: `${id} pricing`, properties: {}, context: { source: "docs" }, timestamp: at },
  ].map((call) => ({ userId, ...call }));
}

/** `{ "metric source": { count, sum } }` for these calls, each of them counted once. */
function totalsOf(id) {
  return {
    [`${id}--order-completed shop-1`]: { count: 1, sum: 2.5 },
    [`${id}--order-completed s2`]: { count: 1, sum: 4 },
    [`${id}--signed-up ${id}--signed-up`]: { count: 1, sum: 1 },
    [`Viewed-${id}-home-Page Viewed-${id}-home-Page`]: { count: 1, sum: 0 },
    [`Viewed-${id}-pricing-Page docs`]: { count: 1, sum: 1 },
  };
}

const metricsOf = (id) => new Set(Object.keys(totalsOf(id)).map((key) => key.split(" ")[0]));

/** What Librato has of one client. */
export async function arrived(librato, id) {
  const metrics = metricsOf(id);
  const all = Object.entries(await librato.totals());
  return Object.fromEntries(all.filter(([key]) => metrics.has(key.split(" ")[0])));
}

/** How many of a client's events Librato has; more than were made if some counted twice. */
export async function countOf(librato, id) {
  return Object.values(await arrived(librato, id)).reduce((sum, { count }) => sum + count, 0);
}

/** Whether a metric is a client's. */
export function isOf(id, metric) {
  return metricsOf(id).has(metric);
}

/** Whether one of the measurements that a request to Librato brought is a client's. */
export function isFrom(id, request) {
  return request.members.some(({ name }) => isOf(id, name));
}

/** Names, sources and values are all there, and each event counted once. */
export async function assertArrivedOnce(librato, id) {
  assert.deepEqual(await arrived(librato, id), totalsOf(id));
}

/** The event that happened earlier was measured when it happened. */
export async function assertTimestampHonoured(librato, id, { timestamp }) {
  const { sources } = await librato.metric(`Viewed-${id}-pricing-Page`);
  const late = sources[0].lastTime - Math.floor(Date.parse(timestamp) / 1_000);
  assert.ok(late >= 0 && late <= ON_THE_WAY, `measured ${late} s after it happened`);
}

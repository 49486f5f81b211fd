/**
 * Sums over the buckets of a flow.
 * @typedef {Record<string, number>} Counts by code
 * @typedef {object} Totals
 * @property {number} requests
 * @property {number} received
 * @property {number} accepted
 * @property {number} measured
 * @property {number} delivered
 * @property {number} refusedPoints
 * @property {number} kept
 * @property {Counts} refused
 * @property {Counts} failed
 * @property {Counts} notMeasured
 * @property {Counts} setAside
 * @property {Counts} outcomes of the requests to the destination
 */

const NUMBERS = ["requests", "received", "accepted", "measured", "delivered", "refusedPoints", "kept"];
const COUNTS = ["refused", "failed", "notMeasured", "setAside"];

/** @param {any[]} buckets @returns {Totals} */
export function totals(buckets) {
  const all = Object.fromEntries(NUMBERS.map((name) => [name, 0]));
  for (const name of [...COUNTS, "outcomes"]) all[name] = {};
  const add = (into, counts) => {
    for (const [code, count] of Object.entries(counts ?? {})) into[code] = (into[code] ?? 0) + count;
  };
  for (const bucket of buckets) {
    for (const name of NUMBERS) all[name] += bucket[name] ?? 0;
    for (const name of COUNTS) add(all[name], bucket[name]);
    add(all.outcomes, bucket.upstream?.outcomes);
  }
  return all;
}

/** @param {Counts} counts */
export const sum = (counts) => Object.values(counts).reduce((total, count) => total + count, 0);

/** Most first, without those that are nothing. @param {Counts} counts @returns {[string, number][]} */
export const ranked = (counts) =>
  Object.entries(counts)
    .filter(([, count]) => count > 0)
    .sort(([, a], [, b]) => b - a);

/**
 * Pure arithmetic on points. A point is `[sum, count, min, max]`; a series maps epoch seconds to points.
 * @typedef {[number, number, number, number]} Point
 * @typedef {Map<number, Point>} Series
 */

/** @param {Point | undefined} a @param {Point} b @returns {Point} */
const merge = (a, b) => (a ? [a[0] + b[0], a[1] + b[1], Math.min(a[2], b[2]), Math.max(a[3], b[3])] : b);

/**
 * Groups the points within `from <= second < to` into buckets of `size` seconds, keyed by the bucket's first second.
 * @param {Iterable<Series>} seriesList several series are added up
 * @returns {Series}
 */
export function bucketize(seriesList, from, to, size) {
  const buckets = new Map();
  for (const series of seriesList) {
    for (const [second, point] of series) {
      if (second < from || second >= to) continue;
      const start = second - (second % size);
      buckets.set(start, merge(buckets.get(start), point));
    }
  }
  return buckets;
}

const MEASURES = {
  sum: ([sum]) => sum,
  count: ([, count]) => count,
  average: ([sum, count]) => sum / count,
};

/**
 * Turns buckets into the points of a line. Events are sparse, so a sum or a count falls back to zero right beside every
 * bucket that has something, and the line is broken where nothing happened for longer; an average has no zero to fall
 * back to, so its points are joined.
 * @param {Series} buckets
 * @param {number} from first second, that of a bucket
 * @param {number} to
 * @param {number} size
 * @param {"sum" | "count" | "average"} measure
 * @returns {{start: number, value: number | null}[]}
 */
export function line(buckets, from, to, size, measure) {
  const points = [];
  for (let start = from; start < to; start += size) {
    const bucket = buckets.get(start);
    if (bucket) points.push({ start, value: MEASURES[measure](bucket) });
    else if (measure !== "average")
      points.push({ start, value: buckets.has(start - size) || buckets.has(start + size) ? 0 : null });
  }
  return points;
}

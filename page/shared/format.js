const plain = new Intl.NumberFormat("en", { maximumFractionDigits: 3 });
const short = new Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 1 });
const clockFormat = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", second: "2-digit" });

const isPlain = (magnitude, limit) => magnitude === 0 || (magnitude >= 0.001 && magnitude < limit);

/** A number in full; far-off magnitudes (Librato takes 1e126) in scientific notation. */
export function number(value) {
  if (!Number.isFinite(value)) return "–";
  return isPlain(Math.abs(value), 1e15) ? plain.format(value) : value.toExponential(3);
}

/** A number in few characters. */
export function compact(value) {
  if (!Number.isFinite(value)) return "–";
  if (!isPlain(Math.abs(value), 1e15)) return value.toExponential(1);
  return Math.abs(value) < 10_000 ? plain.format(value) : short.format(value);
}

/** @param {number} ms epoch milliseconds */
export const clock = (ms) => clockFormat.format(ms);

/** How long ago a moment was. @param {number} seconds epoch seconds */
export function ago(seconds) {
  const age = Math.round(Date.now() / 1000 - seconds);
  if (age < 0) return `in ${-age} s`;
  if (age < 2) return "now";
  if (age < 60) return `${age} s`;
  if (age < 3600) return `${Math.floor(age / 60)} min`;
  if (age < 172_800) return `${Math.floor(age / 3600)} h`;
  return `${Math.floor(age / 86_400)} days`;
}

/** The same in a sentence. @param {number} seconds epoch seconds */
export const since = (seconds) => (ago(seconds) === "now" ? "just now" : `${ago(seconds)} ago`);

/** @param {number} ms */
export function duration(ms) {
  if (ms === 0) return "< 1 ms";
  if (ms < 10) return `${Math.round(ms * 10) / 10} ms`;
  return ms < 10_000 ? `${Math.round(ms)} ms` : `${Math.round(ms / 1000)} s`;
}

export const plural = (count, noun) => `${number(count)} ${noun}${count === 1 ? "" : "s"}`;

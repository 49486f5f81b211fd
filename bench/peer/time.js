// Timestamps in the forms that the original destination read (npm `new-date` and `@segment/isodate`).

/** Format of `Date.prototype.toISOString`, which JavaScript libraries send. */
const USUAL = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/;
/** Also 12-hour times, and names of the zone in brackets after its offset (RFC 9557). */
const ISO =
  /^(\d{4})(?:-?(\d\d)(?:-?(\d\d))?)?(?:[ T](\d\d|\d(?!\d)):?(\d\d)(?::?(\d\d)(?:[,.](\d+))?)?(?: ?([AaPp])[Mm])?(?:(?:Z|([+-])(\d\d)(?::?(\d\d))?)(?:\[[^\]]*\])*)?)?$/;
const THIRTEEN_DIGITS = /\d{13}/;
const TEN_DIGITS = /\d{10}/;
const DIGIT = /\p{Nd}/u;
const FORMAT = /\p{Cf}/u;
const SPACE = /\p{White_Space}/u;
const BEYOND_ASCII = /\P{ASCII}/u;
/** Numbers below this are seconds, others milliseconds. */
const SECONDS_BELOW = 31_557_600_000;
/** Greatest distance of a `Date` from 1970 (ECMA-262, time range). */
const DATE_RANGE = 8.64e15;

/**
 * Reads a timestamp field.
 *
 * @returns {number | undefined} milliseconds since 1970, `undefined` where it is missing, `NaN` where it is no date
 */
export function moment(value) {
  if (value === undefined || value === null || value === "") return undefined;
  if (typeof value === "string") {
    if (USUAL.test(value)) {
      const millis = Date.parse(value);
      if (!Number.isNaN(millis)) return millis;
    }
    return fromText(BEYOND_ASCII.test(value) ? plain(value) : value);
  }
  return typeof value === "number" ? inRange(value < SECONDS_BELOW ? value * 1e3 : value) : Number.NaN;
}

function fromText(text) {
  const iso = ISO.exec(text);
  const moment = iso ? fromIso(iso) : undefined;
  if (moment !== undefined) return moment;
  if (THIRTEEN_DIGITS.test(text)) return inRange(Number.parseInt(text, 10));
  if (TEN_DIGITS.test(text)) return inRange(Number.parseInt(text, 10) * 1e3);
  // The engine skips unknown words, and takes any number after them for a date.
  return BEYOND_ASCII.test(text) ? Number.NaN : Date.parse(text);
}

/**
 * Returns the ASCII form of a date's text: digits of any script, the minus sign, and the spaces and marks of direction
 * that engines insert are normalised; the zone's name in parentheses, in some language, is dropped.
 */
function plain(text) {
  let kept = "";
  let depth = 0;
  for (const char of text) {
    if (char === "(") depth += 1;
    else if (char === ")") depth = Math.max(0, depth - 1);
    else if (depth > 0 || FORMAT.test(char)) continue;
    else if (char === "\u2212") kept += "-";
    else if (SPACE.test(char)) kept += " ";
    else kept += DIGIT.test(char) ? asciiDigit(char) : char;
  }
  return kept;
}

/** Converts a digit. Those of a script are consecutive from 0 to 9 (The Unicode Standard, 4.6, "Numeric Value"). */
function asciiDigit(digit) {
  const code = digit.codePointAt(0);
  let before = 0;
  while (DIGIT.test(String.fromCodePoint(code - before - 1))) before += 1;
  return String(before % 10);
}

/** Returns the moment; `undefined` if the hours are invalid. */
function fromIso([, year, month, day, hour, minutes, seconds, fraction, half, sign, zoneHours, zoneMinutes]) {
  let hours = Number(hour ?? 0);
  if (half !== undefined) {
    if (hours > 12) return undefined;
    hours = (hours % 12) + (half === "P" || half === "p" ? 12 : 0);
  } else if (hour?.length === 1) {
    return undefined;
  }
  const zone = sign ? (Number(zoneHours) * 60 + Number(zoneMinutes ?? 0)) * (sign === "+" ? -1 : 1) : 0;
  const millis = fraction === undefined ? 0 : Number(fraction.slice(0, 3).padEnd(3, "0"));
  const date = new Date(0);
  // Unlike `Date.UTC`, this does not move the years before 100 to the 20th century.
  date.setUTCFullYear(Number(year), Math.max(1, Number(month ?? 1)) - 1, Math.max(1, Number(day ?? 1)));
  return date.setUTCHours(hours, Number(minutes ?? 0) + zone, Number(seconds ?? 0), millis);
}

const inRange = (millis) => (Math.abs(millis) <= DATE_RANGE ? Math.trunc(millis) : Number.NaN);

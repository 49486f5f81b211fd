// The timestamp forms that the original destination understood (npm `new-date` and `@segment/isodate`).

/** What JavaScript libraries send: `Date.prototype.toISOString`. */
const USUAL = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/;
const ISO =
  /^(\d{4})(?:-?(\d\d)(?:-?(\d\d))?)?(?:[ T](\d\d):?(\d\d)(?::?(\d\d)(?:[,.](\d+))?)?(?:Z|([+-])(\d\d)(?::?(\d\d))?)?)?$/;
const THIRTEEN_DIGITS = /\d{13}/;
const TEN_DIGITS = /\d{10}/;
const DIGIT = /\p{Nd}/u;
const DIGITS = /\p{Nd}/gu;
const BEYOND_ASCII = /\P{ASCII}/u;
/** Numbers below this are seconds, others milliseconds. */
const SECONDS_BELOW = 31_557_600_000;
/** The farthest that a `Date` reaches from 1970. */
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
    return fromText(withAsciiDigits(value));
  }
  return typeof value === "number" ? inRange(value < SECONDS_BELOW ? value * 1e3 : value) : Number.NaN;
}

function fromText(text) {
  const iso = ISO.exec(text);
  if (iso) return fromIso(iso);
  if (THIRTEEN_DIGITS.test(text)) return inRange(Number.parseInt(text, 10));
  if (TEN_DIGITS.test(text)) return inRange(Number.parseInt(text, 10) * 1e3);
  // The engine passes over words that it does not know, and takes any number behind them for a date.
  return BEYOND_ASCII.test(text) ? Number.NaN : Date.parse(text);
}

/** A text with its decimal digits of any script as those of ASCII. */
const withAsciiDigits = (text) => (BEYOND_ASCII.test(text) ? text.replace(DIGITS, asciiDigit) : text);

/** The digits of a script stand in tens, and the zero stands first (The Unicode Standard, 4.6, "Numeric Value"). */
function asciiDigit(digit) {
  const code = digit.codePointAt(0);
  let before = 0;
  while (DIGIT.test(String.fromCodePoint(code - before - 1))) before += 1;
  return String(before % 10);
}

function fromIso([, year, month, day, hours, minutes, seconds, fraction, sign, zoneHours, zoneMinutes]) {
  const zone = sign ? (Number(zoneHours) * 60 + Number(zoneMinutes ?? 0)) * (sign === "+" ? -1 : 1) : 0;
  const millis = fraction === undefined ? 0 : Number(fraction.slice(0, 3).padEnd(3, "0"));
  const date = new Date(0);
  // Unlike `Date.UTC`, this takes the years before 100 for what they are.
  date.setUTCFullYear(Number(year), Math.max(1, Number(month ?? 1)) - 1, Math.max(1, Number(day ?? 1)));
  return date.setUTCHours(Number(hours ?? 0), Number(minutes ?? 0) + zone, Number(seconds ?? 0), millis);
}

const inRange = (millis) => (Math.abs(millis) <= DATE_RANGE ? Math.trunc(millis) : Number.NaN);

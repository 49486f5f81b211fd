// Maps an event to a measurement, by the rules of `src/mapping` and in their order.

import { moment } from "./time.js";

const MAX_LENGTH = 255;
const MAX_AGE_SECONDS = 7_200;
const MAX_AHEAD_SECONDS = 600;
/** Librato refuses numbers of this magnitude. */
const MAGNITUDE_LIMIT = 1e127;

export const TYPES = new Set(["track", "page", "identify", "group", "alias", "screen"]);
const NUMERIC = /^\s*(?:\$[+-]?|[+-]?\$?)(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?\s*$/;
const BEYOND_ASCII = /\P{ASCII}/u;
const LETTER_OR_DIGIT = /[A-Za-z0-9]/;
const NOT_OF_A_NAME = /[^A-Za-z0-9._-]/g;
const NOT_OF_A_SOURCE = /[^A-Za-z0-9.:_-]/g;

/** Refusal of an event. */
export class Rejection {
  constructor(code, message) {
    this.code = code;
    this.message = message;
  }
}

export const inRange = (value) => Math.abs(value) < MAGNITUDE_LIMIT;

function clean(text, others) {
  const cleaned = text.replace(others, "-");
  return cleaned.length > MAX_LENGTH ? cleaned.slice(0, MAX_LENGTH) : cleaned;
}

const encoder = new TextEncoder();

/** As many characters of a name as a metric's has. */
const beginning = (text) => (text.length > MAX_LENGTH ? [...text].slice(0, MAX_LENGTH).join("") : text);

/** Forms of a name, computed once a request: a batch has few names, and many events of each. */
class Name {
  constructor(text, prefix) {
    /** As it was written, with U+FFFD for lone surrogates, in as many characters as a metric has. */
    this.written = beginning(text.toWellFormed());
    /** As the original destination cleaned it; also the default source. */
    this.cleaned = clean(text, NOT_OF_A_NAME);
    /** The metric, with `METRIC_PREFIX`. */
    this.metric = prefix === "" ? this.cleaned : (prefix + this.cleaned).slice(0, MAX_LENGTH);
    /** The written form as JSON, and by how many bytes its UTF-8 is longer than its UTF-16 units. */
    this.json = JSON.stringify(this.written);
    this.extraBytes = BEYOND_ASCII.test(this.json) ? encoder.encode(this.json).length - this.json.length : 0;
    /** Whether cleaning keeps a letter or a digit; otherwise all names of one length are one metric. */
    this.isLegible = LETTER_OR_DIGIT.test(text);
  }

  static of(text, { names, settings }) {
    let name = names.get(text);
    if (name === undefined) {
      name = new Name(text, settings.metricPrefix);
      names.set(text, name);
    }
    return name;
  }
}

const cleanSource = (text) => unreserved(clean(text, NOT_OF_A_SOURCE));
const unreserved = (source) => (source.length === 3 && source.toLowerCase() === "all" ? `${source}-` : source);

// Loose comparison of keys: case and all but letters, digits and dots are ignored (npm `obj-case`).

const WANTED = new Set(["librato", "all", "source", "providers", "value"]);
const MOST_KEYS = 1_000;
const readings = new Map();

/** Returns the wanted key that a key matches, or `""`. Events have few different keys, which are cached. */
function reading(key) {
  let found = readings.get(key);
  if (found === undefined) {
    const squeezed = key.replace(/[^A-Za-z0-9.]/g, "").toLowerCase();
    found = WANTED.has(squeezed) ? squeezed : "";
    if (readings.size >= MOST_KEYS) readings.clear();
    readings.set(key, found);
  }
  return found;
}

const isObject = (value) => typeof value === "object" && value !== null;

/** The relevant members of `integrations`, `options` or `context`. */
class Section {
  isTruthy = true;
  librato = undefined;
  all = undefined;
  source = undefined;
  providers = undefined;
  consent = undefined;
  personas = undefined;

  /** Reads a section from the value of a field. */
  static of(value) {
    if (!isObject(value) || Array.isArray(value)) return value ? TRUTHY : FALSY;
    const section = new Section();
    for (const key in value) {
      switch (reading(key)) {
        case "librato":
          if (section.librato === undefined) section.librato = value[key];
          break;
        case "all":
          if (section.all === undefined) section.all = value[key];
          break;
        case "source":
          if (section.source === undefined) section.source = value[key];
          break;
        case "providers":
          if (section.providers === undefined) section.providers = value[key];
          break;
      }
    }
    // This exact spelling has precedence, unless its value is empty.
    const exact = value.Librato;
    if (isObject(exact) || typeof exact === "boolean") section.librato = exact;
    section.consent = value.consent ?? undefined;
    section.personas = value.personas ?? undefined;
    return section;
  }

  /** Returns this section, with missing members from the envelope's. */
  with(defaults) {
    if (!this.isTruthy || !defaults.isTruthy) return this.isTruthy ? this : defaults;
    const merged = new Section();
    for (const part of PARTS) merged[part] = this[part] === undefined ? defaults[part] : this[part];
    return merged;
  }
}

const PARTS = ["librato", "all", "source", "providers", "consent", "personas"];
const TRUTHY = new Section();
const FALSY = new Section();
FALSY.isTruthy = false;

export { Section };

/** Returns `providers`, the oldest name of `integrations`. */
const providersOf = (section) => (section.providers ? Section.of(section.providers) : undefined);

/** Returns the source of an entry. */
const libratoSource = (entry) => (Array.isArray(entry) ? undefined : entry.source);

/**
 * Judges one event.
 *
 * @param {object} event
 * @param {string | undefined} givenType the type by the path
 * @param {{ settings: object, receivedAt: number, names: Map<string, Name>, context: Section, integrations: Section }}
 *   call with the names of the request so far and the defaults of the envelope
 * @param {number | undefined} sentAt
 * @returns {{ name: Name, source: string, time: number, value: number } | Rejection | undefined} `undefined` for an
 *   event that is accepted and not measured
 */
export function judge(event, givenType, call, sentAt) {
  const { settings } = call;
  const type = givenType ?? event.type;
  if (givenType === undefined && !TYPES.has(type)) return noType(type);

  const context = Section.of(event.context).with(call.context);
  let written;
  let value;
  let source;
  if (type === "track") {
    written = event.event;
    if (typeof written !== "string" || written === "") {
      return new Rejection("missing_event", "event: expected a string that is not empty");
    }
  } else if (type === "page") {
    written = pageName(event);
  } else if (type === "identify") {
    const measured = engage(event, context);
    if (measured === undefined) return undefined;
    ({ written, value, source } = measured);
  } else {
    return undefined;
  }
  if (type !== "identify" && !identifies(event.userId) && !identifies(event.anonymousId)) {
    return new Rejection("missing_identity", "userId or anonymousId: one of them is required");
  }

  if (settings.consentCategories.length > 0 && !isConsented(context, settings)) return undefined;
  const own = Section.of(event.options);
  const options = own.isTruthy ? own : context;
  const given = Section.of(event.integrations).with(call.integrations);
  const integrations = given.isTruthy ? given : (providersOf(options) ?? options);
  if (!isEnabled(options, integrations)) return undefined;

  value = value === undefined ? magnitude(event.properties) : value;
  if (!inRange(value)) return new Rejection("invalid_value", "properties.value: expected a number below 1e127");

  const time = timeOf(event, call, sentAt);
  if (time instanceof Rejection) return time;

  const name = Name.of(written, call);
  if (settings.allowedEvents && !isAllowed(name.metric, settings)) {
    return new Rejection("event_not_allowed", `event: the metric \`${name.metric}\` may not be created here`);
  }
  source ??= sourceOf(options, integrations, name.cleaned);
  if (source instanceof Rejection) return source;
  // `-0` becomes `0`.
  return { name, source, time, value: value + 0 };
}

/**
 * Returns the second of an event. A pipeline that has added `originalTimestamp` and `receivedAt` has already corrected
 * the `timestamp`.
 */
function timeOf({ timestamp, originalTimestamp, receivedAt: isForwarded }, { settings, receivedAt }, sentAt) {
  const now = Math.floor(receivedAt / 1000);
  const given = moment(timestamp ?? originalTimestamp);
  if (given === undefined) return now;
  if (Number.isNaN(given)) {
    return settings.lateCountNow ? now : new Rejection("invalid_timestamp", "timestamp: expected an ISO 8601 date");
  }
  const isCorrected = isPresent(timestamp) && isPresent(originalTimestamp) && isPresent(isForwarded);
  const corrected = sentAt === undefined || isCorrected ? given : receivedAt - (sentAt - given);
  const time = Math.floor(corrected / 1000);
  if (time >= now - MAX_AGE_SECONDS && time <= now + MAX_AHEAD_SECONDS) return time;
  if (settings.lateCountNow) return now;
  return new Rejection("timestamp_out_of_range", "timestamp: expected a time about that of its receipt");
}

const isPresent = (field) => field !== undefined && field !== null;

/** Returns whether a metric may be created, by its name with or without `METRIC_PREFIX`. */
function isAllowed(metric, { allowedEvents, metricPrefix }) {
  const event = metric.slice(metricPrefix.length);
  return allowedEvents.some((pattern) => pattern.test(metric) || pattern.test(event));
}

function noType(type) {
  return typeof type === "string" && type !== ""
    ? new Rejection("unsupported_type", "type: expected track, page, screen, identify, group or alias")
    : new Rejection("missing_type", 'type: required in a batch, for example "track"');
}

function pageName({ name, category }) {
  if (!name) return "Loaded a Page";
  return category ? `Viewed ${concatenated(category)} ${concatenated(name)} Page` : `Viewed ${concatenated(name)} Page`;
}

/** Converts a value to text as `+` does, without calling a `toString` of the payload. */
function concatenated(value) {
  if (Array.isArray(value)) return value.map((member) => (member === null ? "" : concatenated(member))).join(",");
  return isObject(value) ? "[object Object]" : String(value);
}

const identifies = (id) => (typeof id === "string" ? id !== "" : typeof id === "number");

/** Returns the measurement of an Identify call by Engage. */
function engage({ traits }, { personas }) {
  const key = personas?.computation_key;
  if (typeof key !== "string" || key === "") return undefined;
  const written = key.toWellFormed();
  const trait = isObject(traits) && Object.hasOwn(traits, written) ? traits[written] : undefined;
  if (typeof trait === "boolean") return { written, value: 1, source: trait ? "entered" : "exited" };
  return typeof trait === "number" ? { written, value: trait, source: cleanSource(written) } : undefined;
}

function isConsented({ consent }, { consentCategories }) {
  if (consent === undefined) return true;
  const preferences = consent.categoryPreferences;
  return isObject(preferences) && consentCategories.every((category) => preferences[category] === true);
}

function isEnabled(options, integrations) {
  const entry = integrations.librato;
  if (entry !== undefined) return entry !== false;
  const oldest = integrations.providers ? Section.of(integrations.providers).librato : undefined;
  if (oldest !== undefined) return oldest === true || isObject(oldest);
  const alls = [options.providers ? Section.of(options.providers).all : undefined, options.all, integrations.all];
  return alls.find((all) => typeof all === "boolean") !== false;
}

/** Returns `properties.value`; `NaN` if it is no number. */
function magnitude(properties) {
  if (!isObject(properties) || Array.isArray(properties)) return 1;
  let value;
  for (const key in properties) {
    if (reading(key) === "value") {
      value = properties[key];
      break;
    }
  }
  if (value === undefined || value === null) return 1;
  if (typeof value === "number") return value;
  return typeof value === "string" && NUMERIC.test(value) ? Number(value.replace("$", "")) : Number.NaN;
}

function sourceOf(options, integrations, name) {
  let librato;
  if (isObject(integrations.librato)) librato = libratoSource(integrations.librato);
  else if (isObject(options.librato)) librato = libratoSource(options.librato);
  if (librato) return sourceText(librato, "Librato.source");
  if (options.source) return sourceText(options.source, "source");
  return unreserved(name);
}

function sourceText(value, field) {
  if (typeof value === "string") return cleanSource(value);
  if (typeof value === "number") return cleanSource(String(value));
  return new Rejection("invalid_source", `${field}: expected a string or a number`);
}

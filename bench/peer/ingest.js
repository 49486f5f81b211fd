// Turns the text of a request into measurements, and their outcome into the answer.

import { Failure, failure } from "./answer.js";
import { judge, Rejection, Section } from "./mapping.js";
import { moment } from "./time.js";

const MAX_EVENT = 65_536;
const MAX_EVENTS = 2_500;
const NONE = Section.of(undefined);

/** Returns a field that is a string and not empty. Lone surrogates in it become U+FFFD, as in UTF-8. */
const text = (field) => (typeof field === "string" && field !== "" ? field.toWellFormed() : undefined);

/** Reads `sentAt`. An invalid one counts as absent. */
function sentAtOf(field) {
  const sentAt = moment(field);
  return Number.isNaN(sentAt) ? undefined : sentAt;
}

const isEvent = (value) => typeof value === "object" && value !== null && !Array.isArray(value);

/**
 * Reads a request.
 *
 * @param {{ text: string, bytes: Uint8Array }} body
 * @param {string | undefined} type the type of the one event, or `undefined` for a batch
 * @param {{ settings: object, receivedAt: number, headerKey?: string, queryKey: () => string | undefined }} call
 * @returns {Intake}
 * @throws {Failure}
 */
export function take(body, type, { settings, receivedAt, headerKey, queryKey }) {
  // A key in the header is checked before the body is parsed.
  const keyOfHeader = headerKey === undefined ? undefined : authenticate(headerKey, settings);
  const json = parse(body);
  const call = { settings, receivedAt, names: new Map(), context: NONE, integrations: NONE };
  const isBatch = type === undefined && (json.batch !== undefined || Array.isArray(json) || !text(json.type));
  if (!isBatch) {
    if (Array.isArray(json)) throw noJsonObject();
    const writeKey = keyOfHeader ?? authenticate(text(json.writeKey) ?? queryKey(), settings);
    const intake = new Intake(false, writeKey, body);
    const isTooLarge = body.bytes.length > MAX_EVENT && encoder.encode(body.text.trim()).length > MAX_EVENT;
    intake.add(json, isTooLarge ? tooLarge : judge(json, type, call, sentAtOf(json.sentAt)));
    return intake;
  }
  // A bare array is a batch without an envelope.
  const batch = Array.isArray(json) ? json : json.batch;
  if (!Array.isArray(batch)) throw new Failure("invalid_event", "batch: expected an array of events");
  if (batch.length > MAX_EVENTS) {
    throw new Failure("payload_too_large", `batch: expected at most ${MAX_EVENTS} events`);
  }
  const writeKey = keyOfHeader ?? authenticate(text(json.writeKey) ?? keyIn(batch) ?? queryKey(), settings);
  const intake = new Intake(true, writeKey, body, json.context);
  const oversized = body.bytes.length > MAX_EVENT ? tooLargeMembers(body.bytes, batch === json) : undefined;
  const sentAt = sentAtOf(json.sentAt);
  call.context = Section.of(json.context);
  call.integrations = Section.of(json.integrations);
  for (let index = 0; index < batch.length; index += 1) {
    const event = batch[index];
    if (!isEvent(event)) intake.add(event, noObject);
    else if (oversized?.has(index)) intake.add(event, tooLarge);
    else intake.add(event, judge(event, undefined, call, sentAt ?? sentAtOf(event.sentAt)));
  }
  return intake;
}

const tooLarge = new Rejection("event_too_large", `event: expected at most ${MAX_EVENT} bytes`);
const noObject = new Rejection("invalid_event", "event: expected an object");
const noJsonObject = () => new Failure("invalid_event", "body: expected a JSON object");

/** Matches strings, and as values the words that Python's `json.dumps` writes for numbers that JSON does not have. */
const STRING_OR_WORD = /"[^"\\]*(?:\\.[^"\\]*)*"|(?:NaN|-?Infinity)(?=\s*(?:[,\]}]|$))/gs;

/** Parses an object or an array. Words that JSON does not have are quoted, in the body as well. */
function parse(body) {
  let json;
  try {
    json = JSON.parse(body.text);
  } catch {
    // Searched only now, since few clients write such words.
    body.text = body.text.replace(STRING_OR_WORD, (found) => (found[0] === '"' ? found : `"${found}"`));
    body.bytes = encoder.encode(body.text);
    try {
      json = JSON.parse(body.text);
    } catch {
      throw new Failure("malformed_json", "body: expected JSON");
    }
  }
  if (typeof json !== "object" || json === null) throw noJsonObject();
  return json;
}

/** Returns the write key if it is accepted. */
function authenticate(given, { writeKeys }) {
  if (given !== undefined && writeKeys.has(given)) return given;
  const message =
    given === undefined
      ? "writeKey: invalid write key: expected one, as the user name of HTTP Basic, as `writeKey` in the body or in the query, found none"
      : "writeKey: invalid write key: expected one that is accepted here, found another";
  throw new Failure("invalid_write_key", message);
}

function keyIn(batch) {
  for (const event of batch) {
    const key = text(event?.writeKey);
    if (key !== undefined) return key;
  }
  return undefined;
}

const LIBRARY_PART = /^[A-Za-z0-9@/._+-]{1,64}$/;
const libraryPart = (field) => (typeof field === "string" && LIBRARY_PART.test(field) ? field : undefined);

/** Returns name and version of a client library, if they look like those: nothing else of an event may be logged. */
function libraryOf(library) {
  const name = libraryPart(library?.name);
  const version = libraryPart(library?.version);
  return name === undefined || version === undefined ? name : `${name}/${version}`;
}

/** The events of a request and their outcomes. */
export class Intake {
  /** The measurements, in the order of the events. */
  measured = [];
  events = 0;
  rejected = [];
  #illegibleNames = 0;
  /** The client library of the first refused event. */
  #rejectedLibrary;
  #seen = new Set();
  #body;
  #context;
  #numericIds;

  constructor(isBatch, writeKey, body, context) {
    this.isBatch = isBatch;
    this.writeKey = writeKey;
    this.#body = body;
    this.#context = context;
  }

  add(event, verdict) {
    const index = this.events;
    this.events += 1;
    if (verdict === undefined) return;
    const id = event?.messageId;
    const messageId = typeof id === "number" ? this.#numericId(index) : text(id);
    if (verdict instanceof Rejection) {
      this.#rejectedLibrary ??= libraryOf(event?.context?.library ?? this.#context?.library);
      this.rejected.push({ index, messageId: messageId ?? null, code: verdict.code, message: verdict.message });
      return;
    }
    // Only a measured event makes the next one with its id a duplicate.
    if (this.isBatch && messageId !== undefined) {
      const before = this.#seen.size;
      if (this.#seen.add(messageId).size === before) return;
    }
    if (!verdict.name.isLegible) this.#illegibleNames += 1;
    verdict.index = index;
    verdict.messageId = messageId;
    this.measured.push(verdict);
  }

  /**
   * Returns a numeric `messageId` as it was written. `JSON.parse` rounds long ones, which may make two of them equal,
   * so that these bodies, which are rare, are parsed again.
   */
  #numericId(index) {
    if (this.#numericIds === undefined) {
      const json = JSON.parse(this.#body.text, (key, value, { source }) =>
        key === "messageId" && typeof value === "number" ? source : value,
      );
      this.#numericIds = this.isBatch ? (json.batch ?? json) : [json];
    }
    return this.#numericIds[index].messageId;
  }

  /** Marks measurements as refused by the destination. */
  refuse(measurements, message) {
    const gone = new Set(measurements);
    this.measured = this.measured.filter((measurement) => !gone.has(measurement));
    for (const { index, messageId } of gone) {
      this.rejected.push({ index, messageId: messageId ?? null, code: "refused_by_librato", message });
    }
    this.rejected.sort((one, other) => one.index - other.index);
  }

  /** Returns the answer after delivery. A batch that could be read is always 200. */
  answer() {
    const { rejected } = this;
    if (rejected.length === 0) return SUCCESS;
    if (!this.isBatch) return failure(new Failure(rejected[0].code, rejected[0].message));
    const accepted = this.events - rejected.length;
    return { status: 200, body: JSON.stringify({ success: true, accepted, rejected }) };
  }

  /** Sets the figures of the log line. */
  count(line, isKept) {
    line.events = this.events;
    line.accepted = isKept ? this.events - this.rejected.length : 0;
    line.measured = this.measured.length;
    line.rejectedLibrary = this.#rejectedLibrary;
    line.illegibleNames = this.#illegibleNames || undefined;
    for (const { code } of this.rejected) line.rejected[code] = (line.rejected[code] ?? 0) + 1;
  }
}

const SUCCESS = { status: 200, body: '{"success":true}' };

const encoder = new TextEncoder();

const QUOTE = 0x22;
const COMMA = 0x2c;
const BACKSLASH = 0x5c;
/** Brackets and braces differ in this bit alone. */
const EITHER = 0x20;
const OPENING = 0x7b;
const CLOSING = 0x7d;
const BATCH = [...encoder.encode('"batch"')];

/**
 * Finds the members of `batch`, or of a bare array, that are longer than an event may be, in bytes as they were sent,
 * since `JSON.parse` does not report lengths. Returns `undefined` if there are none. The text is known to be JSON.
 */
function tooLargeMembers(bytes, isBare) {
  const { length } = bytes;
  /** Depth of the commas between members. */
  const level = isBare ? 1 : 2;
  let found;
  let depth = 0;
  let key = 0;
  let isInBatch = isBare;
  let member = 0;
  let start = 0;
  let at = 0;
  while (at < length) {
    const byte = bytes[at++];
    if (byte === QUOTE) {
      if (depth === 1) key = at - 1;
      let inner = bytes[at++];
      while (inner !== QUOTE) {
        if (inner === BACKSLASH) at += 1;
        inner = bytes[at++];
      }
    } else if (byte === COMMA) {
      if (depth === level) member += 1;
    } else if ((byte | EITHER) === OPENING) {
      depth += 1;
      if (depth === level + 1) {
        start = at - 1;
      } else if (depth === level && !isBare) {
        isInBatch = BATCH.every((wanted, place) => bytes[key + place] === wanted);
        if (isInBatch) {
          // The last of repeated keys counts.
          found = undefined;
          member = 0;
        }
      }
    } else if ((byte | EITHER) === CLOSING) {
      depth -= 1;
      if (depth === level && isInBatch && at - start > MAX_EVENT) {
        found ??= new Set();
        found.add(member);
      }
    }
  }
  return found;
}

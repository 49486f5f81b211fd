// What goes through the queue, in the format of `src/durable/parcel.rs`.

import { Failure } from "./answer.js";
import { digest96 } from "./sha1.js";
import { within } from "./within.js";

const MAX_BYTES = 127_000;
const MAX_MESSAGES = 100;
const MAX_CALL_BYTES = 250_000;
const STORE_TIMEOUT = 5_000;
const OPTIONS = { contentType: "text", delaySeconds: 0 };

/** Stores a request's measurements, and tells how many messages it took. */
export async function store(queue, { measured, writeKey }, receivedAt) {
  const messages = pack(measured, writeKey, Math.floor(receivedAt / 1000));
  try {
    if (messages.length === 1) await within(STORE_TIMEOUT, queue.send(messages[0].body, OPTIONS));
    else for (const call of calls(messages)) await within(STORE_TIMEOUT, queue.sendBatch(call));
  } catch (error) {
    if (/too many requests/i.test(error?.message)) {
      throw new Failure("rate_limited", "the queue takes no more now: send again later");
    }
    throw new Failure("upstream_unavailable", "the queue does not take measurements now: send again later");
  }
  return messages.length;
}

/** Messages in as few calls as the platform's limits allow. */
function* calls(messages) {
  let call = [];
  let bytes = 0;
  for (const message of messages) {
    if (call.length === MAX_MESSAGES || (call.length > 0 && bytes + message.bytes > MAX_CALL_BYTES)) {
      yield call;
      call = [];
      bytes = 0;
    }
    call.push({ ...OPTIONS, body: message.body });
    bytes += message.bytes;
  }
  yield call;
}

function pack(measured, writeKey, receivedAt) {
  const message = write(measured, writeKey, receivedAt);
  if (message.bytes <= MAX_BYTES || measured.length === 1) return [message];
  const half = measured.length >> 1;
  return [...pack(measured.slice(0, half), writeKey, receivedAt), ...pack(measured.slice(half), writeKey, receivedAt)];
}

/**
 * A message, and its length in bytes. Metrics, sources and ids hold nothing that JSON would escape. Names as they were
 * written stand by the place of their metric, where they differ from it; of several the least.
 */
function write(measured, writeKey, receivedAt) {
  const places = new Map();
  const written = new Map();
  let texts = "";
  let rows = "";
  const placeOf = (text) => {
    let place = places.get(text);
    if (place === undefined) {
      place = places.size;
      places.set(text, place);
      texts += place === 0 ? `"${text}"` : `,"${text}"`;
    }
    return place;
  };
  for (const { name, source, time, value, messageId } of measured) {
    const place = placeOf(name.metric);
    const least = written.get(place);
    if (least !== name && (least === undefined || isBefore(name.written, least.written))) written.set(place, name);
    const id = messageId === undefined ? "null" : `"${digest96(`${writeKey}\0${messageId}`)}"`;
    const row = `[${place},${placeOf(source)},${time - receivedAt},${value},${id}]`;
    rows += rows === "" ? row : `,${row}`;
  }
  let display = "";
  let extraBytes = 0;
  for (const [place, name] of written) {
    if (name.written === name.metric) continue;
    display += `${display === "" ? ',"d":{' : ","}"${place}":${name.json}`;
    extraBytes += name.extraBytes;
  }
  if (display !== "") display += "}";
  const body = `{"v":1,"o":"${owner()}","r":${receivedAt},"n":[${texts}]${display},"m":[${rows}]}`;
  return { body, bytes: body.length + extraBytes };
}

/** Whether a text comes before another by their code points, as in UTF-8. */
function isBefore(one, other) {
  const length = Math.min(one.length, other.length);
  for (let at = 0; at < length; at += 1) {
    const [left, right] = [one.charCodeAt(at), other.charCodeAt(at)];
    if (left !== right) return rank(left) < rank(right);
  }
  return one.length < other.length;
}

/** Surrogates stand for what is beyond 0xFFFF, and so behind all other units. */
function rank(unit) {
  if (unit < 0xd800) return unit;
  return unit < 0xe000 ? unit + 0x2000 : unit - 0x800;
}

/** Sixty-four random bits: no two messages share them. */
const owner = () => half() + half();
const half = () => ((Math.random() * 0x1_0000_0000) >>> 0).toString(16).padStart(8, "0");

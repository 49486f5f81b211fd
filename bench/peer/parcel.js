// Messages to the queue, in the format of `src/durable/parcel.rs`.

import { Failure } from "./answer.js";
import { digest96 } from "./sha1.js";
import { within } from "./within.js";

const MAX_BYTES = 127_000;
const MAX_MESSAGES = 100;
const MAX_CALL_BYTES = 250_000;
const STORE_TIMEOUT = 5_000;
const OPTIONS = { contentType: "text", delaySeconds: 0 };

/** Stores the measurements of a request, and returns the number of messages. */
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

/** Groups messages into as few calls as the limits of the platform allow. */
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
 * Returns a message and its length in bytes. Metrics, sources and ids need no escapes. A name as it was written is
 * stored by the index of its metric if it differs from that; of several names the least one.
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
  // Of the ledger's one shard.
  const body = `{"v":1,"o":"${owner()}","r":${receivedAt},"s":1,"n":[${texts}]${display},"m":[${rows}]}`;
  return { body, bytes: body.length + extraBytes };
}

/** Returns whether a text sorts before another by code points, as in UTF-8. */
function isBefore(one, other) {
  const length = Math.min(one.length, other.length);
  for (let at = 0; at < length; at += 1) {
    const [left, right] = [one.charCodeAt(at), other.charCodeAt(at)];
    if (left !== right) return rank(left) < rank(right);
  }
  return one.length < other.length;
}

/** Ranks UTF-16 units by code points: surrogates, which encode those beyond 0xFFFF, come last. */
function rank(unit) {
  if (unit < 0xd800) return unit;
  return unit < 0xe000 ? unit + 0x2000 : unit - 0x800;
}

/** Returns 64 random bits, which identify a message. */
const owner = () => half() + half();
const half = () => ((Math.random() * 0x1_0000_0000) >>> 0).toString(16).padStart(8, "0");

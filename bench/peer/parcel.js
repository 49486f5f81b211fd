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
    if (messages.length === 1) await within(STORE_TIMEOUT, queue.send(messages[0], OPTIONS));
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
  for (const body of messages) {
    if (call.length === MAX_MESSAGES || (call.length > 0 && bytes + body.length > MAX_CALL_BYTES)) {
      yield call;
      call = [];
      bytes = 0;
    }
    call.push({ ...OPTIONS, body });
    bytes += body.length;
  }
  yield call;
}

function pack(measured, writeKey, receivedAt) {
  const message = write(measured, writeKey, receivedAt);
  if (message.length <= MAX_BYTES || measured.length === 1) return [message];
  const half = measured.length >> 1;
  return [...pack(measured.slice(0, half), writeKey, receivedAt), ...pack(measured.slice(half), writeKey, receivedAt)];
}

/** Names, sources and ids hold nothing that JSON would escape. */
function write(measured, writeKey, receivedAt) {
  const places = new Map();
  let names = "";
  let rows = "";
  const placeOf = (text) => {
    let place = places.get(text);
    if (place === undefined) {
      place = places.size;
      places.set(text, place);
      names += place === 0 ? `"${text}"` : `,"${text}"`;
    }
    return place;
  };
  for (const { name, source, time, value, messageId } of measured) {
    const id = messageId === undefined ? "null" : `"${digest96(`${writeKey}\0${messageId}`)}"`;
    const row = `[${placeOf(name)},${placeOf(source)},${time - receivedAt},${value},${id}]`;
    rows += rows === "" ? row : `,${row}`;
  }
  return `{"v":1,"o":"${owner()}","r":${receivedAt},"n":[${names}],"m":[${rows}]}`;
}

/** Sixty-four random bits: no two messages share them. */
const owner = () => half() + half();
const half = () => ((Math.random() * 0x1_0000_0000) >>> 0).toString(16).padStart(8, "0");

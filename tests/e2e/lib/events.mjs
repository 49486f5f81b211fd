// The events that the tests send.

import { randomBytes, randomUUID } from "node:crypto";

/** Who the events are about. Personal data: the harness checks that no log line has it. */
export const userId = `user-${randomBytes(8).toString("hex")}`;

/** A track call as a library sends it; `undefined` in `more` takes a field away. */
export function track(event, more = {}) {
  return { type: "track", event, userId, messageId: randomUUID(), ...more };
}

/** A page call as a library sends it. */
export function page(name, more = {}) {
  return { type: "page", name, userId, messageId: randomUUID(), ...more };
}

/** A batch of these events. */
export function batch(events, more = {}) {
  return { batch: events, sentAt: new Date().toISOString(), ...more };
}

/** So many track calls with names of their own, `name-0`, `name-1` and so on. */
export function tracks(count, name = "metric", more = {}) {
  return Array.from({ length: count }, (_, index) => track(`${name}-${index}`, more));
}

/** What `make` returns, padded to so many bytes of JSON. */
export function sized(bytes, make) {
  const bare = Buffer.byteLength(JSON.stringify(make("")));
  return JSON.stringify(make("x".repeat(bytes - bare)));
}

/** The seconds since the epoch, now. */
export function now() {
  return Math.floor(Date.now() / 1000);
}

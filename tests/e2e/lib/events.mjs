// Events for the tests.

import { randomBytes, randomUUID } from "node:crypto";

/** The user of the events: personal data, which the harness checks for in log lines. */
export const userId = `user-${randomBytes(8).toString("hex")}`;

/** Returns a track call as a library sends it; `undefined` in `more` removes a field. */
export function track(event, more = {}) {
  return { type: "track", event, userId, messageId: randomUUID(), ...more };
}

/** Returns a page call as a library sends it. */
export function page(name, more = {}) {
  return { type: "page", name, userId, messageId: randomUUID(), ...more };
}

/** Returns a batch of these events. */
export function batch(events, more = {}) {
  return { batch: events, sentAt: new Date().toISOString(), ...more };
}

/** Returns track calls with different names, `name-0`, `name-1` and so on. */
export function tracks(count, name = "metric", more = {}) {
  return Array.from({ length: count }, (_, index) => track(`${name}-${index}`, more));
}

/** Returns the result of `make`, padded to a length in bytes of JSON. */
export function sized(bytes, make) {
  const bare = Buffer.byteLength(JSON.stringify(make("")));
  return JSON.stringify(make("x".repeat(bytes - bare)));
}

/** Returns the time in epoch seconds. */
export function now() {
  return Math.floor(Date.now() / 1000);
}

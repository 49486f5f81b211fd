// Events of an online shop, as analytics.js 1.84 sends them.

import { randomUUID } from "node:crypto";
import { readFileSync } from "node:fs";
import { settings } from "./workers.mjs";

const NAMES = [
  "Product Viewed",
  "Product Added",
  "Product List Viewed",
  "Cart Viewed",
  "Checkout Started",
  "Payment Info Entered",
  "Order Completed",
  "Coupon Applied",
];

const template = JSON.parse(readFileSync(new URL("../event.json", import.meta.url), "utf8"));

/** Returns the `index`th Track call, of about 1.3 KB. */
export function track(index, now = Date.now(), more = {}) {
  return {
    ...template,
    timestamp: new Date(now - 40 * index).toISOString(),
    event: NAMES[index % NAMES.length],
    properties: { ...template.properties, value: 19.9 + (index % 10), product_id: `P-${1000 + index}` },
    messageId: `ajs-next-${now}-${randomUUID()}`,
    anonymousId: randomUUID(),
    sentAt: new Date(now).toISOString(),
    ...more,
  };
}

/** Returns a Track call as a server sends it: only the required fields, less than 200 bytes. */
export const slim = (index) => ({
  type: "track",
  event: NAMES[index % NAMES.length],
  userId: `user-${index % 97}`,
  messageId: randomUUID(),
  timestamp: new Date(Date.now() - 40 * (index % 100)).toISOString(),
  properties: { value: index % 10 },
});

/** Returns the body of a request with one event. */
export const single = (index) => JSON.stringify(track(index));

/** Returns the body of a batch of these events, as analytics.js posts it to `/v1/b`. */
export const batchOf = (events, now = Date.now()) =>
  JSON.stringify({ writeKey: settings.WRITE_KEYS, batch: events, sentAt: new Date(now).toISOString() });

/** Returns the body of a batch of `count` events. */
export function batch(count, first = 0) {
  const now = Date.now();
  return batchOf(
    Array.from({ length: count }, (_, index) => ({ ...track(first + index, now), sentAt: undefined })),
    now,
  );
}

/** Returns the body of a request with one event of this size, which a list of products fills up. */
export function sized(bytes) {
  const { context, ...event } = track(0);
  const products = [];
  // Small events have no room for the page.
  const { page, ...rest } = context;
  const made = () =>
    JSON.stringify({
      ...event,
      context: bytes < 1_500 ? rest : context,
      properties: { ...event.properties, products, note: "" },
    });
  while (made().length + 90 < bytes) {
    products.push({ product_id: `P-${2000 + products.length}`, name: "Trekking socks", price: 12.9, quantity: 2 });
  }
  return made().replace('"note":""', `"note":"${"x".repeat(bytes - made().length)}"`);
}

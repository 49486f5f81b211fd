// The events that are sent: as analytics.js 1.84 makes them, from a shop.

import { randomUUID } from "node:crypto";
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

/** A Track call of about 1.3 KB, the `index`th of its kind. */
export function track(index, now = Date.now(), more = {}) {
  const name = NAMES[index % NAMES.length];
  const path = `/collections/autumn/products/${name.toLowerCase().replaceAll(" ", "-")}-${1000 + index}`;
  const search = "?utm_source=newsletter";
  return {
    timestamp: new Date(now - 40 * index).toISOString(),
    integrations: { "Segment.io": true },
    event: name,
    type: "track",
    properties: {
      value: 19.9 + (index % 10),
      currency: "EUR",
      product_id: `P-${1000 + index}`,
      category: "Outdoor Jackets",
      quantity: 1,
      coupon: "AUTUMN26",
    },
    context: {
      page: {
        path,
        referrer: "https://www.example.com/collections/autumn",
        search,
        title: "Waterproof trekking jacket for women | Example Shop",
        url: `https://www.example.com${path}${search}`,
      },
      userAgent:
        "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36",
      userAgentData: {
        brands: [
          { brand: "Chromium", version: "142" },
          { brand: "Not_A Brand", version: "99" },
        ],
        mobile: false,
        platform: "macOS",
      },
      locale: "de-DE",
      library: { name: "analytics.js", version: "npm:next-1.84.3" },
      campaign: { source: "newsletter" },
      timezone: "Europe/Berlin",
    },
    messageId: `ajs-next-${now}-${randomUUID()}`,
    anonymousId: randomUUID(),
    userId: null,
    writeKey: settings.WRITE_KEYS,
    ...more,
    sentAt: new Date(now).toISOString(),
    _metadata: { bundled: ["Segment.io"], unbundled: [], bundledIds: [] },
  };
}

/** A Track call as a server sends it: with what it needs and no more, under 200 bytes. */
export const slim = (index) => ({
  type: "track",
  event: NAMES[index % NAMES.length],
  userId: `user-${index % 97}`,
  messageId: randomUUID(),
  timestamp: new Date(Date.now() - 40 * (index % 100)).toISOString(),
  properties: { value: index % 10 },
});

/** The body of a request with one event. */
export const single = (index) => JSON.stringify(track(index));

/** The body of a request with many, as `/v1/b` of analytics.js has it. */
export function batch(count, first = 0, more = {}) {
  const now = Date.now();
  const events = Array.from({ length: count }, (_, index) => {
    const { sentAt, ...event } = track(first + index, now, more);
    return event;
  });
  return JSON.stringify({ writeKey: settings.WRITE_KEYS, batch: events, sentAt: new Date(now).toISOString() });
}

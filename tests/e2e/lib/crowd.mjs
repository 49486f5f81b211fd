// Clients of several kinds that send events like real ones: again after a lost answer, concurrently, compressed or not.

import { randomUUID } from "node:crypto";
import { gzipSync } from "node:zlib";
import { Analytics } from "@segment/analytics-node";
import { userId } from "./events.mjs";
import { succeeded } from "./expect.mjs";
import { writeKey } from "./worker.mjs";

/**
 * Makes the events of a wave, spread over names, sources and values, so that the sums even show an event that is lost
 * while another one counts twice.
 *
 * @param {string} wave
 * @param {number} count
 * @returns {{ event: string, source: string, value: number }[]}
 */
export function events(wave, count) {
  return Array.from({ length: count }, (_, index) => ({
    event: `Soak-${wave}-${index % 5}`,
    source: `host-${index % 37}`,
    value: 1 + ((index * 7_919) % 1_000_003),
  }));
}

const fields = ({ event, source, value }) => ({
  event,
  properties: { value },
  integrations: { All: true, Librato: { source } },
});
const call = (one) => ({
  ...{ type: "track", messageId: randomUUID(), userId, timestamp: new Date().toISOString() },
  ...fields(one),
});

/** Processes a list, a few items at a time. */
async function each(items, atOnce, work) {
  const rest = items.entries();
  const worker = async () => {
    for (const [index, item] of rest) await work(item, index);
  };
  await Promise.all(Array.from({ length: atOnce }, worker));
}

/** Segment's own library for Node. */
async function library(worker, list) {
  const client = new Analytics({ writeKey, host: worker.url, flushAt: 100, flushInterval: 500 });
  const errors = [];
  client.on("error", (error) => errors.push(error));
  for (const one of list) client.track({ userId, ...fields(one) });
  await client.closeAndFlush({ timeout: 60_000 });
  if (errors.length > 0) throw new Error(`the library could not deliver: ${errors[0].reason ?? errors[0].code}`);
  return list.length;
}

/** A server that sends batches of all sizes, every other one compressed, and every sixth one repeatedly. */
async function batches(worker, list) {
  const parts = [];
  for (let at = 0; at < list.length; ) {
    const size = [40, 700, 150, 350, 90][parts.length % 5];
    parts.push(list.slice(at, at + size).map(call));
    at += size;
  }
  let sent = 0;
  const post = async (calls, packed) => {
    const text = JSON.stringify({ batch: calls, sentAt: new Date().toISOString() });
    sent += calls.length;
    const headers = packed ? { "content-encoding": "gzip" } : {};
    succeeded(await worker.post("/v1/batch", packed ? gzipSync(text) : text, headers));
  };
  await each(parts, 4, async (calls, index) => {
    const again = index % 6 === 0;
    await Promise.all([post(calls, index % 2 === 0), again && index % 12 === 0 && post(calls, true)]);
    // Some events once more, together with events that another client has just sent.
    if (again) await post([...calls.slice(calls.length / 2), ...parts[Math.max(0, index - 1)].slice(0, 20)], false);
  });
  return sent;
}

/** Pages that post each event by itself, and every eighth one again by another route. */
async function posts(worker, list) {
  let sent = 0;
  await each(list.map(call), 6, async (event, index) => {
    const headers = { "content-type": "text/plain", origin: "https://shop.example", authorization: null };
    const body = JSON.stringify({ ...event, writeKey, sentAt: new Date().toISOString() });
    for (const path of index % 8 === 0 ? ["/v1/track", "/v1/t"] : ["/v1/t"]) {
      succeeded(await worker.post(path, body, headers));
      sent += 1;
    }
  });
  return sent;
}

/** Sends events by all clients at once, and returns the number of calls. */
export async function sendByAll(worker, list) {
  const [forPosts, forLibrary] = [Math.floor(list.length * 0.02), Math.floor(list.length * 0.35)];
  const sent = await Promise.all([
    posts(worker, list.slice(0, forPosts)),
    library(worker, list.slice(forPosts, forPosts + forLibrary)),
    batches(worker, list.slice(forPosts + forLibrary)),
  ]);
  return sent.reduce((sum, count) => sum + count);
}

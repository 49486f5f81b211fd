// Requests whose answers are not the JSON of the tracking protocol: pictures, scripts, and settings of libraries.

import assert from "node:assert/strict";
import { once } from "node:events";
import { request } from "node:http";
import { performance } from "node:perf_hooks";
import { list } from "./contract.mjs";
import { secrets } from "./worker.mjs";

/** Longest time until an answer, in milliseconds. */
const slowest = 7_000;

/**
 * Sends a GET without credentials, and checks that the answer is in time, gives no secret away, and has the headers for
 * a page of another origin if such a page asked.
 *
 * @param {{ url: string }} worker
 * @param {string} path
 * @param {Record<string, string>} [headers]
 */
export async function get(worker, path, headers = {}) {
  const started = performance.now();
  const response = await fetch(worker.url + path, { headers, redirect: "manual" });
  const bytes = Buffer.from(await response.arrayBuffer());
  const ms = performance.now() - started;
  const answer = { status: response.status, headers: response.headers, bytes, text: bytes.toString("utf8") };
  const where = `GET ${path.slice(0, 200)} → ${answer.status} ${answer.text.slice(0, 300)}`;
  assert.ok(ms < slowest, `${where}: took ${Math.round(ms)} ms`);
  const { LIBRATO_EMAIL: email, LIBRATO_TOKEN: token } = secrets;
  const everything = [answer.text, ...[...response.headers].map((header) => header.join(": "))].join("\n");
  for (const secret of [email, token]) assert.ok(!everything.includes(secret), `${where}: a secret was given away`);
  if (headers.origin) readableFrom(headers.origin, answer, where);
  return { ...answer, json: () => JSON.parse(answer.text) };
}

/** Asserts that a page of this origin can read the answer. */
export function readableFrom(origin, { headers }, where = "the answer") {
  assert.equal(headers.get("access-control-allow-origin"), origin, where);
  assert.ok(list(headers.get("vary")).includes("origin"), `${where}: Vary: ${headers.get("vary")}`);
  const exposed = list(headers.get("access-control-expose-headers"));
  for (const name of ["retry-after", "x-ratelimit-reset"]) assert.ok(exposed.includes(name), `${where}: ${exposed}`);
}

/** Returns the raw text of a GET with another host than the one that it is sent to. */
export async function getAs(worker, host, path) {
  const { hostname, port } = new URL(worker.url);
  const asked = request({ hostname, port, path, headers: { host }, agent: false }).end();
  const [response] = await once(asked, "response");
  const chunks = await response.toArray();
  return { status: response.statusCode, text: Buffer.concat(chunks).toString("utf8") };
}

/** Returns the base64 of JSON. */
export function base64(event) {
  return Buffer.from(typeof event === "string" ? event : JSON.stringify(event)).toString("base64");
}

/** Returns the same in base64url. */
export function base64url(event) {
  return base64(event).replaceAll("+", "-").replaceAll("/", "_");
}

/** Returns the library's text without the configuration by the Worker: its URL and the write key. */
export function untold(script) {
  return script.replace(/^!function\(\)\{var publicUrl="[^"]*",writeKey="[^"]*",/, "");
}

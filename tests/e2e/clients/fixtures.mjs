// The requests of clients that cannot be installed here.

import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { gzipSync } from "node:zlib";
import { projectPath } from "../lib/project.mjs";

const FOLDER = "tests/fixtures/clients";

/**
 * Reads a fixture: what is known of it, and the request. A body that its head calls gzip or chunked stands there as it
 * was before; its length is then `*`.
 */
function read(file) {
  const [top, ...rest] = readFileSync(projectPath(`${FOLDER}/${file}`), "utf8").split("\n\n");
  const about = {};
  const head = top.split("\n").filter((line) => {
    const [, key, value] = /^# (\w+): (.*)$/.exec(line) ?? [];
    if (key) about[key] = value;
    return !key;
  });
  const has = (header) => head.some((line) => line.toLowerCase() === header);

  // The file ends with a newline; the body does not.
  let body = Buffer.from(rest.join("\n\n").slice(0, -1));
  JSON.parse(body);
  if (has("content-encoding: gzip")) body = gzipSync(body);
  const length = head.findIndex((line) => line.startsWith("Content-Length: "));
  if (length >= 0 && head[length].endsWith("*")) head[length] = `Content-Length: ${body.length}`;
  if (length >= 0) assert.equal(head[length], `Content-Length: ${body.length}`);
  if (has("transfer-encoding: chunked")) body = chunked(body);
  return {
    client: about.client,
    version: about.version,
    target: head[0].split(" ")[1],
    first: about.first && JSON.parse(about.first),
    needs: about.needs && JSON.parse(about.needs),
    gauges: JSON.parse(about.gauges),
    request: Buffer.concat([Buffer.from(`${head.join("\r\n")}\r\n\r\n`), body]),
  };
}

/** The body in two chunks. */
function chunked(body) {
  const middle = Math.floor(body.length / 2);
  const chunk = (bytes) => [`${bytes.length.toString(16)}\r\n`, bytes, "\r\n"];
  const parts = [...chunk(body.subarray(0, middle)), ...chunk(body.subarray(middle)), "0\r\n\r\n"];
  return Buffer.concat(parts.map((part) => Buffer.from(part)));
}

/**
 * @typedef {object} Fixture
 * @property {string} client
 * @property {string} version of the source that it was taken from
 * @property {string} target path and query
 * @property {{ target: string, headers: Record<string, string> }} [first] what it asks before it sends anything
 * @property {object} [needs] what the answer to that must hold, or it never begins: a value, or the type of one by its
 *   name; an array only has to be one
 * @property {object[]} gauges what has to come of it; `age` is by how many milliseconds it happened before it was sent
 * @property {Buffer} request the bytes
 */

/** @type {Fixture[]} */
export const fixtures = readdirSync(projectPath(FOLDER))
  .filter((file) => file.endsWith(".http"))
  .map(read);

// The requests of clients that cannot be installed here: as the running library has sent them, or as its source puts them
// together.

import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { gzipSync } from "node:zlib";
import { projectPath } from "../lib/project.mjs";

const FOLDER = "tests/fixtures/clients";
const RECORDED = "recorded";

const filesIn = (folder) => readdirSync(projectPath(folder)).filter((file) => file.endsWith(".http"));

/**
 * Reads a file: what is known of it, the lines of the head, and the body. A body that its head calls gzip or chunked stands
 * there as it was before.
 */
function parts(file) {
  const [top, ...rest] = readFileSync(projectPath(`${FOLDER}/${file}`), "utf8").split("\n\n");
  const about = {};
  const head = top.split("\n").filter((line) => {
    const [, key, value] = /^# (\w+): (.*)$/.exec(line) ?? [];
    if (key) about[key] = value;
    return !line.startsWith("#");
  });
  // The file ends with a newline; the body does not.
  return { about, head, body: Buffer.from(rest.join("\n\n").slice(0, -1)) };
}

/** The bytes of a request. Its length is what `lengthOf` makes of the one that stands there and of the real one. */
function bytes(head, json, lengthOf) {
  JSON.parse(json);
  const has = (header) => head.some((line) => line.toLowerCase() === header);
  let body = has("content-encoding: gzip") ? gzipSync(json) : json;
  const lines = head.map((line) =>
    line.replace(/^(content-length: )(.*)$/i, (_, name, there) => name + lengthOf(there, body.length)),
  );
  if (has("transfer-encoding: chunked")) body = chunked(body);
  return Buffer.concat([Buffer.from(`${lines.join("\r\n")}\r\n\r\n`), body]);
}

/** Reads a request that was put together. The length of a body that is compressed is `*`. */
function read(file) {
  const { about, head, body } = parts(file);
  return {
    client: about.client,
    version: about.version,
    target: head[0].split(" ")[1],
    first: about.first && JSON.parse(about.first),
    needs: about.needs && JSON.parse(about.needs),
    gauges: JSON.parse(about.gauges),
    request: bytes(head, body, (there, length) => {
      if (there !== "*") assert.equal(there, String(length));
      return length;
    }),
  };
}

/** Reads a request that was recorded. Compressed again, it may have another length. */
function replay(file) {
  const { about, head, body } = parts(`${RECORDED}/${file}`);
  // The commit stands behind it.
  const [version] = about.version.split(" ");
  return {
    client: about.client,
    version,
    target: head[0].split(" ")[1],
    events: JSON.parse(body).batch,
    request: bytes(head, body, (_, length) => length),
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
export const fixtures = filesIn(FOLDER).map(read);

/**
 * The recorded ones, with the events that they hold. All have this key.
 *
 * @type {{ client: string, version: string, target: string, events: object[], request: Buffer }[]}
 */
export const recordings = filesIn(`${FOLDER}/${RECORDED}`).map(replay);
export const RECORDED_KEY = "local";

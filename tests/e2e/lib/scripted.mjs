// Mock of Librato that answers by a script and records requests.

import { once } from "node:events";
import { createServer } from "node:http";
import { setTimeout as sleep } from "node:timers/promises";
import { createGzip } from "node:zlib";

/**
 * @typedef {object} Answer
 * @property {number} [status]
 * @property {Record<string, string>} [headers]
 * @property {string | object} [body]
 * @property {number} [delay] milliseconds before the answer
 * @property {'before' | 'middle'} [cut] resets the connection instead of answering, or in the middle of the body
 * @property {'all' | 'body'} [hang] sends no answer, or only its head
 * @property {'plain' | 'gzip'} [endless] sends spaces after the body, for as long as they are read
 *
 * @typedef {object} Recorded a request
 * @property {string} method
 * @property {string} path
 * @property {string[]} rawHeaders names and values alternately, in their order and spelling
 * @property {Record<string, string>} headers
 * @property {string} text the body
 * @property {object} json the body
 * @property {object[]} gauges the members of the body
 * @property {number} at epoch milliseconds
 * @property {Answer} answer the answer to it
 */

/**
 * Starts one on a free port. Without a script it answers every request like Librato, with a 200 without a body.
 *
 * @param {object} [options]
 * @param {boolean} [options.onlyPosts] answers a GET, which only checks the credentials, by a 200, and leaves it out of
 *   the record and of the script
 */
export async function startScripted({ onlyPosts = false } = {}) {
  const librato = new Scripted(onlyPosts);
  await librato.start();
  return librato;
}

class Scripted {
  /** @type {Recorded[]} */
  requests = [];
  /** Most requests that were open at the same time. */
  busiest = 0;
  /** Number of open requests. */
  open = 0;
  #onlyPosts;
  #script = [];
  #then = () => ({});
  #ending = new AbortController();
  #server = createServer((request, response) => this.#answer(request, response));

  constructor(onlyPosts) {
    this.#onlyPosts = onlyPosts;
  }

  async start() {
    this.#server.listen(0, "127.0.0.1");
    await once(this.#server, "listening");
    this.url = `http://127.0.0.1:${this.#server.address().port}`;
  }

  /**
   * Clears the record, and sets the script.
   *
   * @param {Answer[]} script one answer for each request to come
   * @param {(request: Recorded) => Answer} [then] the answers after the script
   */
  play(script, then = () => ({})) {
    this.requests = [];
    this.busiest = 0;
    this.#script = [...script];
    this.#then = then;
    return this;
  }

  /** Returns every received gauge, request by request. */
  get gauges() {
    return this.requests.flatMap(({ gauges }) => gauges);
  }

  async #answer(request, response) {
    if (this.#onlyPosts && request.method === "GET") return response.end("{}");
    this.open += 1;
    this.busiest = Math.max(this.busiest, this.open);
    response.on("close", () => {
      this.open -= 1;
    });
    // A Worker that gives up closes its connection, which is no error here.
    request.on("error", () => {});
    response.on("error", () => {});

    const at = Date.now();
    const chunks = [];
    for await (const chunk of request) chunks.push(chunk);
    const recorded = record(request, Buffer.concat(chunks), at);
    this.requests.push(recorded);
    const answer = this.#script.shift() ?? this.#then(recorded);
    recorded.answer = answer;
    const { status = 200, headers = {}, body = "", delay = 0, cut, hang, endless } = answer;

    try {
      if (delay) await sleep(delay, undefined, { signal: this.#ending.signal });
    } catch {
      return;
    }
    if (hang === "all") return;
    if (cut === "before") return request.socket.resetAndDestroy();
    const text = typeof body === "string" ? body : JSON.stringify(body);
    const type = typeof body === "string" ? {} : { "content-type": "application/json" };
    if (cut === "middle" || hang === "body") {
      response.writeHead(status, { ...type, ...headers, "content-length": Buffer.byteLength(text) + 100 });
      response.write(text || " ");
      if (cut) setImmediate(() => request.socket.resetAndDestroy());
      return;
    }
    if (endless) {
      const packing = endless === "gzip" ? { "content-encoding": "gzip" } : {};
      response.writeHead(status, { ...type, ...headers, ...packing });
      return pour(text, endless === "gzip" ? createGzip() : undefined, response);
    }
    response.writeHead(status, { ...type, "content-length": Buffer.byteLength(text), ...headers });
    response.end(text);
  }

  async stop() {
    this.#ending.abort();
    this.#server.close();
    this.#server.closeAllConnections();
    if (this.#server.listening) await once(this.#server, "close");
  }
}

/** Sends a text and then spaces, compressed or not, until the connection is closed. */
function pour(text, packing, response) {
  packing?.pipe(response);
  const out = packing ?? response;
  const spaces = Buffer.alloc(65_536, " ");
  const more = () => {
    while (!response.destroyed && out.write(spaces));
  };
  out.on("drain", more);
  response.on("close", () => packing?.destroy());
  out.write(text);
  more();
}

/** @returns {Recorded} */
function record(request, bytes, at) {
  const text = bytes.toString("utf8");
  return {
    method: request.method,
    path: request.url,
    rawHeaders: request.rawHeaders,
    headers: request.headers,
    text,
    get json() {
      return JSON.parse(text);
    },
    get gauges() {
      return this.json.gauges;
    },
    at,
  };
}

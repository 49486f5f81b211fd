// What stands before Librato and refuses a client's measurements until it has refused each of them so often. So an outage
// lasts as long as it takes a client to try, however busy the machine is.

import { once } from "node:events";
import { createServer } from "node:http";
import { text } from "node:stream/consumers";
import { isOf } from "./calls.mjs";

/**
 * @typedef {object} Outage
 * @property {number} status
 * @property {Record<string, string>} [headers]
 * @property {number} times how often it refuses each measurement; Infinity until it is lifted
 */

export class Gate {
  /** @type {Map<string, Outage & { refused: Map<string, number>, first?: number, passed?: number }>} by the client's id */
  #outages = new Map();
  #server = createServer((request, response) => this.#pass(request, response));

  /** @param {string} librato its base URL */
  constructor(librato) {
    this.librato = librato;
  }

  async start() {
    this.#server.listen(0, "127.0.0.1");
    await once(this.#server, "listening");
    this.url = `http://127.0.0.1:${this.#server.address().port}`;
    return this;
  }

  /**
   * Has Librato be down for a client.
   *
   * @param {string} id
   * @param {Outage} outage
   */
  close(id, outage) {
    this.#outages.set(id, { ...outage, refused: new Map() });
  }

  /** Has Librato be up again for a client. */
  open(id) {
    this.#outages.get(id).times = 0;
  }

  /** How often a client's measurements have been refused, the one that was refused most. */
  refused(id) {
    return Math.max(0, ...this.#outages.get(id).refused.values());
  }

  /** Epoch milliseconds of the first request that it has refused a client, and of the first that it has not. */
  times(id) {
    const { first, passed } = this.#outages.get(id);
    return { first, passed };
  }

  /** What a request is refused with, if it is. */
  #refusal(gauges) {
    for (const [id, outage] of this.#outages) {
      const keys = gauges.filter(({ name }) => isOf(id, name)).map(({ name, source }) => `${name} ${source}`);
      if (keys.length === 0) continue;
      if (keys.every((key) => (outage.refused.get(key) ?? 0) >= outage.times)) {
        outage.passed ??= Date.now();
        continue;
      }
      outage.first ??= Date.now();
      for (const key of keys) outage.refused.set(key, (outage.refused.get(key) ?? 0) + 1);
      return outage;
    }
    return undefined;
  }

  async #pass(request, response) {
    const body = await text(request);
    const refusal = this.#refusal(JSON.parse(body).gauges);
    if (refusal) return response.writeHead(refusal.status, refusal.headers).end();
    const { authorization, "content-type": type } = request.headers;
    const headers = { authorization, "content-type": type };
    const answer = await fetch(this.librato + request.url, { method: request.method, headers, body });
    response.writeHead(answer.status, { "content-type": answer.headers.get("content-type") ?? "text/plain" });
    response.end(await answer.text());
  }

  async stop() {
    this.#server.close();
    this.#server.closeAllConnections();
    await once(this.#server, "close");
  }
}

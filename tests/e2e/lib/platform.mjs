// The platform's part of durable delivery in a test's hands: queues that remember what they are given or refuse it, and
// a once-storage that fails on demand. Everything else is as it is deployed.

import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { Response } from "miniflare";
import { batch } from "./events.mjs";
import { succeeded } from "./expect.mjs";
import { waitFor } from "./wait.mjs";
import { configuration, startWorker } from "./worker.mjs";

/** What an operator names. */
export const operatorToken = `operator-${randomBytes(12).toString("hex")}`;

const [{ queue: measurements }, { queue: setAside }] = configuration().queues.producers;

/** What an object of the once-storage may do wrong although it answers 200, or does not answer in time. */
export const wrongAnswers = [
  "no question",
  "half a question",
  "nothing",
  "one byte less",
  "one byte more",
  "other values",
  "another tag",
  "the stats",
  "its question",
  "a page",
  "late",
];

/** A Worker beside the one that is tested. Its queues and its once-storage ask the test what to do. */
const script = `
  import { DurableObject, WorkerEntrypoint } from "cloudflare:workers";

  async function ask(env, question) {
    const answer = await env.TEST.fetch("http://test/", { method: "POST", body: JSON.stringify(question) });
    return answer.text();
  }

  export class Queue extends WorkerEntrypoint {
    send(body, options) {
      return this.#take([{ ...options, body }]);
    }
    sendBatch(messages) {
      return this.#take([...messages]);
    }
    async #take(messages) {
      const refusal = await ask(this.env, { queue: this.ctx.props.binding, messages });
      if (refusal === "hang") await new Promise(() => setTimeout(() => {}, 60_000));
      if (refusal !== "") throw new Error(refusal);
    }
  }

  export class Memory extends DurableObject {
    async fetch(request) {
      const bytes = new Uint8Array(await request.arrayBuffer());
      const wish = await ask(this.env, { once: String.fromCharCode(bytes[0] ?? 63), object: this.ctx.id.name });
      const real = (body) => {
        const object = this.env.ONCE.getByName(this.ctx.id.name);
        return object.fetch(request.url, { method: request.method, body: body.length === 0 ? undefined : body });
      };
      const answered = async (body) => new Uint8Array(await (await real(body)).arrayBuffer());
      const wait = (time) => new Promise((resolve) => setTimeout(resolve, time));
      switch (wish) {
        case "":
          return real(bytes);
        case "hang":
          return wait(60_000);
        case "throw":
          throw new Error("the storage is out of order");
        case "late": {
          const answer = await answered(bytes);
          await wait(11_000);
          return new Response(answer);
        }
        case "no question":
          return real([]);
        case "half a question":
          return real(bytes.slice(0, Math.ceil(bytes.length / 2)));
        case "nothing":
          return new Response();
        case "one byte less":
          return new Response((await answered(bytes)).slice(0, -1));
        case "one byte more":
          return new Response(Uint8Array.of(...(await answered(bytes)), 0));
        case "other values":
          return new Response((await answered(bytes)).map((byte, at) => (at === 0 ? byte : 7)));
        case "another tag":
          return new Response((await answered(bytes)).map((byte, at) => (at === 0 ? 120 : byte)));
        case "the stats":
          return new Response(await answered(new TextEncoder().encode("s")));
        case "its question":
          return new Response(bytes);
        case "a page":
          return new Response("<html>200 OK</html>");
        default:
          return new Response(wish, { status: Number(wish) });
      }
    }
  }

  export default {};
`;

/**
 * Starts a Worker whose queues are in the test's hands.
 *
 * @param {object} options as `startWorker` takes them
 * @param {boolean} [options.once] whether the once-storage is bound at all
 * @param {number} [options.queues] of measurements
 * @returns {Promise<Platform>}
 */
export async function startPlatform({ librato, settings, storage, front, once = true, queues = 1 } = {}) {
  const more = Array.from({ length: queues - 1 }, (_, index) => `MEASUREMENTS_${index + 1}`);
  const platform = new Platform(["MEASUREMENTS", ...more, "SET_ASIDE"]);
  const { name, compatibility_date: compatibilityDate } = configuration();
  const queue = (binding) => [binding, { name: "platform", entrypoint: "Queue", props: { binding } }];
  const own = { className: "Once", useSQLite: true };
  platform.worker = await startWorker({
    librato,
    settings: { OPERATOR_TOKEN: operatorToken, ...settings },
    storage,
    front,
    platform: {
      serviceBindings: Object.fromEntries(platform.bindings.map(queue)),
      durableObjects: {
        ...(once && { ONCE: { className: "Memory", scriptName: "platform", useSQLite: true } }),
        LETTERS: { className: "SetAside", useSQLite: true },
      },
      additionalUnboundDurableObjects: [own],
    },
    beside: [
      {
        name: "platform",
        compatibilityDate,
        modules: true,
        script,
        durableObjects: { ONCE: { ...own, scriptName: name } },
        additionalUnboundDurableObjects: [{ className: "Memory", useSQLite: true }],
        serviceBindings: { TEST: async (request) => new Response(platform.answer(await request.json())) },
      },
    ],
  });
  return platform;
}

/** Runs with such a Worker, which ends afterwards. */
export async function withPlatform(options, use) {
  const platform = await startPlatform(options);
  try {
    return await use(platform);
  } finally {
    await platform.stop();
  }
}

class Platform {
  /** The names of the queues' bindings. */
  bindings;
  /** Calls of the queues since the last `forget`, each with its messages. */
  calls;
  /** Why a queue does not take a call, if it does not: the error's text, or "hang". */
  refuse;
  /**
   * What the once-storage does when it is asked (c), told (d), wanted a number of (w) or looked at (s): "throw", "hang",
   * a status, or one of `wrongAnswers`.
   */
  once = () => "";
  /** The objects of the once-storage that have been asked. */
  asked = new Set();
  #before = 0;
  #consumed = 0;

  constructor(bindings) {
    this.bindings = bindings;
    this.#works();
  }

  #works() {
    const each = (value) => Object.fromEntries(this.bindings.map((name) => [name, value()]));
    this.calls = each(() => []);
    this.refuse = each(() => () => "");
    this.once = () => "";
    this.asked.clear();
  }

  answer({ queue, messages, once, object }) {
    if (once) {
      this.asked.add(object);
      return this.once(once);
    }
    const refusal = this.refuse[queue](messages);
    if (!refusal) this.calls[queue].push(messages);
    return refusal;
  }

  /** Everything works from now on, and what was is forgotten. */
  async forget() {
    this.#works();
    this.#before = (await this.delivery()).waiting;
  }

  /** The bodies of the messages that a queue of measurements has been given since it was asked last. */
  taken(binding = "MEASUREMENTS") {
    return this.calls[binding]
      .splice(0)
      .flat()
      .map(({ body, contentType }) => {
        assert.equal(contentType, "text");
        return body;
      });
  }

  /** The letters that the dead-letter queue has been given since it was asked last. */
  letters() {
    return this.calls.SET_ASIDE.splice(0)
      .flat()
      .map(({ body }) => JSON.parse(body));
  }

  /** Sends events as one request and returns the bodies of the messages that they became. */
  async pack(events, headers) {
    succeeded(await this.worker.post("/v1/batch", batch(events, { sentAt: undefined }), headers));
    return this.taken();
  }

  /** Sends each event as a request of its own and returns the bodies of the messages. */
  async packEach(events) {
    const bodies = [];
    for (const event of events) bodies.push(...(await this.pack([event])));
    return bodies;
  }

  /**
   * Hands messages over as one batch of the queue of measurements, each with a number of attempts (1 unless given).
   *
   * @param {unknown[]} bodies
   * @param {number[]} [attempts]
   * @returns {Promise<("ack" | number)[]>} what became of each: acknowledged, or seconds until it comes again
   */
  consume(bodies, attempts = []) {
    this.#consumed += 1;
    return this.#dispatch(measurements, bodies, attempts);
  }

  /** The same for the dead-letter queue. */
  keep(bodies) {
    return this.#dispatch(setAside, bodies, []);
  }

  async #dispatch(queue, bodies, attempts) {
    const messages = bodies.map((body, index) => ({
      id: `message-${index}`,
      timestamp: new Date(),
      attempts: attempts[index] ?? 1,
      body,
    }));
    const { outcome, ackAll, retryBatch, explicitAcks, retryMessages } = await this.worker.dispatch(queue, messages);
    // A handler that fails brings back what was acknowledged, and so does a word about the whole batch.
    assert.deepEqual({ outcome, ackAll, retryBatch }, { outcome: "ok", ackAll: false, retryBatch: { retry: false } });
    assert.equal(explicitAcks.length + retryMessages.length, messages.length, "each message is settled, and once");
    return messages.map(({ id }) => {
      if (explicitAcks.includes(id)) return "ack";
      const { delaySeconds } = retryMessages.find(({ msgId }) => msgId === id);
      assert.ok(Number.isInteger(delaySeconds), `${id} comes again after ${delaySeconds}`);
      return delaySeconds;
    });
  }

  /** The line that the consumer has logged of its last batch. */
  line() {
    return waitFor("the consumer's line", () => {
      const lines = this.worker.lines.filter(({ event }) => event === "consume");
      return lines.length === this.#consumed && lines.at(-1);
    });
  }

  /** What `GET /health?deep=1` tells an operator of the delivery. */
  async delivery() {
    return (await this.operator("GET", "/health?deep=1")).json().delivery;
  }

  /** How many events have been seen by a consumer since the last `forget`, and neither delivered nor set aside. */
  async waiting() {
    return (await this.delivery()).waiting - this.#before;
  }

  /** An operator's request. */
  operator(method, path, body, token = operatorToken) {
    return this.worker.fetch(path, { method, body, headers: { authorization: `Bearer ${token}` } });
  }

  stop() {
    return this.worker.stop();
  }
}

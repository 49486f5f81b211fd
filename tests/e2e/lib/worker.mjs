// The Worker as it is deployed: the artefact in `build/`, in workerd, with the project's own `wrangler.toml`.

import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { readdirSync } from "node:fs";
import { connect } from "node:net";
import { devNull } from "node:os";
import { join } from "node:path";
import { performance } from "node:perf_hooks";
import { convertV4MiniflareOptions, Miniflare } from "miniflare";
import { unstable_getMiniflareWorkerOptions, unstable_readConfig } from "wrangler";
import { checkAnswer } from "./contract.mjs";
import { userId } from "./events.mjs";
import { projectPath } from "./project.mjs";

// The `.dev.vars` and `.env` of whoever runs the tests stay out of them: here the one is not looked for, and below an
// empty file is named for the other.
process.env.CLOUDFLARE_LOAD_DEV_VARS_FROM_DOT_ENV = "false";

const unguessable = (name) => `${name}-${randomBytes(12).toString("hex")}`;

/** What the Worker is given unless a test says otherwise. All of it must stay out of answers and log lines. */
export const secrets = {
  LIBRATO_EMAIL: `${unguessable("metrics")}@example.com`,
  LIBRATO_TOKEN: unguessable("token"),
  WRITE_KEYS: unguessable("key"),
};

/** The write key that the requests of the tests carry. */
export const writeKey = secrets.WRITE_KEYS;

/** An `Authorization` header for a user and a password. */
export function basic(user, password = "") {
  return `Basic ${Buffer.from(`${user}:${password}`).toString("base64")}`;
}

/**
 * Starts a Worker of its own.
 *
 * @param {object} options
 * @param {string} [options.librato] base URL of the Librato that it sends to
 * @param {Record<string, string | null>} [options.settings] variables and secrets; `null` takes one away, also one
 *   that `wrangler.toml` sets
 * @param {boolean} [options.queues] with the queues of `wrangler.toml`, so that delivery is durable; without, it is direct
 * @param {object} [options.platform] further bindings, as options of Miniflare's, for what `wrangler.toml` does not bind
 * @param {object[]} [options.beside] further Workers, as options of Miniflare's
 * @param {string} [options.front] a main module in front of the artefact, which is `./index.js` to it
 * @param {boolean} [options.https] reached by https as well, at `entry`, with a certificate that nobody signed
 * @param {string} [options.storage] where Durable Objects are stored; unless given, they end with the Worker
 * @returns {Promise<Worker>}
 */
export async function startWorker({
  librato,
  settings = {},
  queues = false,
  platform = {},
  beside = [],
  front,
  https = false,
  storage,
} = {}) {
  const { config, options, modules } = project();
  const all = { ...config.vars, LIBRATO_URL: librato ?? config.vars.LIBRATO_URL, ...secrets, ...settings };
  const bindings = Object.fromEntries(Object.entries(all).filter(([, value]) => value !== null));
  const logs = [];
  const running = new Miniflare(
    convertV4MiniflareOptions({
      workers: [
        {
          ...options,
          ...(queues ? {} : { queueProducers: {}, queueConsumers: {} }),
          ...platform,
          name: config.name,
          modules: front
            ? [{ type: "ESModule", path: join(config.base_dir, "front.js"), contents: front }, ...modules]
            : modules,
          modulesRoot: config.base_dir,
          bindings,
          // workerd's own socket, without Miniflare's entry in front: what a test sends is what the Worker gets.
          unsafeDirectSockets: [{ host: "127.0.0.1", port: 0 }],
        },
        ...beside,
      ],
      https,
      resourcePersistencePath: storage,
      handleStructuredLogs: ({ message }) => logs.push(message),
      cf: false,
    }),
  );
  const entry = await running.ready;
  const url = await running.unsafeGetDirectURL(config.name);
  return new Worker(url, entry, running, bindings, logs, config.name);
}

/** Runs with a Worker that ends afterwards. */
export async function withWorker(options, use) {
  const worker = await startWorker(options);
  try {
    return await use(worker);
  } finally {
    await worker.stop();
  }
}

/** What `wrangler.toml` says. */
export function configuration() {
  return project().config;
}

let known;

/** What `wrangler.toml` says, and the artefact that it names: read once, and never built here. */
function project() {
  if (known) return known;
  const config = unstable_readConfig({ config: projectPath("wrangler.toml") }, { hideWarnings: true });
  let names;
  try {
    names = readdirSync(config.base_dir).filter((name) => name.endsWith(".wasm"));
  } catch {
    throw new Error('there is no built Worker: run "npm run build" first');
  }
  const { workerOptions } = unstable_getMiniflareWorkerOptions(config, undefined, { envFiles: [devNull] });
  const modules = [
    { type: "ESModule", path: config.main },
    ...names.map((name) => ({ type: "CompiledWasm", path: join(config.base_dir, name) })),
  ];
  known = { config, options: workerOptions, modules };
  return known;
}

class Worker {
  #running;
  #logs;
  #heard = [];
  #hidden;
  #name;

  constructor(url, entry, running, values, logs, name) {
    this.url = url.origin;
    /** Where Miniflare's entry listens, which stands before the Worker. */
    this.entry = entry.origin;
    this.#running = running;
    this.#logs = logs;
    this.#name = name;
    const { LIBRATO_EMAIL: email, LIBRATO_TOKEN: token, WRITE_KEYS: keys, OPERATOR_TOKEN: operator } = values;
    const headers = values.OTLP_HEADERS?.split(",").map((pair) =>
      decodeURIComponent(pair.slice(pair.indexOf("=") + 1)),
    );
    const together = email && token && basic(email, token).slice(6);
    const all = [email, token, ...(keys?.split(",") ?? []), together, operator, ...(headers ?? [])];
    this.#hidden = all.filter((secret) => secret?.trim());
  }

  /**
   * One request, with the write key as header unless `headers` has an `Authorization` (`null` for none at all).
   * A body that is neither text nor bytes is sent as JSON.
   */
  async fetch(path, { method = "GET", headers = {}, body, ...rest } = {}) {
    const sent = new Headers({ authorization: basic(writeKey) });
    for (const [name, value] of Object.entries(headers)) {
      if (value === null) sent.delete(name);
      else sent.set(name, value);
    }
    const raw = body === undefined || typeof body === "string" || body instanceof Uint8Array;
    const started = performance.now();
    const response = await fetch(this.url + path, {
      method,
      headers: sent,
      body: raw ? body : JSON.stringify(body),
      redirect: "manual",
      ...rest,
    });
    const text = await response.text();
    const answer = { status: response.status, headers: response.headers, text, ms: performance.now() - started };
    this.#heard.push(text, ...[...response.headers].map((header) => header.join(": ")));
    checkAnswer({ method, path, origin: sent.get("origin") }, answer);
    return { ...answer, json: () => JSON.parse(text) };
  }

  /** One POST: an event, a batch or whatever else a client might send. */
  post(path, body, headers = {}) {
    return this.fetch(path, { method: "POST", body, headers });
  }

  /** Hands messages to the consumer of a queue, and tells what Miniflare says of it. */
  async dispatch(queue, messages) {
    const fetcher = await this.#running.getWorker();
    return fetcher.queue(queue, messages);
  }

  /** Ends a Durable Object, which comes back from its storage when it is asked next. */
  evict(className, name) {
    return this.#running.unsafeEvictDurableObject(this.#name, className, { name });
  }

  /** A bare connection, for what no HTTP client would send. */
  connect() {
    const { hostname, port } = new URL(this.url);
    return connect(Number(port), hostname);
  }

  /**
   * Everything that the Worker has printed so far, without what workerd itself says of a connection that a client has
   * cut: that comes with a stack of workerd's, or tells of a handshake that nobody ended.
   */
  get printed() {
    return this.#logs.filter(
      (message) => !/^(stack: \S*workerd@|HTTP connection failed: TLS handshake failed)/m.test(message),
    );
  }

  /** The log lines, each of which is one JSON object. */
  get lines() {
    return this.printed.map((message) => JSON.parse(message));
  }

  /**
   * Ends the Worker, and checks that it printed nothing but JSON lines, none of them with anything of an event, and
   * gave none of its secrets away.
   */
  async stop() {
    await this.#running.dispose();
    for (const line of this.printed) {
      assert.doesNotThrow(() => JSON.parse(line), `not one JSON object a line: ${line}`);
      assert.ok(!line.includes(userId), `a user stands in a log line: ${line}`);
    }
    const everything = [...this.#heard, ...this.printed].join("\n").toLowerCase();
    for (const secret of this.#hidden) {
      const at = everything.indexOf(secret.toLowerCase());
      assert.equal(at, -1, `a secret was given away: …${everything.slice(Math.max(0, at - 200), at)}⟨here⟩`);
    }
  }
}

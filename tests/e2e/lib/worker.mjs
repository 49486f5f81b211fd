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

// The developer's own `.dev.vars` and `.env` must not affect tests: the one is not searched for here, and an empty file
// is named for the other below.
process.env.CLOUDFLARE_LOAD_DEV_VARS_FROM_DOT_ENV = "false";

const unguessable = (name) => `${name}-${randomBytes(12).toString("hex")}`;

/** Default settings of the Worker. None of them may appear in answers or log lines. */
export const secrets = {
  LIBRATO_EMAIL: `${unguessable("metrics")}@example.com`,
  LIBRATO_TOKEN: unguessable("token"),
  WRITE_KEYS: unguessable("key"),
};

/** Write key of the tests' requests. */
export const writeKey = secrets.WRITE_KEYS;

/** Returns an `Authorization` header for a user and a password. */
export function basic(user, password = "") {
  return `Basic ${Buffer.from(`${user}:${password}`).toString("base64")}`;
}

/**
 * Starts a separate Worker.
 *
 * @param {object} options
 * @param {string} [options.librato] base URL of its Librato
 * @param {Record<string, string | null>} [options.settings] variables and secrets; `null` unsets one, also one of
 *   `wrangler.toml`
 * @param {boolean} [options.queues] binds the queues of `wrangler.toml`, so that delivery is durable
 * @param {object} [options.platform] further bindings, as options of Miniflare's, for what `wrangler.toml` does not
 *   bind
 * @param {object[]} [options.beside] further Workers, as options of Miniflare's
 * @param {string} [options.front] a main module in front of the artefact, which is `./index.js` to it
 * @param {boolean} [options.https] serves HTTPS as well, at `entry`, with a self-signed certificate
 * @param {string} [options.storage] folder of Durable Objects, which otherwise end with the Worker
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
          // workerd's own socket, without Miniflare's entry before it, which would change requests.
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

/** Runs with a Worker, and stops it afterwards. */
export async function withWorker(options, use) {
  const worker = await startWorker(options);
  try {
    return await use(worker);
  } finally {
    await worker.stop();
  }
}

/** Reads `wrangler.toml`. */
export function configuration() {
  return project().config;
}

let known;

/** The configuration of `wrangler.toml`, and the artefact that it names: read once, and never built here. */
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
    /** URL of Miniflare's entry, which forwards to the Worker. */
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
   * Sends a request, with the write key as header unless `headers` has an `Authorization` (`null` for none at all).
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

  /** Sends a POST: an event, a batch or anything else. */
  post(path, body, headers = {}) {
    return this.fetch(path, { method: "POST", body, headers });
  }

  /** Passes messages to the consumer of a queue, and returns Miniflare's result. */
  async dispatch(queue, messages) {
    const fetcher = await this.#running.getWorker();
    return fetcher.queue(queue, messages);
  }

  /** Evicts a Durable Object, which restarts from its storage at its next request. */
  evict(className, name) {
    return this.#running.unsafeEvictDurableObject(this.#name, className, { name });
  }

  /** Opens a plain connection, for requests that no HTTP client would send. */
  connect() {
    const { hostname, port } = new URL(this.url);
    return connect(Number(port), hostname);
  }

  /**
   * Returns the output of the Worker so far, without workerd's own messages about connections that a client has reset,
   * which have a stack trace of workerd's or report an incomplete handshake.
   */
  get printed() {
    return this.#logs.filter(
      (message) => !/^(stack: \S*workerd@|HTTP connection failed: TLS handshake failed)/m.test(message),
    );
  }

  /** Returns the log lines, each of which is a JSON object. */
  get lines() {
    return this.printed.map((message) => JSON.parse(message));
  }

  /**
   * Stops the Worker, and checks that it has printed only JSON lines, without anything of an event or any secret.
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

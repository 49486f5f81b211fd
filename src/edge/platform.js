/**
 * What the Worker asks of the platform, each in one call: values are moved here, and every decision is made in Rust
 * (`bindings.rs`).
 *
 * What is waited for has a ticket, by which the module knows it, and comes back by `wake` as a code, bytes and a value.
 */

/**
 * What settles the promise of a task.
 *
 * @typedef {{ resolve: (value: unknown) => void, reject: (reason: unknown) => void }} Task
 */

/** The module's exports. */
let module;

/** All that lives as long as the module does. */
export let instance;

/** Counts the module's instances: a trap ends one, and with it all that it had begun. */
export let generation = 0;

/** What the present instance has begun. @type {Set<Task>} */
const open = new Set();

/** @param {object} exports what the module exports */
export function load(exports) {
  module = exports;
  instance = new module.Instance();
}

/**
 * Begins a task of the module, and gives the promise of what comes of it.
 *
 * @param {(task: Task) => void} begin
 */
export function run(begin) {
  return new Promise((resolve, reject) => {
    const task = { resolve, reject };
    open.add(task);
    try {
      begin(task);
    } catch (error) {
      beginAnew(error);
    }
  });
}

/**
 * @param {Task} task
 * @param {unknown} value
 */
export function end(task, value) {
  open.delete(task);
  task.resolve(value);
}

/** Nothing is thrown here but by a trap, after which an instance cannot be trusted. */
function beginAnew(error) {
  // The places alone: what is thrown may quote a request.
  const places = String(error?.stack).match(/^\s+at .+/gm) ?? [];
  const trouble = `the module stopped and begins anew: ${places
    .slice(0, 9)
    .map((place) => place.trim())
    .join(", ")}`;
  console.error(JSON.stringify({ event: "stop", trouble }));
  generation += 1;
  for (const { reject } of open) reject(error);
  open.clear();
  module.__wbg_reset_state();
  instance = new module.Instance();
}

const NO_BYTES = new Uint8Array();

/**
 * Hands over what a promise gives: nothing, code 0, when it fails, or does not give it in time.
 *
 * @param {number} ticket
 * @param {Promise<{ code?: number, bytes?: Uint8Array, value?: unknown } | undefined>} promise
 * @param {number} [millis]
 * @param {() => void} [late] called when the time is over
 */
function settle(ticket, promise, millis, late) {
  const since = generation;
  let isOpen = true;
  let timer;
  const settled = ({ code = 0, bytes = NO_BYTES, value } = {}) => {
    if (!isOpen || since !== generation) return;
    isOpen = false;
    if (timer !== undefined) clearTimeout(timer);
    try {
      instance.wake(ticket, code, bytes, value);
    } catch (error) {
      beginAnew(error);
    }
  };
  if (millis !== undefined) {
    timer = setTimeout(() => {
      late?.();
      settled();
    }, millis);
  }
  promise.then(settled, () => settled());
}

/** Code 1, and all the bytes that a body has. */
const whole = async (body) => ({ code: 1, bytes: new Uint8Array(await body.arrayBuffer()) });

/**
 * @param {number} ticket
 * @param {number} millis
 */
export function sleep(ticket, millis) {
  settle(ticket, new Promise(() => {}), millis);
}

/**
 * What every request is asked: method, URL, and a few headers, each on a line of its own. One that is not there is an
 * empty line; none of them can hold a line break.
 *
 * @param {Request} request
 */
export function head({ method, url, headers }) {
  const header = (name) => headers.get(name) ?? "";
  return `${method}\n${url}\n${header("Origin")}\n${header("Authorization")}\n${header("Content-Length")}`;
}

/**
 * A header of a request, or of an answer to one of ours.
 *
 * @param {Request | Response} message
 * @param {string} name
 */
export function header({ headers }, name) {
  return headers.get(name) ?? undefined;
}

/**
 * The bytes of a body whose length is known. Code 0 when it does not come in time, or breaks off.
 *
 * @param {number} ticket
 * @param {Request} request
 * @param {number} millis
 */
export function wholeBody(ticket, request, millis) {
  settle(ticket, whole(request), millis);
}

/**
 * The bytes of a body: not many more than `limit`, of one that is longer. Code 0 when they do not come in time, or break
 * off.
 *
 * @param {number} ticket
 * @param {Request} request
 * @param {number} limit
 * @param {number} millis
 */
export function boundedBody(ticket, { body }, limit, millis) {
  const reader = body?.getReader();
  const read = async () => {
    const parts = [];
    for (let length = 0; reader && length <= limit; ) {
      const { done, value } = await reader.read();
      if (done) break;
      parts.push(value);
      length += value.length;
    }
    return whole(new Blob(parts));
  };
  settle(ticket, read(), millis, () => reader?.cancel().catch(() => {}));
}

/**
 * Names and values by turns, each on a line of its own, as headers.
 *
 * @param {string} lines
 */
function headersOf(lines) {
  const headers = {};
  const parts = lines.split("\n");
  for (let at = 1; at < parts.length; at += 2) headers[parts[at - 1]] = parts[at];
  return headers;
}

/**
 * @param {number} status
 * @param {string} headers as `headersOf` has them
 * @param {Uint8Array} body a view of memory that will change
 */
export function respond(status, headers, body) {
  return new Response(body.length > 0 ? body.slice() : null, { status, headers: headersOf(headers) });
}

/**
 * Where requests are sent to.
 *
 * @typedef {{ url: string, method: string, headers: Record<string, string> }} Target
 * @param {string} url
 * @param {string} method
 * @param {string} headers as `headersOf` has them
 * @returns {Target}
 */
export function target(url, method, headers) {
  return { url, method, headers: headersOf(headers) };
}

/**
 * Sends a request and reads all of its answer: the status as code, the body, and of what did not go well the answer
 * itself, for its headers.
 * Code 0 when that takes too long, 1 when it fails.
 *
 * @param {number} ticket
 * @param {Target} target
 * @param {Uint8Array} bytes of the body, a view of memory that will change; empty for none
 * @param {number} millis
 */
export function exchange(ticket, { url, method, headers }, bytes, millis) {
  const signal = AbortSignal.timeout(millis);
  const body = bytes.length > 0 ? bytes.slice() : undefined;
  const answer = async () => {
    try {
      // Followed, a redirect would turn a POST into a GET of some page that answers 200.
      const response = await fetch(url, { method, headers, body, redirect: "manual", signal });
      const bytes = new Uint8Array(await response.arrayBuffer());
      return { code: response.status, bytes, value: response.ok ? undefined : response };
    } catch {
      return { code: signal.aborted ? 0 : 1 };
    }
  };
  settle(ticket, answer());
}

/**
 * A file of the static assets, with other headers. No value where there is none.
 *
 * @param {number} ticket
 * @param {Fetcher} assets
 * @param {string} url
 * @param {string} headers as `headersOf` has them
 */
export function asset(ticket, assets, url, headers) {
  const answer = async () => {
    const { status, body } = await assets.fetch(url);
    return status === 200 ? { value: new Response(body, { headers: headersOf(headers) }) } : undefined;
  };
  settle(ticket, answer());
}

/**
 * Code 1 when a rate limiter does not let something pass. One that fails limits nobody.
 *
 * @param {number} ticket
 * @param {RateLimit} limiter
 * @param {string} key
 */
export function limit(ticket, limiter, key) {
  const ask = async () => ({ code: (await limiter.limit({ key })).success === false ? 1 : 0 });
  settle(ticket, ask());
}

/**
 * Stores messages in a queue, all or none. Code 1 when they are stored, 2 when there are too many now, 0 when that fails
 * or takes too long.
 *
 * As text, since other forms are known to arrive changed.
 *
 * @param {number} ticket
 * @param {Queue} queue
 * @param {string[]} messages
 * @param {number} delaySeconds
 * @param {number} millis
 */
export function store(ticket, queue, messages, delaySeconds, millis) {
  const options = { contentType: "text", delaySeconds };
  const send = async () => {
    try {
      if (messages.length === 1) await queue.send(messages[0], options);
      else await queue.sendBatch(messages.map((body) => ({ body, ...options })));
      return { code: 1 };
    } catch (error) {
      return { code: /too many requests/i.test(String(error)) ? 2 : 0 };
    }
  };
  settle(ticket, send(), millis);
}

/**
 * The body of a queue's message: a text as it is, anything else as JSON.
 *
 * @param {Message} message
 */
export function messageText({ body }) {
  try {
    return typeof body === "string" ? body : JSON.stringify(body);
  } catch {
    return undefined;
  }
}

/** @param {Message} message */
export function acknowledge(message) {
  try {
    message.ack();
  } catch {
    // It comes again.
  }
}

/**
 * @param {Message} message
 * @param {number} delaySeconds
 */
export function againAfter(message, delaySeconds) {
  try {
    message.retry({ delaySeconds });
  } catch {
    // What is neither acknowledged nor retried is settled as the platform sees fit.
  }
}

/**
 * Asks a Durable Object: bytes for bytes. Code 0 when it does not answer with 200 in time.
 *
 * @param {number} ticket
 * @param {DurableObjectNamespace} namespace
 * @param {string} name
 * @param {Uint8Array} question a view of memory that will change; empty for none
 * @param {number} millis
 */
export function ask(ticket, namespace, name, question, millis) {
  const body = question.slice();
  const answer = async () => {
    const response = await namespace.getByName(name).fetch("https://object.invalid/", { method: "POST", body });
    return response.status === 200 ? whole(response) : undefined;
  };
  settle(ticket, answer(), millis);
}

/** @param {Uint8Array} bytes a view of memory that will change */
export const blob = (bytes) => bytes.slice();

/** @param {unknown} value of a database */
export const bytesOf = (value) => (value instanceof ArrayBuffer ? new Uint8Array(value) : undefined);

/**
 * The rows that a statement gives, each a list of values.
 *
 * @param {SqlStorage} sql
 * @param {string} statement
 * @param {unknown[]} values
 * @returns {unknown[][]}
 */
export function rows(sql, statement, values) {
  return sql
    .exec(statement, ...values)
    .raw()
    .toArray();
}

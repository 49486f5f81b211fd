/**
 * What the Worker asks of the platform, each in one call: values are moved here, and every decision is made in Rust
 * (`bindings.rs`). No promise that is handed over is ever rejected.
 */

/**
 * A promise and the functions that settle it.
 *
 * @typedef {{ promise: Promise<unknown>, resolve: (value: unknown) => void, reject: (reason: unknown) => void }} Deferred
 */

/** Those whose tasks are under way. A trap ends the instance of the module, and with it all of them. @type {Set<Deferred>} */
const open = new Set();

/** @returns {Deferred} */
export function begin() {
  const deferred = {};
  deferred.promise = new Promise((resolve, reject) => {
    deferred.resolve = resolve;
    deferred.reject = reject;
  });
  open.add(deferred);
  return deferred;
}

/**
 * @param {Deferred} deferred
 * @param {unknown} value
 */
export function end(deferred, value) {
  open.delete(deferred);
  deferred.resolve(value);
}

/**
 * Hands over what a promise gives.
 *
 * @param {Promise<unknown>} promise
 * @param {number} ticket what Rust knows it by
 * @param {(ticket: number, value: unknown) => void} wake of the instance that waits
 */
export function settle(promise, ticket, wake) {
  promise.then((value) => {
    try {
      wake(ticket, value);
    } catch (error) {
      for (const { reject } of open) reject(error);
      open.clear();
    }
  });
}

/**
 * What a promise gives; nothing when it fails, or gives nothing in time.
 *
 * @template T
 * @param {Promise<T>} promise
 * @param {number} millis
 * @param {() => void} [late] called when the time is over
 * @returns {Promise<T | undefined>}
 */
function within(promise, millis, late) {
  return new Promise((resolve) => {
    const timer = setTimeout(() => {
      late?.();
      resolve();
    }, millis);
    const settled = (value) => {
      clearTimeout(timer);
      resolve(value);
    };
    promise.then(settled, () => settled());
  });
}

/**
 * @param {number} millis
 * @returns {Promise<void>}
 */
export function sleep(millis) {
  return new Promise((resolve) => setTimeout(resolve, millis));
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
 * @param {Request} request
 * @param {string} name
 */
export function header(request, name) {
  return request.headers.get(name) ?? undefined;
}

/**
 * The bytes of a body whose length is known. Nothing when it does not come in time, or breaks off.
 *
 * @param {Request} request
 * @param {number} millis
 */
export function wholeBody(request, millis) {
  return within(request.arrayBuffer(), millis);
}

/**
 * The bytes of a body: not many more than `limit`, of one that is longer. Nothing when they do not come in time, or
 * break off.
 *
 * @param {Request} request
 * @param {number} limit
 * @param {number} millis
 */
export function boundedBody({ body }, limit, millis) {
  let reader;
  const read = async () => {
    const parts = [];
    let length = 0;
    reader = body?.getReader();
    while (reader && length <= limit) {
      const { done, value } = await reader.read();
      if (done) break;
      parts.push(value);
      length += value.length;
    }
    return new Blob(parts).arrayBuffer();
  };
  return within(read(), millis, () => reader?.cancel().catch(() => {}));
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
 * Sends a request and reads all of its answer. Gives nothing when that takes too long, and `null` when it fails.
 *
 * @param {Target} target
 * @param {Uint8Array} bytes of the body, a view of memory that will change; empty for none
 * @param {number} millis
 */
export function exchange({ url, method, headers }, bytes, millis) {
  const controller = new AbortController();
  const body = bytes.length > 0 ? bytes.slice() : undefined;
  // Followed, a redirect would turn a POST into a GET of some page that answers 200.
  const init = { method, headers, body, redirect: "manual", signal: controller.signal };
  const answer = async () => {
    try {
      const response = await fetch(url, init);
      return { status: response.status, headers: response.headers, body: await response.arrayBuffer() };
    } catch {
      return null;
    }
  };
  return within(answer(), millis, () => controller.abort());
}

/**
 * A header of an answer.
 *
 * @param {{ headers: Headers }} reply
 * @param {string} name
 */
export function replyHeader({ headers }, name) {
  return headers.get(name) ?? undefined;
}

/**
 * A file of the static assets, with other headers. Nothing where there is none.
 *
 * @param {Fetcher} assets
 * @param {string} url
 * @param {string} headers as `headersOf` has them
 */
export async function asset(assets, url, headers) {
  try {
    const { status, body } = await assets.fetch(url);
    return status === 200 ? new Response(body, { headers: headersOf(headers) }) : undefined;
  } catch {
    return undefined;
  }
}

/**
 * Whether a rate limiter lets something pass. Nothing when it fails.
 *
 * @param {RateLimit} limiter
 * @param {string} key
 */
export async function passes(limiter, key) {
  try {
    return (await limiter.limit({ key })).success;
  } catch {
    return undefined;
  }
}

/**
 * Stores messages in a queue, all or none. Gives `true` when they are stored, what is said when they are not, and
 * nothing when that takes too long.
 *
 * As text, since other forms are known to arrive changed.
 *
 * @param {Queue} queue
 * @param {string[]} messages
 * @param {number} delaySeconds
 * @param {number} millis
 */
export function store(queue, messages, delaySeconds, millis) {
  const options = { contentType: "text", delaySeconds };
  const send = async () => {
    try {
      if (messages.length === 1) await queue.send(messages[0], options);
      else await queue.sendBatch(messages.map((body) => ({ body, ...options })));
      return true;
    } catch (error) {
      return String(error);
    }
  };
  return within(send(), millis);
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
 * Asks a Durable Object: bytes for bytes. Gives nothing when it does not answer with 200 in time.
 *
 * @param {DurableObjectNamespace} namespace
 * @param {string} name
 * @param {Uint8Array} question a view of memory that will change; empty for none
 * @param {number} millis
 */
export function ask(namespace, name, question, millis) {
  const body = question.slice();
  const answer = async () => {
    const response = await namespace.getByName(name).fetch("https://object.invalid/", { method: "POST", body });
    return response.status === 200 ? response.arrayBuffer() : undefined;
  };
  return within(answer(), millis);
}

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

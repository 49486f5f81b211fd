// Load generator: a separate process, with persistent connections and requests that are serialised in advance.

import { connect } from "node:net";

const HEAD_END = Buffer.from("\r\n\r\n");

/** A connection that sends one request at a time. */
class Client {
  #url;
  #socket;
  #kept;
  #settle;

  constructor(url) {
    this.#url = url;
    this.#connect();
  }

  #connect() {
    const { hostname, port } = new URL(this.#url);
    const socket = connect({ host: hostname, port: Number(port), noDelay: true });
    const fail = (error) => {
      if (socket === this.#socket) this.#settle?.reject(error);
    };
    socket.on("data", (chunk) => this.#read(chunk));
    socket.on("error", fail);
    socket.on("close", () => fail(new Error("the connection was closed")));
    this.#socket = socket;
  }

  /** Sends a request and waits for its whole answer. */
  send(request) {
    // The server closes connections that have been idle for seconds.
    if (!this.#socket.writable) this.#connect();
    return new Promise((resolve, reject) => {
      this.#settle = { resolve, reject };
      this.#socket.write(request);
    });
  }

  #read(chunk) {
    const answer = this.#kept ? Buffer.concat([this.#kept, chunk]) : chunk;
    this.#kept = answer;
    const end = answer.indexOf(HEAD_END);
    if (end < 0) return;
    const head = answer.toString("latin1", 0, end);
    const length = /\r\ncontent-length: *(\d+)/i.exec(head);
    if (!length || answer.length < end + 4 + Number(length[1])) return;
    this.#kept = undefined;
    const { resolve, reject } = this.#settle;
    this.#settle = undefined;
    if (head.startsWith("HTTP/1.1 200 ") && answer.includes('{"success":true}', end)) resolve();
    else reject(new Error(`an answer that was not expected:\n${answer}`));
  }

  close() {
    this.#settle = undefined;
    this.#socket.destroy();
  }
}

/** Serial numbers that are given away. */
let serials = 0;

/** A request whose events are new ones each time: a number takes the place of each serial number. */
class Fresh {
  #request;
  #places = [];
  #length;

  constructor(request, serial) {
    this.#request = request;
    this.#length = serial.length;
    for (let at = request.indexOf(serial); at >= 0; at = request.indexOf(serial, at + serial.length)) {
      this.#places.push(at);
    }
  }

  /** Returns the request with the next numbers. */
  next() {
    const request = Buffer.from(this.#request);
    for (const at of this.#places) {
      request.write(String(serials).padStart(this.#length, "0"), at, "latin1");
      serials += 1;
    }
    return request;
  }
}

/** Closed loop: each connection sends its next request once it has an answer, for a time or a number of requests. */
async function closedLoop(clients, requests, { millis = Number.POSITIVE_INFINITY, count = Number.POSITIVE_INFINITY }) {
  let sent = 0;
  const until = performance.now() + millis;
  await Promise.all(
    clients.map(async (client) => {
      while (sent < count && performance.now() < until) {
        const request = requests[sent % requests.length];
        sent += 1;
        await client.send(request instanceof Fresh ? request.next() : request);
      }
    }),
  );
  return { requests: sent };
}

/**
 * Open loop: requests begin at a fixed rate, whether those before have been answered or not. Latency is measured from
 * when a request was due, which avoids coordinated omission.
 */
async function openLoop(clients, requests, { millis, rate }) {
  const idle = [...clients];
  const waiting = [];
  const latencies = [];
  let answered = 0;
  const total = Math.floor((millis / 1000) * rate);
  const started = performance.now();
  const dueAt = (place) => started + (place * 1000) / rate;
  await new Promise((resolve, reject) => {
    const begin = () => {
      while (idle.length > 0 && waiting.length > 0) {
        const client = idle.pop();
        const place = waiting.shift();
        client.send(requests[place % requests.length]).then(() => {
          latencies[place] = performance.now() - dueAt(place);
          answered += 1;
          idle.push(client);
          begin();
          if (answered === total) resolve();
        }, reject);
      }
    };
    let next = 0;
    const tick = () => {
      while (next < total && dueAt(next) <= performance.now()) {
        waiting.push(next);
        next += 1;
      }
      begin();
      if (next === total) return;
      // Timers are late by a millisecond or so: the last part of the time is spent without one.
      const pause = dueAt(next) - performance.now() - 2;
      if (pause > 0) setTimeout(tick, pause);
      else setImmediate(tick);
    };
    tick();
  });
  // In the order in which they were due, and when that was by the clock that all processes have.
  const due = latencies.map((_, place) => performance.timeOrigin + dueAt(place));
  return { requests: total, latencies, due };
}

/** Connections and requests by target, which are made once. */
const targets = new Map();

function targetOf({ url, path, headers, bodies, connections, serial }) {
  const host = new URL(url).host;
  const requests = bodies.map((body) => {
    const bytes = Buffer.from(body);
    const head = [`POST ${path} HTTP/1.1`, `Host: ${host}`, ...headers, `Content-Length: ${bytes.length}`];
    const request = Buffer.concat([Buffer.from(`${head.join("\r\n")}\r\n\r\n`), bytes]);
    return serial ? new Fresh(request, serial) : request;
  });
  return { requests, clients: Array.from({ length: connections }, () => new Client(url)) };
}

process.on("message", async ({ target, id, ...extent }) => {
  try {
    if (target) {
      for (const client of targets.get(id)?.clients ?? []) client.close();
      targets.set(id, targetOf(target));
      process.send({});
      return;
    }
    const { clients, requests } = targets.get(id);
    const loop = extent.rate ? openLoop : closedLoop;
    process.send(await loop(clients, requests, extent));
  } catch (error) {
    process.send({ error: error.message });
  }
});
process.on("disconnect", () => process.exit());

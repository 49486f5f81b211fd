// Raw HTTP/1.1: sends the bytes of a test unchanged, valid or not.

import { connect } from "node:net";
import { performance } from "node:perf_hooks";

/**
 * Sends bytes over a new connection, and reads one answer.
 *
 * @param {URL} url
 * @param {object} message
 * @param {Buffer[]} message.parts the bytes
 * @param {number} [message.pause] milliseconds between the parts
 * @param {boolean} [message.ends] whether to end this half of the connection after the last part
 * @param {boolean} [message.isHead] whether the method is HEAD
 * @param {number} [within] milliseconds to wait for the answer
 * @returns {Promise<{ status: number, headers: Headers, body: Buffer, text: string, ms: number } | null>} `null` if the
 *   connection is closed without an answer
 */
export async function exchange(url, { parts, pause = 0, ends = false, isHead = false }, within = 15_000) {
  const started = performance.now();
  const socket = connect(Number(url.port), url.hostname);
  socket.setNoDelay(true);
  let timers = [];
  try {
    const bytes = await new Promise((resolve, reject) => {
      let received = Buffer.alloc(0);
      const fail = () => reject(new Error(`no answer within ${within} ms; so far ${received.length} bytes`));
      timers.push(setTimeout(fail, within));
      socket.on("data", (chunk) => {
        received = Buffer.concat([received, chunk]);
        if (parse(received, { isHead })) resolve(received);
      });
      // The connection may be reset when the answer comes during the upload.
      socket.on("error", () => {});
      socket.on("close", () => resolve(received));
      const send = (index) => {
        if (index === parts.length) return void (ends && socket.end());
        socket.write(parts[index]);
        if (pause) timers.push(setTimeout(send, pause, index + 1));
        else send(index + 1);
      };
      socket.on("connect", () => send(0));
    });
    const answer = parse(bytes, { isHead, isAll: true });
    return answer && { ...answer, text: answer.body.toString(), ms: performance.now() - started };
  } finally {
    for (const timer of timers) clearTimeout(timer);
    timers = [];
    socket.destroy();
  }
}

/** Parses the answer; null while it is incomplete. `isAll` tells that nothing more will come. */
function parse(bytes, { isHead, isAll = false }) {
  const end = bytes.indexOf("\r\n\r\n");
  if (end < 0) return null;
  const [first, ...lines] = bytes.subarray(0, end).toString("latin1").split("\r\n");
  const status = Number(/^HTTP\/1\.[01] (\d{3}) /.exec(first)?.[1]);
  if (status === 100) return parse(bytes.subarray(end + 4), { isHead, isAll });
  const headers = new Headers(
    lines.map((line) => [line.slice(0, line.indexOf(":")), line.slice(line.indexOf(":") + 1)]),
  );
  const rest = bytes.subarray(end + 4);
  const length = headers.get("content-length");
  if (isHead || status === 204) return { status, headers, body: Buffer.alloc(0) };
  if (headers.get("transfer-encoding") === "chunked") {
    const body = unchunk(rest);
    return body && { status, headers, body };
  }
  if (length !== null) {
    return rest.length < Number(length) ? null : { status, headers, body: rest.subarray(0, Number(length)) };
  }
  return isAll ? { status, headers, body: rest } : null;
}

function unchunk(bytes) {
  const parts = [];
  for (let at = 0; ; ) {
    const line = bytes.indexOf("\r\n", at);
    if (line < 0) return null;
    const size = Number.parseInt(bytes.subarray(at, line).toString("latin1"), 16);
    const next = line + 2 + size + 2;
    if (bytes.length < next) return null;
    if (size === 0) return Buffer.concat(parts);
    parts.push(bytes.subarray(line + 2, line + 2 + size));
    at = next;
  }
}

// Plain sockets, for requests that an HTTP client would not send.

import { once } from "node:events";
import { createServer } from "node:net";

/** Returns a port without a listener. */
export async function freePort() {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address();
  server.close();
  await once(server, "close");
  return port;
}

/**
 * Sends the head of a request and the beginning of an endless body, and waits for the answer.
 *
 * @param {import('node:net').Socket} socket
 * @param {string[]} head the lines of the head
 * @param {string} body
 * @returns {Promise<string>} the raw answer; empty if there is none within ten seconds
 */
export async function sendWithoutEnd(socket, head, body) {
  let answer = "";
  socket.setEncoding("utf8");
  socket.setTimeout(10_000, () => socket.destroy());
  socket.write(`${head.join("\r\n")}\r\n\r\n${body}`);
  for await (const text of socket) {
    answer += text;
    if (isComplete(answer)) break;
  }
  return answer;
}

function isComplete(answer) {
  const end = answer.indexOf("\r\n\r\n");
  if (end < 0) return false;
  const length = /^content-length: (\d+)$/im.exec(answer.slice(0, end));
  return length !== null && Buffer.byteLength(answer.slice(end + 4)) >= Number(length[1]);
}

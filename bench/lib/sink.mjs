// Mock of Librato that accepts everything at once: a separate process, with as little work for each request as
// possible. It counts requests, so that a result is never of requests that were not sent.

import { createServer } from "node:net";

const ANSWER = Buffer.from(
  "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nX-Librato-RateLimit-Agg: limit=600000,remaining=599998,reset=1795579200\r\n" +
    "Content-Length: 0\r\n\r\n",
);
const HEAD_END = Buffer.from("\r\n\r\n");

let requests = 0;
let bytes = 0;

/** Returns the length of a body by its request's head. */
function lengthOf(head) {
  const found = /\r\ncontent-length: *(\d+)/i.exec(head.toString("latin1"));
  if (!found) throw new Error("a request without Content-Length");
  return Number(found[1]);
}

const server = createServer({ noDelay: true }, (socket) => {
  let missing = 0;
  let kept;
  socket.on("error", () => {});
  socket.on("data", (chunk) => {
    let rest = kept ? Buffer.concat([kept, chunk]) : chunk;
    kept = undefined;
    while (rest.length > 0) {
      if (missing > 0) {
        const part = Math.min(missing, rest.length);
        missing -= part;
        rest = rest.subarray(part);
      } else {
        const end = rest.indexOf(HEAD_END);
        if (end < 0) {
          kept = rest;
          return;
        }
        missing = lengthOf(rest.subarray(0, end));
        bytes += missing;
        rest = rest.subarray(end + 4);
      }
      if (missing === 0) {
        requests += 1;
        socket.write(ANSWER);
      }
    }
  });
});

server.listen(0, "127.0.0.1", () => process.send({ port: server.address().port }));
process.on("message", () => {
  process.send({ requests, bytes });
  requests = 0;
  bytes = 0;
});
process.on("disconnect", () => process.exit());

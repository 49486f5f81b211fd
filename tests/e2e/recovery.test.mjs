// The module stops, as by a panic: what it had begun fails in the open, and it begins anew.

import assert from "node:assert/strict";
import { once } from "node:events";
import { request } from "node:http";
import { after, before, it } from "node:test";
import { track } from "./lib/events.mjs";
import { succeeded } from "./lib/expect.mjs";
import { startLibrato } from "./lib/librato.mjs";
import { waitFor } from "./lib/wait.mjs";
import { basic, startWorker, writeKey } from "./lib/worker.mjs";

/**
 * Breaks the module where the request says so: by a panic, of the crate `worker` where it cannot set a timer, and by an
 * exception of the platform's where none is expected.
 */
const front = `
  import worker from "./index.js";
  export * from "./index.js";
  const { setTimeout } = globalThis;
  const broken = () => {
    throw new Error("broken on purpose");
  };
  const ways = {
    panic: (request, ...rest) => {
      globalThis.setTimeout = broken;
      return worker.fetch(request, ...rest).finally(() => {
        globalThis.setTimeout = setTimeout;
      });
    },
    exception: (request, ...rest) =>
      worker.fetch(new Proxy(request, { get: (_, name) => (name === "method" ? broken() : request[name]) }), ...rest),
  };
  export default {
    fetch: (request, ...rest) => (ways[request.headers.get("x-break")] ?? worker.fetch)(request, ...rest),
  };
`;

let librato;
let worker;
before(async () => {
  librato = await startLibrato();
  worker = await startWorker({ librato: librato.url, front });
});
after(async () => {
  await worker?.stop();
  await librato?.stop();
});

for (const way of ["panic", "exception"]) {
  it(`after a ${way} what was under way is to be sent again, and the next request is served`, () => stopsBy(way));
}

async function stopsBy(way) {
  const before = worker.lines.length;
  succeeded(await worker.post("/v1/track", track("Recovered")));

  // One whose body has only begun to come.
  const text = JSON.stringify(track("Recovered"));
  const waiting = request(`${worker.url}/v1/track`, {
    method: "POST",
    headers: { authorization: basic(writeKey), "content-length": text.length },
  });
  const answered = once(waiting, "response");
  waiting.write(text.slice(0, 5));
  await waitFor("the request is under way", async () => waiting.socket?.bytesWritten > 0);

  const breaking = await worker.post("/v1/track", track("Recovered"), { "x-break": way });
  assert.equal(breaking.status, 503);
  assert.equal(breaking.headers.get("retry-after"), "10");
  const [cut] = await answered;
  assert.equal(cut.statusCode, 503);
  cut.resume();
  waiting.destroy();

  const count = (await librato.metric("Recovered")).count;
  for (let index = 0; index < 3; index += 1) succeeded(await worker.post("/v1/track", track("Recovered")));
  assert.equal((await librato.metric("Recovered")).count, count + 3);
  const stops = worker.lines.slice(before).filter(({ event }) => event === "stop");
  assert.equal(stops.length, 1);
  assert.match(stops[0].trouble, /index\.js/);
  if (way === "panic") assert.match(stops[0].trouble, /delay\.rs:\d+/);
  assert.doesNotMatch(stops[0].trouble, /on purpose/);
}

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

/** Where the Worker looks for a queue something is thrown, if the request says so: no code of the module's handles that. */
const front = `
  import worker from "./index.js";
  export * from "./index.js";
  const broken = (env) => new Proxy(env, {
    get(target, name) {
      if (name === "MEASUREMENTS") throw new Error("broken on purpose");
      return Reflect.get(target, name);
    },
  });
  export default {
    fetch: (request, env) => worker.fetch(request, request.headers.has("x-break") ? broken(env) : env),
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

it("what was under way is to be sent again, and the next request is served", async () => {
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

  const breaking = await worker.post("/v1/track", track("Recovered"), { "x-break": "1" });
  assert.equal(breaking.status, 503);
  assert.equal(breaking.headers.get("retry-after"), "10");
  const [cut] = await answered;
  assert.equal(cut.statusCode, 503);
  cut.resume();
  waiting.destroy();

  for (let index = 0; index < 3; index += 1) succeeded(await worker.post("/v1/track", track("Recovered")));
  assert.equal((await librato.metric("Recovered")).count, 4);
  const stops = worker.lines.filter(({ event }) => event === "stop");
  assert.equal(stops.length, 1);
  assert.match(stops[0].trouble, /index\.js/);
});

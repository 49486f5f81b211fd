// The libraries for servers against the Worker.

import { after, before, describe, it } from "node:test";
import { startLibrato } from "../lib/librato.mjs";
import { startWorker } from "../lib/worker.mjs";
import { assertArrivedOnce, assertTimestampHonoured, callsOf } from "./calls.mjs";
import { nodeClients } from "./node.mjs";
import { pythonClients } from "./python.mjs";

let librato;
let worker;

before(async () => {
  librato = await startLibrato();
  worker = await startWorker({ librato: librato.url });
});
after(async () => {
  await librato?.stop();
  await worker?.stop();
});

describe("each library for servers", () => {
  for (const client of [...nodeClients, ...pythonClients]) {
    it(`${client.name} ${client.version} (${client.id})`, async () => {
      const calls = callsOf(client.id);
      const sender = await client.send({ host: worker.url }, calls);
      await sender.finish();
      await assertArrivedOnce(librato, client.id);
      await assertTimestampHonoured(librato, client.id, calls.at(-1));
    });
  }
});

// The libraries for servers against the Worker.

import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { userId } from "../lib/events.mjs";
import { startLibrato } from "../lib/librato.mjs";
import { startWorker } from "../lib/worker.mjs";
import { nodeClients } from "./node.mjs";
import { pythonClients } from "./python.mjs";
import { delivers } from "./servers.mjs";

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

delivers([...nodeClients, ...pythonClients]);

// Python's libraries write them into the body as bare words, which no other reader of JSON takes.
describe("numbers that JSON does not have, by the libraries for Python", () => {
  for (const client of pythonClients) {
    for (const number of ["nan", "inf", "-inf"]) {
      it(`${client.name} ${client.version} (${client.id}): ${number}`, async () => {
        const call = (event, properties) => ({
          type: "track",
          userId,
          event: `${client.id}${number} ${event}`,
          properties,
        });
        const odd = { float: number };
        const calls = [
          call("before", { value: 2 }),
          // Anywhere but in the value it is nobody's business.
          call("beside", { value: 3, ratio: odd, list: [1, odd], nested: { deep: odd } }),
          call("within", { value: odd }),
          call("text", { value: 4, text: "NaN, Infinity, -Infinity: NaN", NaN: "Infinity" }),
          call("after", { value: 5 }),
        ];
        const sender = await client.send({ host: worker.url }, calls);
        await sender.finish();
        const name = (event) => `${client.id}${number}-${event}`;
        const totals = Object.entries(await librato.totals()).filter(([key]) => key.startsWith(name("")));
        assert.deepEqual(
          Object.fromEntries(totals),
          Object.fromEntries(
            Object.entries({ before: 2, beside: 3, text: 4, after: 5 }).map(([event, sum]) => [
              `${name(event)} ${name(event)}`,
              { count: 1, sum },
            ]),
          ),
        );
      });
    }
  }
});

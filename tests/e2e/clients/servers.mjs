// What each library for servers has to do with the Worker.

import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { userId } from "../lib/events.mjs";
import { startLibrato } from "../lib/librato.mjs";
import { startWorker } from "../lib/worker.mjs";
import { assertArrivedOnce, assertTimestampHonoured, callsOf } from "./calls.mjs";

/** So many that most libraries make several batches of them. */
const MANY = 250;

const called = ({ name, version, id }) => `${name} ${version} (${id})`;

/** As people write the address of the Worker. */
export const ADDRESSES = ["", "/", "/v1", "/v1/"];

/** Declares the tests of deliveries where nothing fails. */
export function delivers(clients) {
  for (const [delivery, settings] of Object.entries({ direct: {}, durable: { queues: true } })) {
    describe(`each library for servers, in ${delivery} delivery`, () => {
      let librato;
      let worker;
      before(async () => {
        librato = await startLibrato();
        worker = await startWorker({ librato: librato.url, https: true, ...settings });
      });
      after(async () => {
        await librato?.stop();
        await worker?.stop();
      });
      const world = (path) => ({ host: worker.url + path, edge: worker.entry + path });

      for (const client of clients) {
        it(`${called(client)}: ${MANY} calls`, async () => {
          const event = `${client.id}: many`;
          const calls = Array.from({ length: MANY }, (_, value) => ({
            type: "track",
            userId,
            event,
            properties: { value },
            integrations: { All: true, Librato: { source: client.id } },
          }));
          const sender = await client.send(world(""), calls);
          await sender.finish();
          const name = `${client.id}--many`;
          await librato.counted(name, MANY);
          const { count, sum, sources } = await librato.metric(name);
          const all = { count: MANY, sum: (MANY * (MANY - 1)) / 2 };
          assert.deepEqual({ count, sum }, all);
          assert.deepEqual(
            sources.map(({ source, count, sum }) => ({ source, count, sum })),
            [{ source: client.id, ...all }],
          );
        });

        // What becomes of an address does not depend on where the events go then.
        for (const address of delivery === "direct" ? ADDRESSES : []) {
          it(`${called(client)}${address && `: its address with ${address} at the end`}`, async () => {
            const id = client.id + address.replaceAll("/", "-");
            const calls = callsOf(id);
            const sender = await client.send(world(address), calls);
            await sender.finish();
            await assertArrivedOnce(librato, id);
            if (client.ownTime !== false) await assertTimestampHonoured(librato, id, calls.at(-1));
          });
        }
      }
    });
  }
}

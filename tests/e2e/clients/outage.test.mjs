// Librato is down for 10 s, and every library at once has something to send. What the Worker cannot deliver directly, it
// refuses for the time being, and then it is the library's own retries that have to bring it back. With the queue the
// Worker keeps it, and no library hears of anything.

import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { startChromium } from "../lib/chromium.mjs";
import { startLibrato } from "../lib/librato.mjs";
import { waitFor } from "../lib/wait.mjs";
import { startWorker } from "../lib/worker.mjs";
import { browserClients } from "./browser.mjs";
import { arrived, assertArrivedOnce, callsOf, countOf, GaveUp, isFrom } from "./calls.mjs";
import { nodeClients } from "./node.mjs";
import { pythonClients } from "./python.mjs";
import { Site } from "./site.mjs";

const OUTAGE = 10_000;

/** Some double their pauses, and one may just have begun when Librato came back. */
const PATIENCE = 90_000;

const clients = [...browserClients, ...nodeClients, ...pythonClients];
const retrying = (...much) => clients.filter(({ retries }) => much.includes(retries));
const called = ({ name, version, id }) => `${name} ${version} (${id})`;

let browser;
let site;

before(async () => {
  [browser, site] = await Promise.all([startChromium(), new Site().start()]);
});
after(async () => {
  await browser?.close();
  await site?.stop();
});

/** A Librato, and a Worker that sends to it. */
async function start(settings) {
  const librato = await startLibrato();
  const worker = await startWorker({ librato: librato.url, https: true, ...settings });
  return {
    librato,
    world: { browser, site, edge: worker.entry, host: worker.url },
    /** Librato is up again. */
    async restore() {
      const { ok, status } = await fetch(`${librato.url}/local/faults`, { method: "DELETE" });
      assert.ok(ok, `DELETE /local/faults: ${status}`);
    },
    async stop() {
      await librato.stop();
      await worker.stop();
    },
  };
}

/** Has libraries make their calls, and waits until Librato has been asked to take something from each. */
async function sendAll({ librato, world }, some) {
  const untried = new Set(some);
  const tried = async () => {
    const requests = await librato.requests();
    for (const client of untried) {
      if (requests.some((request) => isFrom(client.id, request))) untried.delete(client);
    }
    return untried.size === 0;
  };
  // At the same time: Librato tells its last requests, and some libraries have given up before a browser has begun.
  const [sent] = await Promise.all([
    Promise.all(some.map(async (client) => [client, await client.send(world, callsOf(client.id))])),
    waitFor("a request of each library", tried, { within: 60_000 }),
  ]);
  return new Map(sent);
}

/** Waits until all of a client's events are there. */
function allArrived(librato, { id }) {
  const { length } = callsOf(id);
  return waitFor("all calls at Librato", async () => (await countOf(librato, id)) >= length, { within: PATIENCE });
}

// The two wait at the same time.
describe("Librato was down for 10 s", { concurrency: true }, () => {
  describe("in direct delivery", { concurrency: 1 }, () => {
    let direct;
    let librato;
    let senders;

    before(async () => {
      direct = await start();
      librato = direct.librato;
      await librato.fault({ answer: "503", times: 0 });
      senders = await sendAll(direct, clients);
      await sleep(OUTAGE);
      assert.deepEqual((await librato.state()).metrics, []);
      await direct.restore();
    });
    after(() => direct?.stop());

    for (const client of retrying("all")) {
      it(`${called(client)} delivers everything`, async () => {
        await allArrived(librato, client);
        await senders.get(client).finish();
      });
    }

    for (const client of retrying("few")) {
      it(`${called(client)} has given up, and has told so`, async () => {
        await assert.rejects(senders.get(client).finish(), GaveUp);
        assert.deepEqual(await arrived(librato, client.id), {});
      });

      it(`${called(client)} delivers everything if it is but for a moment`, async () => {
        const again = { ...client, id: `${client.id}-again` };
        // The Worker tries twice itself before it lets a library know.
        await librato.fault({ answer: "503", times: 2 });
        const sender = await client.send(direct.world, callsOf(again.id));
        await sender.finish();
        await assertArrivedOnce(librato, again.id);
      });
    }

    for (const client of retrying("none")) {
      it(`${called(client)} has not noticed`, async () => {
        const visit = senders.get(client);
        assert.deepEqual(
          visit.sent(direct.world.edge),
          client.routes.map((path) => `${path} 503`),
        );
        await visit.finish();
        assert.deepEqual(await arrived(librato, client.id), {});
      });
    }

    it("and by then nothing has counted twice", async () => {
      for (const client of retrying("all")) await assertArrivedOnce(librato, client.id);
    });
  });

  describe("with the queue", { concurrency: 1 }, () => {
    let durable;
    let senders;

    before(async () => {
      durable = await start({ queues: true });
      await durable.librato.fault({ answer: "503", times: 0 });
      senders = await sendAll(durable, retrying("few", "none"));
      await sleep(OUTAGE);
      await durable.restore();
    });
    after(() => durable?.stop());

    for (const client of retrying("few", "none")) {
      it(`${called(client)} was told that all is well, and it is`, async () => {
        await senders.get(client).finish();
        await allArrived(durable.librato, client);
        await assertArrivedOnce(durable.librato, client.id);
      });
    }
  });
});

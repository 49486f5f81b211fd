// What each library does when the Worker has to refuse it: Librato is down, or wants to be left alone for a while. In direct
// delivery it is the library's own retries that have to bring the events. With the queue the Worker keeps them, and no
// library hears of anything.

import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { startLibrato } from "../lib/librato.mjs";
import { waitFor } from "../lib/wait.mjs";
import { startWorker } from "../lib/worker.mjs";
import { arrived, assertArrivedOnce, callsOf, countOf, GaveUp, isFrom } from "./calls.mjs";
import { Gate } from "./gate.mjs";
import { Site } from "./site.mjs";

/** Some double their pauses, and one may just have begun when Librato came back. */
const PATIENCE = 90_000;

/** The Worker asks Librato so often itself before it lets a library know. */
const TRIES = 2;

/** Seconds, and more than the Worker waits itself. */
const RETRY_AFTER = 8;

/** Timers of some run a little ahead. */
const AHEAD = 100;

const called = ({ name, version, id }) => `${name} ${version} (${id})`;

/** A Librato, and a Worker that sends to it by a gate. */
async function start(settings, browser) {
  const librato = await startLibrato();
  // A page that it has names the Worker.
  const site = browser && (await new Site().start());
  const gate = await new Gate(librato.url).start();
  const worker = await startWorker({ librato: gate.url, https: true, ...settings });
  return {
    librato,
    gate,
    world: { browser, site, edge: worker.entry, host: worker.url },
    /** Has a client make its calls. */
    send(client) {
      return client.send(this.world, callsOf(client.id));
    },
    /** Has each of these make them. One begins after another: a machine opens only so many pages at once. */
    async sendAll(some) {
      const senders = new Map();
      for (const client of some) senders.set(client, await this.send(client));
      return senders;
    },
    /** Waits until all of a client's events are there. */
    allArrived({ id }) {
      const { length } = callsOf(id);
      return waitFor("all calls at Librato", async () => (await countOf(librato, id)) >= length, { within: PATIENCE });
    },
    /** Librato itself is up again. */
    async restore() {
      const { ok, status } = await fetch(`${librato.url}/local/faults`, { method: "DELETE" });
      assert.ok(ok, `DELETE /local/faults: ${status}`);
    },
    async stop() {
      await site?.stop();
      await worker.stop();
      await gate.stop();
      await librato.stop();
    },
  };
}

/** Whether Librato has been asked to take something from each of these clients. */
async function triedAll({ librato }, some) {
  const requests = await librato.requests();
  return some.every(({ id }) => requests.some((request) => isFrom(id, request)));
}

/** Waits until a page has all its answers; a library that is not in a page waits for them itself. */
async function answered(sender, { routes }, { edge }, status) {
  if (!routes) return;
  const all = routes.map((path) => `${path} ${status}`).join();
  await waitFor(`answers of ${status}`, () => sender.sent(edge).join() === all);
}

/**
 * Declares the tests.
 *
 * @param {object[]} clients each with `retries`, what it sends again in the end: "all"; "few", and it tells when it has given
 *   up; "told", nothing, and it tells so; "none", nothing, and it does not notice. With `meets`, how many answers of 503
 *   an event of its gets before Librato is up again, where that is more than one: within ten seconds on an idle machine it
 *   is about twice as many. With `heeds` if it waits after a 429 as long as `Retry-After` says
 * @param {() => object | undefined} browser a Chromium, once the tests run, if a client needs one
 */
export function outages(clients, browser = () => undefined) {
  const retrying = (...much) => clients.filter(({ retries }) => much.includes(retries));
  const trying = retrying("all", "few");

  // They wait at the same time.
  describe("Librato is down", { concurrency: true }, () => {
    describe("in direct delivery", { concurrency: 1 }, () => {
      let direct;
      let senders;

      before(async () => {
        direct = await start({}, browser());
        for (const { id, retries, meets = 1 } of clients)
          direct.gate.close(id, { status: 503, times: retries === "all" ? meets * TRIES : Number.POSITIVE_INFINITY });
        senders = await direct.sendAll(clients);
      });
      after(() => direct?.stop());

      for (const client of retrying("all")) {
        it(`${called(client)} delivers everything once Librato is up again`, async () => {
          await direct.allArrived(client);
          await senders.get(client).finish();
          assert.ok(direct.gate.refused(client.id) >= (client.meets ?? 1) * TRIES, "it was refused so often");
        });
      }

      for (const client of retrying("few")) {
        it(`${called(client)} gives up, and tells so`, async () => {
          await assert.rejects(senders.get(client).finish(), GaveUp);
          assert.ok(direct.gate.refused(client.id) > TRIES, "it has tried again");
          assert.deepEqual(await arrived(direct.librato, client.id), {});
        });

        it(`${called(client)} delivers everything if it is but for a moment`, async () => {
          const again = { ...client, id: `${client.id}-again` };
          direct.gate.close(again.id, { status: 503, times: TRIES });
          const sender = await direct.send(again);
          await sender.finish();
          await assertArrivedOnce(direct.librato, again.id);
        });
      }

      for (const client of retrying("told")) {
        it(`${called(client)} tells that it was refused, and tries no more`, async () => {
          await assert.rejects(senders.get(client).finish(), GaveUp);
          assert.equal(direct.gate.refused(client.id), TRIES);
          assert.deepEqual(await arrived(direct.librato, client.id), {});
        });
      }

      for (const client of retrying("none")) {
        it(`${called(client)} does not notice`, async () => {
          await answered(senders.get(client), client, direct.world, 503);
          await senders.get(client).finish();
          assert.deepEqual(await arrived(direct.librato, client.id), {});
        });
      }

      it("and by then nothing has counted twice", async () => {
        for (const client of retrying("all")) await assertArrivedOnce(direct.librato, client.id);
      });
    });

    describe("with the queue", { concurrency: 1 }, () => {
      const some = retrying("few", "told", "none");
      let durable;
      let senders;

      before(async () => {
        durable = await start({ queues: true }, browser());
        await durable.librato.fault({ answer: "503", times: 0 });
        senders = await durable.sendAll(some);
        await waitFor("a request with events of each", () => triedAll(durable, some), { within: 60_000 });
        await durable.restore();
      });
      after(() => durable?.stop());

      for (const client of some) {
        it(`${called(client)} is told that all is well, and it is`, async () => {
          await answered(senders.get(client), client, durable.world, 200);
          await senders.get(client).finish();
          await durable.allArrived(client);
          await assertArrivedOnce(durable.librato, client.id);
        });
      }
    });
  });

  describe("Librato wants to be left alone for a while, in direct delivery", { concurrency: 1 }, () => {
    let limited;
    let senders;

    before(async () => {
      limited = await start({}, browser());
      const headers = { "retry-after": String(RETRY_AFTER) };
      for (const { id } of clients) limited.gate.close(id, { status: 429, headers, times: 1 });
      senders = await limited.sendAll(trying);
    });
    after(() => limited?.stop());

    for (const client of trying) {
      it(`${called(client)} delivers everything${client.heeds ? " when it is told to" : ""}`, async () => {
        await limited.allArrived(client);
        await senders.get(client).finish();
        await assertArrivedOnce(limited.librato, client.id);
        const { first, passed } = limited.gate.times(client.id);
        if (client.heeds) assert.ok(passed - first >= RETRY_AFTER * 1_000 - AHEAD, `after ${passed - first} ms`);
      });
    }
  });
}

// The libraries for browsers against the Worker, in Chromium.

import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { startChromium } from "../lib/chromium.mjs";
import { startLibrato } from "../lib/librato.mjs";
import { waitFor } from "../lib/wait.mjs";
import { startWorker } from "../lib/worker.mjs";
import { browserClients, delivering } from "./browser.mjs";
import { assertArrivedOnce, assertTimestampHonoured, callsOf, countOf } from "./calls.mjs";
import { distant } from "./distance.mjs";
import { html, Site } from "./site.mjs";

let librato;
let worker;
let world;

before(async () => {
  librato = await startLibrato();
  worker = await startWorker({ librato: librato.url, https: true });
  const [browser, site] = await Promise.all([startChromium(), new Site().start()]);
  world = { browser, site, edge: worker.entry };
});
after(async () => {
  await world?.browser.close();
  await world?.site.stop();
  await librato?.stop();
  await worker?.stop();
});

describe("each library for browsers", () => {
  for (const client of browserClients) {
    it(`${client.name} ${client.version} (${client.id})`, async () => {
      const calls = callsOf(client.id);
      const visit = await client.send(world, calls);
      await waitFor("all calls at Librato", async () => (await countOf(librato, client.id)) >= calls.length);
      const answered = () => visit.sent(world.edge).filter((sent) => !sent.endsWith("undefined"));
      await waitFor("the answers in the page", () => answered().length >= client.routes.length);

      assert.deepEqual(
        visit.sent(world.edge),
        client.routes.map((path) => `${path} 200`),
      );
      await visit.finish();
      await assertArrivedOnce(librato, client.id);
      await assertTimestampHonoured(librato, client.id, calls.at(-1));
    });
  }
});

/** Waits until Librato has all of a client's calls, and makes sure that it has each of them once. */
async function allArrive(id, calls) {
  await waitFor("all calls at Librato", async () => (await countOf(librato, id)) >= calls.length);
  await assertArrivedOnce(librato, id);
}

const named = (id) => browserClients.find((client) => client.id === id);

describe("a page that is left before its events have gone", () => {
  const leaving = {
    "for another page": (page) => page.goto(elsewhere),
    "by closing its tab": (page) => page.close(),
  };
  const later = delivering({ strategy: "batching", config: { size: 100, timeout: 600_000 } });
  const keptAlive = delivering({ config: { keepalive: true } });
  let far;
  let elsewhere;

  before(async () => {
    far = await distant(world.edge);
    elsewhere = world.site.put("elsewhere", html("Elsewhere"));
  });
  after(() => far?.stop());

  /** Has a page make calls, and waits until they are all on a long way to the Worker. */
  async function underway(client, calls) {
    far.release();
    const visit = await client.open({ ...world, edge: far.origin });
    await visit.loaded(far.origin);
    far.hold();
    await visit.make(calls);
    await waitFor("the requests", () => visit.sent(far.origin).length === calls.length);
    assert.equal(await countOf(librato, client.id), 0);
    return visit;
  }

  for (const [how, leave] of Object.entries(leaving)) {
    const left = how.split(" ").at(-1);

    for (const of of ["ajs-1-84-3", "ajs-1-83-0", "ajs-1-70-0"]) {
      it(`${of}, batching, ${how}: the library sends them while it goes`, async () => {
        const client = named(`${of}-batching`).as(`${of}-batching-${left}`, { options: later });
        const calls = callsOf(client.id);
        const visit = await client.send(world, calls);
        await visit.settled();
        assert.deepEqual(visit.sent(world.edge), []);
        await leave(visit.page);
        await allArrive(client.id, calls);
        await visit.finish();
      });

      it(`${of}, keepalive, ${how}: what is on its way arrives`, async () => {
        const client = named(of).as(`${of}-keepalive-${left}`, { options: keptAlive });
        const calls = callsOf(client.id);
        const visit = await underway(client, calls);
        await leave(visit.page);
        far.release();
        await allArrive(client.id, calls);
        await visit.finish();
      });
    }

    it(`rudderstack-beacon, ${how}: the library sends them while it goes`, async () => {
      const client = named("rudderstack-beacon").as(`rudderstack-beacon-${left}`, { options: { useBeacon: true } });
      const calls = callsOf(client.id);
      const visit = await client.send(world, calls);
      await leave(visit.page);
      await allArrive(client.id, calls);
      await visit.finish();
    });
  }

  for (const of of ["ajs-1-84-3", "ajs-1-83-0", "ajs-1-70-0"]) {
    it(`${of}: what the browser gave up is sent by the visitor's next page`, async () => {
      const client = named(of).as(`${of}-next`);
      const calls = callsOf(client.id);
      const visit = await underway(client, calls);
      await leaving["for another page"](visit.page);
      await client.open(world, visit);
      await allArrive(client.id, calls);
      await visit.finish();
    });
  }
});

describe("the Worker cannot be reached for a moment", () => {
  // The one that does not look at answers does notice when there is none.
  for (const of of ["ajs-1-84-3", "ajs-1-83-0", "ajs-1-70-0", "classic", "rudderstack"]) {
    it(`${of} delivers everything`, async () => {
      const client = named(of).as(`${of}-offline`);
      const calls = callsOf(client.id);
      const visit = await client.open(world);
      let refused = 0;
      await visit.page.route(`${world.edge}/v1/*`, (route) => {
        refused += 1;
        return refused <= calls.length ? route.abort("connectionrefused") : route.continue();
      });
      await visit.make(calls);
      await allArrive(client.id, calls);
      assert.ok(refused >= 2 * calls.length);
      await visit.finish();
    });
  }
});

// What every store is put through, each in the profiles that its recipe names: events of real clients while deliveries
// fail, and sparse events that come late. Then it is asked what it has.

import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, it } from "node:test";
import { Service } from "../../../scripts/lib/services.mjs";
import { freePort } from "../../e2e/lib/net.mjs";
import { otlp } from "../../e2e/lib/otlp.mjs";
import { operatorToken, withPlatform } from "../../e2e/lib/platform.mjs";
import { startWay } from "../../e2e/lib/receivers.mjs";
import { faults as allFaults, EVENTS, namesOf, sendLate, sendThrough, told } from "../../e2e/lib/through.mjs";
import { waitFor } from "../../e2e/lib/wait.mjs";
import { withWorker } from "../../e2e/lib/worker.mjs";

/**
 * A running store.
 *
 * @typedef {object} Store
 * @property {string} url where it takes OTLP
 * @property {string} [headers] the setting `OTLP_HEADERS`
 * @property {(names: string[]) => Promise<Map<string, number>>} sums what it has, by metric and source
 * @property {() => Promise<void>} stop
 */

/** Waits until the sums are the expected ones: some stores write a little later. Then compares them. */
export async function assertSums(store, expected) {
  const names = namesOf(expected);
  const total = (sums) => [...sums.values()].reduce((sum, value) => sum + value, 0);
  await waitFor("all points in the store", async () => total(await store.sums(names)) >= total(expected)).catch(
    () => {},
  );
  assert.deepEqual(await store.sums(names), expected);
}

/**
 * Defines the tests of a store in one profile.
 *
 * @param {string} name
 * @param {object} row
 * @param {string} row.profile
 * @param {() => Promise<Store>} row.start
 * @param {object[]} [row.faults]
 * @param {boolean} [row.isOneSecondShared]
 * @param {string} [row.through] in place of "exact", what is different with faults, and then
 * @param {(store: Store, run: object) => Promise<void>} [row.assertThrough]
 * @param {string} [row.late] the same for late events
 * @param {(store: Store, run: object) => Promise<void>} [row.assertLate]
 */
export function testStore(name, row) {
  const { profile, start, faults = allFaults, isOneSecondShared } = row;
  const { through = "exact", assertThrough = (store, { expected }) => assertSums(store, expected) } = row;
  const { late = "exact", assertLate = assertNoneLost } = row;

  /** Runs with an empty store, and the settings for it. */
  async function withStore(use) {
    const store = await start();
    const way = await startWay(store.url);
    const own = { OTLP_PROFILE: profile, OTLP_HEADERS: store.headers ?? null, OPERATOR_TOKEN: operatorToken };
    try {
      await use({ store, way, settings: otlp(way.url, own) });
    } finally {
      await way.stop();
      await store.stop();
    }
  }

  describe(name, () => {
    it(`${EVENTS.toLocaleString("en")} events of real clients, through faults: ${through}`, (t) =>
      withStore(({ store, way, settings }) =>
        withWorker({ settings, queues: true }, async (worker) => {
          const run = await sendThrough({ worker, way, faults, isOneSecondShared });
          t.diagnostic(told(run));
          await assertThrough(store, run);
        }),
      ));

    it(`sparse events up to ten minutes late: ${late}`, (t) =>
      withStore(({ store, way, settings }) =>
        withPlatform({ settings }, async (platform) => {
          const run = await sendLate(platform);
          t.diagnostic(`${way.requests.length} requests, ${run.letters.length} letters`);
          await assertLate(store, { ...run, platform, way });
        }),
      ));
  });
}

async function assertNoneLost(store, { expected, letters }) {
  assert.deepEqual(letters, []);
  await assertSums(store, expected);
}

/** Asserts that late points were taken and are not there: what is to be known of whoever adds up in order. */
export async function assertLost(store, { expected, letters, way }) {
  assert.deepEqual(letters, []);
  for (const { status } of way.requests) assert.equal(status, 200);
  const sums = await store.sums(namesOf(expected));
  for (const [key, value] of expected) {
    const stored = sums.get(key);
    assert.ok(stored > 0 && stored < value, `${key}: ${stored} of ${value}`);
  }
}

/**
 * Starts a program with a folder of its own.
 *
 * @param {string} name
 * @param {(place: { folder: string, port: number }) => string[] | Promise<string[]>} command
 * @param {(url: string) => Promise<boolean>} isReady
 */
export async function startProgram(name, command, isReady) {
  const folder = await mkdtemp(join(tmpdir(), "librato-edge-store-"));
  const port = await freePort();
  const url = `http://127.0.0.1:${port}`;
  const service = new Service(name, await command({ folder, port }));
  const stop = async () => {
    await service.stop();
    await rm(folder, { recursive: true, force: true });
  };
  try {
    await waitFor(name, () => isReady(url).catch(() => false), { within: 60_000 });
  } catch (error) {
    await stop();
    throw new Error(`${error.message}\n\n${service.log}`);
  }
  return { folder, url, stop };
}

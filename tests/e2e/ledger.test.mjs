// A full ledger in workerd: an isolate's memory suffices for it, also when its object leaves and comes back, and when
// another one shares the isolate.

import assert from "node:assert/strict";
import { it } from "node:test";
import { MOST, measure } from "../../bench/ledger.mjs";

it("a full ledger fits its isolate, whoever shares it", async (t) => {
  const rows = await measure();
  for (const { label, done, waiting, millis, memory } of rows) {
    t.diagnostic(`${label}: ${done} done, ${waiting} waiting, ${memory} MB, answered after ${millis} ms`);
    assert.ok(memory <= MOST, `${label}: ${memory} MB`);
  }
  const [empty, full, , evicted, , again] = rows;
  assert.equal(empty.done + empty.waiting, 0);
  assert.equal(full.done, 4_000_000);
  assert.equal(full.waiting, 200_000);
  for (const { label, done } of [evicted, again]) assert.notEqual(done, 0, label);
});

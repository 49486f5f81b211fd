// What the operator's page says is wrong, from what the Worker tells it.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { diagnose } from "../../page/operator/diagnosis.js";

const NOW = 1_795_000_020;
const WELL = { status: "ok", version: "0.1.0", delivery: { mode: "durable" } };
const NOBODY_WAITS = { events: 0, oldest: null };

/** An hour in which something was: in the last minute, and, by the minutes before it, earlier. */
function hour(last = {}, earlier = {}, waiting = NOBODY_WAITS) {
  const bucket = (minutes) => ({
    start: NOW - 20 - 60 * minutes,
    requests: 0,
    received: 0,
    accepted: 0,
    measured: 0,
    delivered: 0,
    kept: 0,
    refusedPoints: 0,
    refused: {},
    failed: {},
    notMeasured: {},
    setAside: {},
    upstream: { requests: 0, outcomes: {}, p50: null, p99: null },
    ...(minutes === 0 ? last : earlier[minutes]),
  });
  const buckets = Array.from({ length: 60 }, (_, index) => bucket(59 - index));
  return { range: "hour", step: 60, now: NOW, buckets, waiting };
}

const outcomes = (counts) => ({ upstream: { requests: 1, outcomes: counts, p50: 10, p99: 20 } });
const said = (message) => ({ ...WELL, status: "misconfigured", code: "misconfigured", message });
const found = ({ health = WELL, hour: flow = hour(), groups = [], recent = [] }) =>
  diagnose({ health, hour: flow, groups, recent });

describe("of the destination", () => {
  for (const [what, heard, id, title] of [
    [
      "it refuses the credentials when it is asked",
      { health: said("LIBRATO_EMAIL and LIBRATO_TOKEN: expected credentials that Librato accepts; it says: no") },
      "credentials",
      "Librato does not take the credentials: nothing is delivered",
    ],
    [
      "it refuses them when something is sent",
      { hour: hour(outcomes({ 401: 2 }), { 3: outcomes({ "2xx": 9 }) }) },
      "credentials",
      "Librato does not take the credentials: nothing is delivered",
    ],
    [
      "nothing is there",
      { health: said("OTLP_URL: expected a URL at which the OTLP backend takes measurements, found none there") },
      "url",
      "Nothing takes measurements at OTLP_URL: nothing is delivered",
    ],
    [
      "it refuses everything",
      { health: said("the OTLP backend refused all that was lately sent; OTLP_PROFILE may be wrong; it says: no") },
      "refusing",
      "the OTLP backend refused all that was lately sent; OTLP_PROFILE may be wrong",
    ],
    ["it fails", { hour: hour(outcomes({ 503: 2 })) }, "down", "Librato is down: it answers 503: nothing is delivered"],
    [
      "it does not answer, and had answered before",
      { hour: hour({}, { 2: outcomes({ timeout: 2 }), 4: outcomes({ "2xx": 2 }) }) },
      "down",
      "Librato does not answer: nothing is delivered",
    ],
    [
      "it cannot be reached",
      { health: { ...WELL, sendsTo: { destination: "otlp" } }, hour: hour(outcomes({ network: 1 })) },
      "down",
      "The OTLP backend cannot be reached: nothing is delivered",
    ],
    [
      "it failed, and does so no more",
      { hour: hour(outcomes({ "2xx": 6 }), { 2: outcomes({ 503: 2 }) }) },
      "failing",
      "Librato failed 2 of 8 requests in the last 10 minutes",
    ],
    [
      "events wait for long",
      { hour: hour({}, {}, { events: 7, oldest: NOW - 600 }) },
      "waiting",
      /^7 events wait to be delivered, the oldest for /,
    ],
  ]) {
    it(`${what}: ${id}`, () => {
      const [first, ...others] = found(heard).map((finding) => [finding.id, finding.title]);
      assert.deepEqual(others, []);
      assert.equal(first[0], id);
      if (title instanceof RegExp) assert.match(first[1], title);
      else assert.equal(first[1], title);
    });
  }

  it("measurements that it refuses one by one are no failure of it", () => {
    const [{ id }] = found({ hour: hour({ received: 1, ...outcomes({ 400: 3 }) }) });
    assert.equal(id, "well");
  });

  it("a ledger that is too small, and one that is not", () => {
    const of = (shards, fullestPercent) => ({
      health: { ...WELL, ledger: { shards, fullestPercent, remembersHours: 9, wantedShards: 3 } },
      hour: hour({ received: 1 }),
    });
    for (const [shards, percent, title, detail] of [
      [1, 99, "The traffic wants 3 ledger shards, and there is 1", /^Only 9 hours are remembered/],
      [2, 40, "The traffic wants 3 ledger shards, and there are 2", /^Soon/],
    ]) {
      const [first] = found(of(shards, percent));
      assert.deepEqual([first.id, first.title, first.code], ["ledger", title, 'ONCE_SHARDS = "3"']);
      assert.match(first.detail, detail);
    }
    assert.equal(found(of(3, 99))[0].id, "well");
  });

  it("a setting that is missing is told of once", () => {
    const missing = [{ setting: "LIBRATO_TOKEN", expected: "a token" }];
    const all = found({ health: { ...said("LIBRATO_TOKEN: expected a token"), missing } });
    assert.deepEqual(
      all.map(({ id, code }) => [id, code]),
      [["setting-LIBRATO_TOKEN", "npx wrangler secret put LIBRATO_TOKEN"]],
    );
  });

  it("in direct delivery nothing waits: clients send again", () => {
    const health = { ...WELL, delivery: { mode: "direct" } };
    const [{ detail }] = found({ health, hour: hour(outcomes({ 503: 2 }), {}, { events: null, oldest: null }) });
    assert.match(detail, /clients are told to send again/);
  });
});

describe("of events", () => {
  it("the most first, a small share as a remark, and the destination before all", () => {
    const all = found({
      hour: hour({
        received: 1000,
        accepted: 900,
        measured: 860,
        refused: { event_not_allowed: 98, invalid_value: 2 },
        notMeasured: { switched_off: 30, duplicate: 10 },
        failed: { invalid_write_key: 3, upstream_unavailable: 9 },
        requests: 100,
        refusedPoints: 1,
        ...outcomes({ 500: 1 }),
      }),
      groups: [{ reason: "refused_by_librato", words: ["no"], count: 50, oldest: NOW - 9, newest: NOW }],
      recent: [{ outcome: "refused", code: "event_not_allowed", name: "Promo Clicked", message: "not allowed" }],
    });
    assert.deepEqual(
      all.map(({ id, level }) => `${level} ${id}`),
      [
        "bad down",
        "bad refused-event_not_allowed",
        "bad set-aside-refused_by_librato",
        "bad failed-invalid_write_key",
        "bad points",
        "warn not-measured-switched_off",
        "warn refused-invalid_value",
      ],
    );
    assert.equal(all[1].detail, "Lately: Promo Clicked.");
  });

  it("a code that is not known is told by its name", () => {
    const [{ title }] = found({ hour: hour({ received: 1, refused: { of_tomorrow: 1 } }) });
    assert.equal(title, "1 event of the last hour was refused: of tomorrow");
  });

  it("repetitions and calls that are never measured are as it should be", () => {
    const [{ id }] = found({ hour: hour({ received: 9, notMeasured: { duplicate: 4, not_measured: 5 } }) });
    assert.equal(id, "well");
  });

  it("none: nothing is wrong", () => {
    assert.deepEqual(
      found({}).map(({ id }) => id),
      ["idle"],
    );
  });
});

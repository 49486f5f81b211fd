// What the operator sees: the figures, the last events and what was set aside, by /operator/api and /operator/metrics.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { after, before, describe, it } from "node:test";
import { pythonEnvironment } from "../../scripts/lib/python.mjs";
import { batch, now, page, track, tracks } from "./lib/events.mjs";
import { refused, succeeded } from "./lib/expect.mjs";
import { startLibrato } from "./lib/librato.mjs";
import { operatorToken } from "./lib/platform.mjs";
import { projectPath } from "./lib/project.mjs";
import { waitFor } from "./lib/wait.mjs";
import { basic, configuration, startWorker, withWorker, writeKey } from "./lib/worker.mjs";

const API = ["health", "flow", "metrics", "live", "set-aside", "set-aside/groups"].map(
  (name) => `/operator/api/${name}`,
);

const settings = { OPERATOR_TOKEN: operatorToken };

function between(value, [least, most], what) {
  assert.ok(value >= least && value <= most, `${what}: ${value} is not between ${least} and ${most}`);
}

/** Sends a request as the operator does, and returns the answer's JSON. */
async function ask(worker, path, body) {
  const headers = { authorization: `Bearer ${operatorToken}` };
  const answer = await worker.fetch(`/operator/api/${path}`, { method: body ? "POST" : "GET", body, headers });
  assert.equal(answer.status, 200, answer.text);
  assert.equal(answer.headers.get("cache-control"), "no-store");
  return answer.json();
}

/** Adds up the buckets of a flow. */
function sum(flow) {
  const all = {};
  const add = (to, from) => {
    for (const [key, value] of Object.entries(from)) {
      if (typeof value === "number") to[key] = (to[key] ?? 0) + value;
      else if (value !== null) {
        to[key] ??= {};
        add(to[key], value);
      }
    }
  };
  for (const { start: _, ...bucket } of flow.buckets) add(all, bucket);
  return all;
}

const figures = async (worker, range = "hour") => sum(await ask(worker, `flow?range=${range}`));

/** Waits until the figures are those, and returns all of them. */
const counted = (worker, what, is) =>
  waitFor(
    what,
    async () => {
      const all = await figures(worker);
      return is(all) && all;
    },
    { within: 60_000 },
  );

/** Reads `/operator/metrics` with the parser of Prometheus' own client, into samples by name and labels. */
async function scraped(worker) {
  const headers = { authorization: `Bearer ${operatorToken}` };
  const response = await fetch(`${worker.url}/operator/metrics`, { headers });
  assert.equal(response.headers.get("content-type"), "text/plain; version=0.0.4; charset=utf-8");
  const output = execFileSync("python3", [projectPath("tests/e2e/clients/python/prometheus.py")], {
    env: pythonEnvironment("prometheus-client-0.26.0"),
    input: await response.text(),
    encoding: "utf8",
  });
  const samples = output
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line));
  for (const { type, help, name } of samples) {
    assert.ok(["counter", "gauge", "histogram"].includes(type) && help !== "", name);
  }
  const value = (name, labels = {}) => {
    const is = (sample) =>
      sample.name === `librato_edge_${name}` && Object.entries(labels).every(([k, v]) => sample.labels[k] === v);
    return samples.find(is)?.value;
  };
  return { samples, value };
}

/** What the local Librato has, but for the counter that no event has made. */
async function gauges(librato) {
  const { "Poison unassigned": _, ...totals } = await librato.totals();
  return totals;
}

/** What the local Librato has, and what the operator is told that it has. */
async function compare(worker, librato) {
  const totals = await gauges(librato);
  const { metrics, truncated } = await ask(worker, "metrics");
  assert.equal(truncated, false);
  const told = metrics.map(({ name, source, events, sum }) => [`${name} ${source}`, { count: events, sum }]);
  assert.deepEqual(Object.fromEntries(told.sort()), Object.fromEntries(Object.entries(totals).sort()));
  for (const { series, events } of metrics) {
    assert.equal(series.length, 48);
    assert.equal(
      series.reduce((one, other) => one + other, 0),
      events,
    );
  }
  return Object.values(totals).reduce((events, { count }) => events + count, 0);
}

describe("the token", () => {
  it("is needed for everything, and without it in the settings there is nothing", async () => {
    const paths = [...API, "/operator/metrics"];
    await withWorker({}, async (worker) => {
      for (const path of [...paths, "/operator", "/operator/assets/app.js"]) {
        const headers = { authorization: `Bearer ${operatorToken}` };
        refused(await worker.fetch(path, { headers }), 404, "not_found", /OPERATOR_TOKEN is not set/);
      }
    });
    await withWorker({ settings }, async (worker) => {
      for (const path of paths) {
        for (const authorization of [null, basic(writeKey), "Bearer ", `Bearer ${operatorToken}x`, operatorToken]) {
          refused(await worker.fetch(path, { headers: { authorization } }), 401, "invalid_token");
        }
      }
      refused(await worker.fetch("/operator/nothing"), 404, "not_found");
      const { status, headers } = await worker.post("/operator/api/flow", {});
      assert.deepEqual([status, headers.get("allow")], [405, "GET, HEAD, OPTIONS"]);
    });
  });

  it("is not guessed fast", async () => {
    await withWorker({ settings }, async (worker) => {
      const guess = async (token) =>
        (await worker.fetch("/set-aside", { headers: { authorization: `Bearer ${token}` } })).ms;
      for (let tries = 0; tries < 6; tries += 1) await guess("wrong");
      assert.ok((await guess("wrong")) >= 1_900);
      assert.ok((await guess(operatorToken)) < 1_900);
      assert.ok((await guess("wrong")) < 1_900);
    });
  });
});

describe("durable delivery", () => {
  let librato;
  let worker;
  before(async () => {
    librato = await startLibrato();
    worker = await startWorker({ librato: librato.url, settings, queues: true });
  });
  after(async () => {
    await worker?.stop();
    await librato?.stop();
  });

  it("is counted to the event, through faults", { timeout: 240_000 }, async () => {
    const EVENTS = 10_000;
    // A gauge of a counter's name is refused for good.
    await librato.api("/v1/metrics", { method: "POST", body: { counters: [{ name: "Poison", value: 1 }] } });
    for (const answer of ["503", "reset-before", "504", "401"]) await librato.fault({ answer, times: 1 });
    await librato.fault({ answer: "429", times: 1, retryAfter: 1 });
    const started = Date.now();
    const name = (index) => (index % 100 === 7 ? "Poison" : `Event ${index % 40}`);
    for (let begin = 0; begin < EVENTS; begin += 500) {
      const events = Array.from({ length: 500 }, (_, index) =>
        track(name(begin + index), { properties: { value: (index % 3) + 1 } }),
      );
      succeeded(await worker.post("/v1/batch", batch(events)));
    }
    const poison = EVENTS / 100;
    const delivered = async () => Object.values(await gauges(librato)).reduce((all, { count }) => all + count, 0);
    const arrived = async () => (await delivered()) === EVENTS - poison;
    await waitFor("all events at the local Librato", arrived, { within: 180_000 });
    const all = await counted(
      worker,
      "all events",
      (all) => all.delivered + (all.setAside.refused_by_librato ?? 0) >= EVENTS,
    );
    assert.deepEqual(
      [all.requests, all.received, all.accepted, all.measured, all.delivered, all.setAside],
      [EVENTS / 500, EVENTS, EVENTS, EVENTS, EVENTS - poison, { refused_by_librato: poison }],
    );
    assert.ok(all.kept > 0);
    for (const outcome of ["2xx", "400", "503", "network", "429", "504", "401"]) {
      assert.ok(all.upstream.outcomes[outcome] > 0, `${outcome}: ${JSON.stringify(all.upstream)}`);
    }
    assert.equal(
      Object.values(all.upstream.outcomes).reduce((one, other) => one + other),
      all.upstream.requests,
    );
    assert.ok(all.upstream.p50 > 0 && all.upstream.p99 >= all.upstream.p50);
    // With the one that has made the counter.
    assert.equal((await librato.requests()).length, all.upstream.requests + 1);

    assert.equal(await compare(worker, librato), EVENTS - poison);
    assert.deepEqual(await figures(worker, "month"), { ...all, upstream: (await figures(worker, "month")).upstream });
    assert.deepEqual((await ask(worker, "flow")).waiting, { events: 0, oldest: null });

    // At most one request in five seconds by each of the isolates, of which there is one here, and a row for each: two
    // where a minute ended within, and the first begins the sum.
    const { samples, value } = await scraped(worker);
    const flushes = value("operator_flushes_total");
    between(flushes, [1, (Date.now() - started) / 5_000 + 1], "flushes");
    between(value("operator_rows_written_total"), [flushes, 2 * flushes + 1], "rows");
    assert.deepEqual(
      [
        value("events_delivered_total"),
        value("events_set_aside_total", { reason: "refused_by_librato" }),
        value("waiting_events"),
      ],
      [EVENTS - poison, poison, 0],
    );
    assert.equal(value("upstream_request_duration_seconds_count"), all.upstream.requests);
    assert.equal(value("upstream_requests_total", { outcome: "network" }), all.upstream.outcomes.network);
    assert.equal(
      samples.filter(({ family }) => family === "librato_edge_upstream_request_duration_seconds").length,
      20,
    );
  });

  it("shows by reason what was set aside, finds it, and mends it step by step", async () => {
    const { count, groups } = await ask(worker, "set-aside/groups");
    assert.equal(groups.length, 1);
    assert.deepEqual([groups[0].reason, groups[0].count], ["refused_by_librato", count]);
    assert.match(groups[0].words, /Poison/);
    between(groups[0].oldest, [now() - 300, groups[0].newest], "oldest");
    between(groups[0].newest, [groups[0].oldest, now()], "newest");
    const numbers = [];
    for (let before = ""; before !== null; ) {
      const page = await ask(worker, `set-aside?reason=refused_by_librato&limit=1&before=${before}`);
      assert.equal(page.count, count);
      numbers.push(...page.letters.map(({ id }) => id));
      before = page.next;
    }
    assert.deepEqual(
      numbers,
      numbers.toSorted((one, other) => other - one),
    );
    assert.equal(new Set(numbers).size, count);
    assert.deepEqual(
      (await ask(worker, "set-aside?search=pOiSoN")).letters.map(({ id }) => id),
      numbers,
    );
    assert.deepEqual(await ask(worker, "set-aside?search=nowhere"), { count: 0, letters: [], next: null });
    assert.deepEqual(await ask(worker, "set-aside?reason=other"), { count: 0, letters: [], next: null });

    // Still refused: what is set aside again is no longer of this replay.
    const body = { reason: "refused_by_librato" };
    const step = await ask(worker, "set-aside/replay", body);
    assert.deepEqual(step, { success: true, changed: count, left: 0, after: numbers[0], upTo: numbers[0] });
    const again = await waitFor("the letters again", async () => {
      const { letters } = await ask(worker, "set-aside?limit=500");
      return letters.reduce((events, { measurement }) => events + measurement.count, 0) === 100 && letters;
    });
    const nothing = await ask(worker, "set-aside/replay", { ...body, after: step.after, upTo: step.upTo });
    assert.deepEqual([nothing.changed, nothing.left], [0, 0]);
    // Nothing is a counter any more.
    await librato.reset();
    const [{ id, measurement }] = again;
    assert.equal((await ask(worker, "set-aside/delete", { ids: [id] })).changed, 1);
    const replayed = await ask(worker, "set-aside/replay", { all: true, time: "now" });
    assert.deepEqual([replayed.changed, replayed.left], [again.length - 1, 0]);
    if (again.length > 1) await librato.counted("Poison", 100 - measurement.count);
    assert.deepEqual(await ask(worker, "set-aside/groups"), { count: 0, groups: [] });
    for (const wrong of [{}, { reason: "r", all: true }, { reason: 7 }, { ids: [] }]) {
      const headers = { authorization: `Bearer ${operatorToken}` };
      refused(
        await worker.post("/operator/api/set-aside/delete", wrong, headers),
        400,
        "invalid_event",
        /^body: expected/,
      );
    }
  });
});

describe("direct delivery", () => {
  let librato;
  let worker;
  before(async () => {
    librato = await startLibrato();
    worker = await startWorker({
      librato: librato.url,
      settings: { ...settings, ALLOWED_ORIGINS: "https://shop.example" },
    });
  });
  after(async () => {
    await worker?.stop();
    await librato?.stop();
  });

  it("is counted with what is refused and why", async () => {
    succeeded(
      await worker.post(
        "/v1/track",
        track("Signed Up", {
          properties: { value: 4 },
          context: { library: { name: "analytics.js", version: "1.84.3" }, source: "web" },
        }),
      ),
    );
    succeeded(await worker.post("/v1/page", page("Home")));
    const twice = track("Twice");
    const off = track("Off", { integrations: { Librato: false } });
    const mixed = [
      twice,
      twice,
      off,
      { type: "group", userId: "u" },
      track(""),
      track("Old", { timestamp: "2001-01-01" }),
    ];
    assert.equal((await worker.post("/v1/batch", batch(mixed))).status, 200);
    refused(await worker.post("/v1/track", track("A"), { authorization: basic("wrong") }), 400, "invalid_write_key");
    await librato.fault({ answer: "503", times: 2 });
    refused(await worker.post("/v1/batch", batch(tracks(3, "Later"))), 503, "upstream_unavailable");

    const all = await counted(worker, "six requests", ({ requests }) => requests === 5);
    const { upstream, ...events } = all;
    assert.deepEqual(events, {
      requests: 5,
      failed: { invalid_write_key: 1, upstream_unavailable: 1 },
      received: 11,
      accepted: 6,
      measured: 3,
      notMeasured: { duplicate: 1, not_measured: 1, switched_off: 1 },
      refused: { missing_event: 1, timestamp_out_of_range: 1 },
      delivered: 3,
      refusedPoints: 0,
      kept: 0,
      setAside: {},
    });
    assert.deepEqual(upstream.outcomes, { "2xx": 3, 503: 2 });
    assert.equal(await compare(worker, librato), 3);
    assert.equal((await ask(worker, "flow")).waiting.events, null);

    const { metrics, allowedEvents } = await ask(worker, "metrics");
    const signedUp = metrics.find(({ name }) => name === "Signed-Up");
    assert.deepEqual([signedUp.isNew, signedUp.sum], [true, 4]);
    between(signedUp.lastSeen, [now() - 60, now()], "last seen");
    assert.match(allowedEvents, /^ALLOWED_EVENTS = "[\w-]+, [\w-]+, [\w-]+"$/);

    const { enabled, latest, events: shown } = await ask(worker, "live?after=0");
    const seen = shown.map(({ type, name, outcome, code }) => [type, name, outcome, code]);
    assert.deepEqual(seen, [
      ["track", "Signed Up", "measured", null],
      ["page", "Home", "measured", null],
      ["track", "Twice", "measured", null],
      ["track", "Twice", "accepted", "duplicate"],
      ["track", "Off", "accepted", "switched_off"],
      ["group", null, "accepted", "not_measured"],
      ["track", null, "refused", "missing_event"],
      ["track", "Old", "refused", "timestamp_out_of_range"],
      ["track", null, "refused", "invalid_write_key"],
      ["batch", null, "refused", "upstream_unavailable"],
    ]);
    assert.deepEqual([enabled, latest], [true, shown.at(-1).number]);
    const [{ writeKey: key, library, gauge, at }] = shown;
    assert.deepEqual([key, library], [`…${writeKey.slice(-4)}`, "analytics.js/1.84.3"]);
    assert.deepEqual([gauge.name, gauge.value], ["Signed-Up", 4]);
    between(at / 1000, [now() - 60, now() + 1], "arrival");
    assert.equal((await ask(worker, `live?after=${latest}`)).events.length, 0);
    assert.equal(JSON.stringify(shown).includes("properties"), false);
  });

  it("is told of by the routes of the page, whatever origins may send", async () => {
    const health = await ask(worker, "health");
    assert.deepEqual([health.status, health.liveList, health.delivery], ["ok", true, { mode: "direct" }]);
    const host = new URL(librato.url).host;
    assert.deepEqual(health.sendsTo, { destination: "librato", profile: "metrics", host });
    const headers = { authorization: `Bearer ${operatorToken}`, origin: worker.url };
    const own = await fetch(`${worker.url}/operator/api/set-aside/groups`, { headers });
    assert.equal(own.status, 200);
    assert.equal((await ask(worker, "flow?range=month")).buckets.length, 720);
    const { authorization } = headers;
    refused(
      await worker.fetch("/operator/api/flow?range=week", { headers: { authorization } }),
      ...[400, "invalid_event", /^range/],
    );
    for (const path of ["//operator/api//flow/", "/v1/operator/api/flow"]) {
      assert.equal((await worker.fetch(path, { headers: { authorization } })).status, 200, path);
    }
  });

  it("is still known when the object begins anew, but for the last events", async () => {
    const before = await figures(worker);
    const { latest } = await ask(worker, "live");
    await worker.evict("Operator", "operator");
    assert.deepEqual(await figures(worker), before);
    assert.deepEqual((await ask(worker, "live")).events, []);
    succeeded(await worker.post("/v1/track", track("Later")));
    const { events } = await waitFor("the next event", async () => {
      const live = await ask(worker, `live?after=${latest}`);
      return live.events.length > 0 && live;
    });
    assert.deepEqual(
      events.map(({ name }) => name),
      ["Later"],
    );
  });
});

it("shows no event where LIVE_EVENTS is off", async () => {
  const librato = await startLibrato();
  try {
    await withWorker({ librato: librato.url, settings: { ...settings, LIVE_EVENTS: "off" } }, async (worker) => {
      succeeded(await worker.post("/v1/track", track("Hidden")));
      await counted(worker, "the event", ({ delivered }) => delivered === 1);
      assert.deepEqual(await ask(worker, "live"), { enabled: false, latest: 0, events: [] });
      assert.equal((await ask(worker, "health")).liveList, false);
    });
  } finally {
    await librato.stop();
  }
});

describe("an object that is out of order", () => {
  const { name, compatibility_date: compatibilityDate } = configuration();
  const broken = `
    import { DurableObject } from "cloudflare:workers";
    let asked = 0;
    /** Hangs, fails, loses what it is asked or its own answer, in turn, before it does what it is asked. */
    export class Broken extends DurableObject {
      async fetch(request) {
        const url = new URL(request.url);
        const body = await request.arrayBuffer();
        const pass = () => this.env.OPERATOR.getByName("operator").fetch(request.url, { method: "POST", body });
        const flush = new TextDecoder().decode(body).includes('"Flush"');
        if (!flush || !this.env.BROKEN) return pass();
        switch (asked++) {
          case 0:
            return new Promise(() => setTimeout(() => {}, 60_000));
          case 1:
            throw new Error("out of order");
          case 2:
            await (await pass()).arrayBuffer();
            return new Response("lost", { status: 503 });
          default:
            return pass();
        }
      }
    }
    export default {};
  `;
  const options = (librato, queues) => ({
    librato: librato.url,
    settings,
    queues,
    platform: {
      durableObjects: {
        ONCE: { className: "Once", useSQLite: true },
        LETTERS: { className: "SetAside", useSQLite: true },
        OPERATOR: { className: "Broken", scriptName: "beside", useSQLite: true },
      },
      additionalUnboundDurableObjects: [{ className: "Operator", useSQLite: true }],
    },
    beside: [
      {
        name: "beside",
        compatibilityDate,
        modules: true,
        script: broken,
        bindings: { BROKEN: true },
        durableObjects: { OPERATOR: { className: "Operator", scriptName: name, useSQLite: true } },
        additionalUnboundDurableObjects: [{ className: "Broken", useSQLite: true }],
      },
    ],
  });

  for (const [delivery, queues] of [
    ["direct", false],
    ["durable", true],
  ]) {
    it(`delays and loses no event in ${delivery} delivery, and counts each once afterwards`, {
      timeout: 120_000,
    }, async () => {
      const librato = await startLibrato();
      try {
        await withWorker(options(librato, queues), async (worker) => {
          let sent = 0;
          const all = await waitFor(
            "the figures",
            async () => {
              const answer = await worker.post("/v1/track", track("Goes On"));
              succeeded(answer);
              assert.ok(answer.ms < 2_000, `${answer.ms} ms`);
              sent += 1;
              await librato.counted("Goes-On", sent, { within: 4_000 });
              const all = await figures(worker);
              return all.requests > 0 && sent > 3 && all;
            },
            { within: 90_000 },
          );
          assert.ok(all.received <= sent);
          await counted(worker, "all events", ({ received, delivered }) => received === sent && delivered === sent);
        });
      } finally {
        await librato.stop();
      }
    });
  }
});

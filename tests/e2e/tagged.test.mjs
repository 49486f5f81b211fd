// LIBRATO_API=measurements: the tagged API, which stores the valid members of a request and refuses the others.

import assert from "node:assert/strict";
import { after, before, beforeEach, describe, it } from "node:test";
import { batch, now, page, track, tracks } from "./lib/events.mjs";
import { partly, refused, succeeded } from "./lib/expect.mjs";
import { startLibrato } from "./lib/librato.mjs";
import { version } from "./lib/project.mjs";
import { startScripted } from "./lib/scripted.mjs";
import { waitFor } from "./lib/wait.mjs";
import { basic, secrets, startWorker, withWorker } from "./lib/worker.mjs";

const settings = { LIBRATO_API: "measurements" };
const MOST_MEMBERS = 300;
const created = { period: 60, attributes: { aggregate: true, summarize_function: "sum" } };

describe("against the local Librato", () => {
  let librato;
  let worker;
  before(async () => {
    librato = await startLibrato();
    worker = await startWorker({ librato: librato.url, settings });
  });
  beforeEach(() => librato.reset());
  after(async () => {
    await librato?.stop();
    await worker?.stop();
  });

  const send = (events) => worker.post("/v1/batch", batch(events));
  /** Librato knows this name as a counter, so it refuses a gauge of that name. */
  async function makeCounter(name) {
    const body = { counters: [{ name, value: 1 }] };
    assert.equal((await librato.api("/v1/metrics", { method: "POST", body })).status, 200);
  }
  const gauges = async () =>
    Object.fromEntries(Object.entries(await librato.totals()).filter(([name]) => !/^clash/i.test(name)));

  it("events arrive: names, values, sources and times", async () => {
    const at = now() - 600;
    const event = track("Order Completed", {
      timestamp: new Date(at * 1000).toISOString(),
      properties: { value: 2.5 },
      integrations: { Librato: { source: "shop 1" } },
    });
    succeeded(await worker.post("/v1/track", event));
    succeeded(await worker.post("/v1/page", page("Home", { category: "docs" })));
    // Tags are kept in lower case.
    assert.deepEqual(await librato.totals(), {
      "Order-Completed shop-1": { count: 1, sum: 2.5 },
      "Viewed-docs-Home-Page viewed-docs-home-page": { count: 1, sum: 1 },
    });
    assert.equal((await librato.metric("Order-Completed")).lastTime, at);
    assert.deepEqual(
      (await librato.requests()).map(({ method, path, status }) => [method, path, status]),
      [
        ["POST", "/v1/measurements", 202],
        ["POST", "/v1/measurements", 202],
      ],
    );
    const { body } = await librato.api("/v1/metrics/Order-Completed");
    assert.equal(body.period, 60);
    assert.deepEqual([body.attributes.aggregate, body.attributes.summarize_function], [true, "sum"]);
  });

  it("2,500 events of a few metrics, exactly", async () => {
    const at = now() - 60;
    const events = Array.from({ length: 2_500 }, (_, index) => ({
      type: "track",
      event: `Metric ${index % 25}`,
      userId: "u",
      timestamp: at - (index % 7),
      properties: { value: (index % 97) / 4 },
    }));
    const expected = {};
    for (const { event, properties } of events) {
      const name = event.replace(" ", "-");
      const stream = `${name} ${name.toLowerCase()}`;
      const { count, sum } = expected[stream] ?? { count: 0, sum: 0 };
      expected[stream] = { count: count + 1, sum: sum + properties.value };
    }
    succeeded(await worker.post("/v1/batch", batch(events, { sentAt: undefined })));
    assert.deepEqual(await librato.totals(), expected);
  });

  it("some are refused: they are set aside, and the rest counts once", async () => {
    await makeCounter("Clash");
    const events = tracks(MOST_MEMBERS - 1);
    events.splice(123, 0, track("Clash", { messageId: "the-bad-one" }));
    const answer = await send(events);
    assert.equal(answer.status, 200, answer.text);
    const { rejected, ...rest } = answer.json();
    assert.deepEqual(rest, { success: true, accepted: MOST_MEMBERS - 1 });
    assert.deepEqual(
      rejected.map(({ message, ...one }) => one),
      [{ index: 123, messageId: "the-bad-one", code: "refused_by_librato" }],
    );
    const arrived = Object.values(await gauges());
    assert.deepEqual(arrived, Array(MOST_MEMBERS - 1).fill({ count: 1, sum: 1 }));
    // One request besides the counter's: stored measurements are not sent again.
    assert.equal((await librato.requests()).length, 2);
  });

  it("several are refused, in several requests", async () => {
    await makeCounter("Clash-A");
    await makeCounter("Clash-B");
    const events = tracks(700);
    const places = [0, 5, 299, 300, 699];
    for (const [index, place] of places.entries()) events[place] = track(index % 2 ? "Clash A" : "Clash B");
    partly(
      await send(events),
      695,
      places.map((place) => [place, "refused_by_librato"]),
    );
    assert.deepEqual(Object.values(await gauges()), Array(695).fill({ count: 1, sum: 1 }));
  });

  it("what is taken is not called refused because its name stands in Librato's words", async () => {
    await makeCounter("Clash");
    // "name: Clash; param: type; reason: 'Clash' is a counter, but was submitted as different type"
    const names = ["name", "param", "type", "reason", "counter", "different", "is", "a", "Clash-2"];
    const answer = await send([...names.map((name) => track(name)), track("Clash")]);
    partly(answer, names.length, [[names.length, "refused_by_librato"]]);
    const { metrics } = await librato.state();
    for (const name of names) assert.equal(metrics.find((metric) => metric.name === name)?.count, 1, name);
  });

  it("all are refused: 200 with nothing accepted, a single one 400 with its own code", async () => {
    await makeCounter("Clash");
    refused(await worker.post("/v1/track", track("Clash")), 400, "refused_by_librato");
    partly(
      await send([track("Clash"), track("clash", { timestamp: now() - 9 })]),
      0,
      [0, 1].map((index) => [index, "refused_by_librato"]),
    );
    assert.deepEqual(await gauges(), {});
  });

  for (const [fault, status, code] of [
    ["503", 503, "upstream_unavailable"],
    ["429", 429, "rate_limited"],
    ["403-limit", 429, "rate_limited"],
    ["401", 503, "misconfigured"],
    ["403-readonly", 503, "misconfigured"],
  ]) {
    it(`Librato answers ${fault}: ${code}, and nothing is lost when it is sent again`, async () => {
      await librato.fault({ answer: fault, times: 0 });
      const event = track("Patience");
      refused(await worker.post("/v1/track", event), status, code);
      await librato.reset();
      succeeded(await worker.post("/v1/track", event));
      assert.deepEqual(await librato.totals(), { "Patience patience": { count: 1, sum: 1 } });
    });
  }

  it("GET /health?deep=1 asks it whether the credentials are good", async () => {
    const answer = await worker.fetch("/health?deep=1");
    assert.equal(answer.status, 200, answer.text);
    assert.equal((await librato.state()).requests, 0);
  });
});

describe("against a Librato that says what it is told to say", () => {
  let librato;
  let worker;
  before(async () => {
    librato = await startScripted();
    worker = await startWorker({ librato: librato.url, settings });
  });
  after(async () => {
    await librato?.stop();
    await worker?.stop();
  });

  const send = (events) => worker.post("/v1/batch", batch(events, { sentAt: undefined }));
  const summary = (total, failed) => ({
    measurements: { summary: { total, accepted: total - failed, failed, filtered: 0 } },
  });
  const members = ({ json }) => json.measurements;

  /** Stores the valid members and reports the others, like the tagged API. */
  const taking = (isBad, errors) => (request) => {
    const all = members(request);
    const bad = all.filter(isBad);
    request.taken = all.filter((member) => !isBad(member));
    const body = { ...summary(all.length, bad.length), ...(bad.length > 0 && { errors: errors(bad) }) };
    return { status: 202, body };
  };

  /** Accepts or refuses a request as a whole. */
  const strict = (isBad, refusal) => (request) => {
    const bad = members(request).filter(isBad);
    request.taken = bad.length > 0 ? [] : members(request);
    return bad.length > 0 ? refusal(bad) : { status: 202, body: summary(members(request).length, 0) };
  };

  /** Asserts that each of these was stored, once. */
  function takenOnce(names) {
    const taken = librato.requests.flatMap((request) => request.taken.map(({ name }) => name));
    assert.deepEqual(taken.sort(), [...names].sort());
  }

  it("the body, to the letter", async () => {
    librato.play([]);
    const at = now() - 60;
    const timestamp = new Date(at * 1000).toISOString();
    const event = track("Order Completed", {
      timestamp,
      properties: { value: 2.5, revenue: 5, plan: "pro" },
      integrations: { Librato: { source: "shop 1" } },
    });
    const same = [3, -1, 0.5].map((value) => track("Merged", { timestamp, properties: { value } }));
    succeeded(await send([event, ...same, track("merged", { timestamp })]));
    assert.equal(librato.requests.length, 1);
    const [{ method, path, headers, json }] = librato.requests;
    assert.equal(`${method} ${path}`, "POST /v1/measurements");
    assert.equal(headers.authorization, basic(secrets.LIBRATO_EMAIL, secrets.LIBRATO_TOKEN));
    // Anything else is a 415.
    assert.equal(headers["content-type"], "application/json");
    assert.equal(headers["user-agent"], `librato-edge/${version}`);
    assert.deepEqual(json, {
      measurements: [
        {
          ...{ name: "Order-Completed", display_name: "Order Completed", value: 2.5, time: at },
          ...{ tags: { source: "shop-1" }, ...created },
        },
        {
          ...{ name: "Merged", display_name: "Merged", count: 4, sum: 3.5, min: -1, max: 3, time: at },
          ...{ tags: { source: "Merged" }, ...created },
        },
      ],
    });
  });

  it("METRIC_PERIOD=off: neither period nor attributes", async () => {
    await withWorker({ librato: librato.url, settings: { ...settings, METRIC_PERIOD: "off" } }, async (other) => {
      librato.play([]);
      const timestamp = new Date().toISOString();
      succeeded(await other.post("/v1/batch", batch([track("Bare", { timestamp })], { sentAt: undefined })));
      const time = Math.floor(Date.parse(timestamp) / 1000);
      assert.deepEqual(librato.requests[0].json, {
        measurements: [{ name: "Bare", display_name: "Bare", value: 1, time, tags: { source: "Bare" } }],
      });
    });
  });

  it(`at most ${MOST_MEMBERS} measurements a request, never an empty one`, async () => {
    librato.play([]);
    succeeded(await send(tracks(MOST_MEMBERS + 1)));
    assert.deepEqual(librato.requests.map((request) => members(request).length).sort(), [1, MOST_MEMBERS]);
    librato.play([]);
    succeeded(await send([]));
    succeeded(await send([track("Off", { integrations: { Librato: false } })]));
    assert.equal(librato.requests.length, 0);
  });

  const fine = {
    "202 with a summary": { status: 202, body: summary(2, 0) },
    "202 with a summary and no errors": { status: 202, body: { ...summary(2, 0), errors: [] } },
    "202 without a body": { status: 202 },
    "200 {}": { body: {} },
    204: { status: 204 },
  };
  for (const [what, answer] of Object.entries(fine)) {
    it(`${what}: delivered`, async () => {
      librato.play([answer]);
      succeeded(await send(tracks(2)));
      assert.equal(librato.requests.length, 1);
    });
  }

  describe("202 with a summary and errors: some are taken, and are not sent again", () => {
    const isBad = ({ name }) => name.startsWith("Bad");
    const shapes = {
      "objects with the name": (bad) => bad.map(({ name }) => ({ name, param: "value", reason: "is too odd" })),
      "objects with a text": (bad) => bad.map(({ name }) => ({ param: "name", message: `${name} is not valid` })),
      texts: (bad) => bad.map(({ name }) => `'${name}' is a counter, but was submitted as different type`),
    };
    for (const [how, errors] of Object.entries(shapes)) {
      for (const places of [[0], [7], [2, 3, 9]]) {
        it(`${places.length} of 10, told by ${how}, at ${places.join(", ")}`, async () => {
          librato.play([], taking(isBad, errors));
          const events = tracks(10);
          for (const place of places) events[place] = track(`Bad-${place}`);
          partly(
            await send(events),
            10 - places.length,
            places.map((place) => [place, "refused_by_librato"]),
          );
          takenOnce(events.map(({ event }) => event).filter((name) => !name.startsWith("Bad")));
          assert.equal(librato.requests.length, 1);
        });
      }
    }

    it("in a summary that has taken none", async () => {
      librato.play([], taking(isBad, shapes.texts));
      refused(await worker.post("/v1/track", track("Bad-0")), 400, "refused_by_librato");
      partly(
        await send([track("Bad-0"), track("Bad-1")]),
        0,
        [0, 1].map((index) => [index, "refused_by_librato"]),
      );
      takenOnce([]);
    });

    it("in words that name none of them: nothing is sent twice, and it is not passed over in silence", async () => {
      librato.play(
        [],
        taking(isBad, () => ["One of them is refused"]),
      );
      const printed = worker.printed.length;
      const answer = await send([track("Good-1"), track("Bad-0"), track("Good-2")]);
      takenOnce(["Good-1", "Good-2"]);
      const [line] = await waitFor("the log line", () => {
        const lines = worker.lines.slice(printed);
        return lines.length > 0 && lines;
      });
      assert.ok(answer.text !== '{"success":true}' || line.trouble, JSON.stringify([answer.text, line]));
    });
  });

  describe("2xx with errors and no summary, 400 and 422: the offender is found, and the rest counts once", () => {
    const isBad = ({ name }) => name.startsWith("Bad");
    const refusals = {
      "200 with the name in an object": (bad) => ({
        body: { errors: bad.map(({ name }) => ({ name, reason: "odd" })) },
      }),
      "202 with the name in a text": (bad) => ({
        status: 202,
        body: { errors: bad.map(({ name }) => `${name} is odd`) },
      }),
      "200 without a name": () => ({ body: { errors: ["one of them is odd"] } }),
      "400 with the name": ([{ name }]) => ({
        status: 400,
        body: { errors: { params: { name: [`${name} is not a valid metric name`] } } },
      }),
      "400 in words that name none": () => ({ status: 400, body: { errors: ["one of them is odd"] } }),
    };
    for (const [how, refusal] of Object.entries(refusals)) {
      it(`${how}, one of 50`, async () => {
        librato.play([], strict(isBad, refusal));
        const events = tracks(50);
        events[31] = track("Bad-31");
        partly(await send(events), 49, [[31, "refused_by_librato"]]);
        takenOnce(events.map(({ event }) => event).filter((name) => !name.startsWith("Bad")));
      });
    }

    it("400 without a word of Librato's, as of a gateway: kept for later", async () => {
      librato.play([], () => ({ status: 400 }));
      refused(await worker.post("/v1/track", track("Gateway")), 503, "upstream_unavailable");
    });

    it("422, the shape is wrong: set aside", async () => {
      librato.play([], () => ({ status: 422, body: { errors: ["Payload is of an unknown shape"] } }));
      refused(await worker.post("/v1/track", track("Shape")), 400, "refused_by_librato", /422/);
      assert.equal(librato.requests.length, 1);
    });
  });

  it("403, an account without tags: the operator's fault", async () => {
    const text =
      "Tag based measurements are not enabled for this account. Contact support@librato.com for more information";
    librato.play([], () => ({ status: 403, body: { errors: [text] } }));
    refused(await worker.post("/v1/track", track("Tags")), 503, "misconfigured");
  });
});

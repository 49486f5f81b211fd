// Events from Segment itself: a Webhooks destination, classic and Actions, and what Engage sends through it.

import assert from "node:assert/strict";
import { createHmac, randomBytes } from "node:crypto";
import { after, before, beforeEach, describe, it } from "node:test";
import { gzipSync } from "node:zlib";
import { list } from "./lib/contract.mjs";
import { batch, now, page, track, userId } from "./lib/events.mjs";
import { partly, refused, succeeded } from "./lib/expect.mjs";
import { startLibrato } from "./lib/librato.mjs";
import { waitFor } from "./lib/wait.mjs";
import { basic, startWorker, withWorker } from "./lib/worker.mjs";

const WEBHOOK_SECRET = `shared-${randomBytes(12).toString("hex")}`;

let librato;
let worker;

before(async () => {
  librato = await startLibrato();
  worker = await startWorker({ librato: librato.url, settings: { WEBHOOK_SECRET } });
});
beforeEach(() => librato.reset());
after(async () => {
  assert.doesNotMatch(worker?.printed.join("\n") ?? "", new RegExp(WEBHOOK_SECRET));
  await librato?.stop();
  await worker?.stop();
});

const hmac = (text, secret = WEBHOOK_SECRET, algorithm = "sha1") =>
  createHmac(algorithm, secret).update(text).digest("hex");

/** One request of a Webhooks destination. */
async function deliver(body, signature, { to = worker, headers = {} } = {}) {
  const answer = await to.post("/webhooks/segment", body, {
    authorization: null,
    "user-agent": "Segment.io/1.0",
    ...(signature !== null && { "x-signature": signature }),
    ...headers,
  });
  assert.ok(!answer.text.includes(WEBHOOK_SECRET));
  return answer;
}

/** One event, signed as both kinds of destination sign it. */
function one(event, options) {
  const text = JSON.stringify(event);
  return deliver(text, hmac(text), options);
}

/** An array, as Actions sends it: the text of its first element is what is signed. */
function several(events, options) {
  return deliver(JSON.stringify(events), hmac(JSON.stringify(events[0])), options);
}

/** An event as Segment passes it on: with the times that it has corrected, and the ones that it had. */
function passedOn(event, { at = now() - 600, more = {} } = {}) {
  const iso = (seconds) => new Date(seconds * 1000).toISOString();
  return {
    anonymousId: "507f191e810c19729de860ea",
    channel: "browser",
    context: { ip: "192.0.2.1", library: { name: "analytics.js", version: "next-1.84.3" } },
    integrations: {},
    // A clock that is a day slow, and an hour between the event and its sending.
    originalTimestamp: iso(at - 86_400),
    sentAt: iso(at - 82_800),
    receivedAt: iso(at + 3_600),
    projectId: "a-project",
    version: 2,
    ...event,
    timestamp: iso(at),
    ...more,
  };
}

/** Nothing reached Librato. */
async function nothingMeasured() {
  assert.equal((await librato.state()).requests, 0);
}

describe("POST /webhooks/segment", () => {
  it("classic: one event", async () => {
    succeeded(await one(passedOn(track("Order Completed", { properties: { value: 2.5 } }))));
    succeeded(await one(passedOn(page("Home", { category: "Docs" }))));
    assert.deepEqual(await librato.totals(), {
      "Order-Completed Order-Completed": { count: 1, sum: 2.5 },
      "Viewed-Docs-Home-Page Viewed-Docs-Home-Page": { count: 1, sum: 1 },
    });
  });

  it("Actions: an array, of one and of many", async () => {
    succeeded(await several([passedOn(track("Alone"))]));
    succeeded(await several([passedOn(track("First")), passedOn(page("Home")), passedOn(track("First"))]));
    assert.deepEqual(await librato.totals(), {
      "Alone Alone": { count: 1, sum: 1 },
      "First First": { count: 2, sum: 2 },
      "Viewed-Home-Page Viewed-Home-Page": { count: 1, sum: 1 },
    });
  });

  it("Actions: 4,000 events, the most that it sends at once", async () => {
    const events = Array.from({ length: 4_000 }, (_, index) =>
      passedOn(track(`Many ${index % 40}`, { properties: { value: index % 40 } })),
    );
    succeeded(await several(events));
    const { metrics } = await librato.state();
    assert.equal(metrics.length, 40);
    for (const { name, count, sum } of metrics) assert.deepEqual([count, sum], [100, 100 * Number(name.split("-")[1])]);
  });

  it("with and without /v1, with a trailing slash, whatever the content type", async () => {
    const text = JSON.stringify(passedOn(track("Spelling")));
    for (const path of ["/webhooks/segment", "/webhooks/segment/", "/v1/webhooks/segment", "/webhooks/segment?a=b"]) {
      for (const type of ["application/json", "text/plain", null]) {
        const headers = { authorization: null, "content-type": type, "x-signature": hmac(text) };
        succeeded(await worker.post(path, Buffer.from(text), headers));
      }
    }
    assert.equal((await librato.metric("Spelling")).count, 12);
  });

  it("the timestamp is corrected already: sentAt says nothing about it", async () => {
    const at = now() - 600;
    succeeded(await one(passedOn(track("Alone"), { at })));
    succeeded(await several([passedOn(track("First"), { at: at - 1 }), passedOn(track("Second"), { at: at + 30 })]));
    for (const [name, time] of [
      ["Alone", at],
      ["First", at - 1],
      ["Second", at + 30],
    ]) {
      assert.equal((await librato.metric(name)).lastTime, time);
    }
    // The same through the API: who has both of them has corrected it, so that sentAt says nothing there either.
    succeeded(await worker.post("/v1/track", passedOn(track("Api"), { at })));
    assert.equal((await librato.metric("Api")).lastTime, at);
    // Without them sentAt is the sender's clock: an hour later, so outside the window.
    for (const missing of ["originalTimestamp", "receivedAt"]) {
      const event = passedOn(track("Api"), { at, more: { [missing]: undefined } });
      refused(await worker.post("/v1/track", event), 400, "timestamp_out_of_range");
    }
  });

  it("no write key is asked for, and none is looked at", async () => {
    succeeded(await one(passedOn(track("Key", { writeKey: "another" }))));
    await withWorker({ librato: librato.url, settings: { WEBHOOK_SECRET, WRITE_KEYS: null } }, async (other) => {
      succeeded(await one(passedOn(track("Key")), { to: other }));
    });
    assert.equal((await librato.metric("Key")).count, 2);
  });

  // Actions can send headers of its user's: for a gateway on the way, for example.
  for (const [what, authorization] of [
    ["Bearer", "Bearer abc"],
    ["Basic", basic("user", "password")],
  ]) {
    it(`an Authorization header, ${what}, is not its business`, async () => {
      succeeded(await one(passedOn(track("Key")), { headers: { authorization } }));
      assert.equal((await librato.metric("Key")).count, 1);
    });
  }

  it('notices of type "delete" are accepted, and not measured', async () => {
    const notice = { type: "delete", userId, channel: "server", messageId: "m-1", projectId: "a-project" };
    succeeded(await one(notice));
    succeeded(await several([notice, passedOn(track("Beside")), notice]));
    assert.deepEqual(await librato.totals(), { "Beside Beside": { count: 1, sum: 1 } });
  });

  it("identify, group, alias and screen are accepted, and not measured", async () => {
    const calls = ["identify", "group", "alias", "screen"].map((type) => passedOn({ type, userId, traits: { a: 1 } }));
    for (const call of calls) succeeded(await one(call));
    succeeded(await several(calls));
    await nothingMeasured();
  });

  it("what cannot be measured is told, and does not take the rest with it", async () => {
    const bad = passedOn(track(undefined, { messageId: "m-1" }));
    refused(await one(bad), 400, "missing_event", /\bevent\b/);
    refused(await one({ ...bad, type: "delite" }), 400, "unsupported_type", /\btype\b/);
    refused(await one({ ...bad, type: undefined }), 400, "missing_type", /\btype\b/);
    partly(await several([bad, passedOn(track("Good")), passedOn(track("X", { properties: { value: "much" } }))]), 1, [
      [0, "missing_event"],
      [2, "invalid_value"],
    ]);
    partly(await several([bad, bad]), 0, [
      [0, "missing_event"],
      [1, "missing_event"],
    ]);
    assert.deepEqual(await librato.totals(), { "Good Good": { count: 1, sum: 1 } });
  });

  it("the same messageId twice in one array counts once", async () => {
    const twice = passedOn(track("Once"));
    succeeded(await several([twice, twice, passedOn(track("Once"))]));
    assert.equal((await librato.metric("Once")).count, 2);
  });

  it("Librato down: 503, and Segment sends it again", async () => {
    await librato.fault({ answer: "503", times: 0 });
    const event = passedOn(track("Patience"));
    refused(await one(event), 503, "upstream_unavailable");
    await librato.reset();
    succeeded(await one(event));
    assert.deepEqual(await librato.totals(), { "Patience Patience": { count: 1, sum: 1 } });
  });

  it("gzip, signed as the bytes that are sent", async () => {
    const zipped = gzipSync(JSON.stringify(passedOn(track("Zipped"))));
    succeeded(await deliver(zipped, hmac(zipped)));
    assert.equal((await librato.metric("Zipped")).count, 1);
  });

  it("takes PUT and PATCH as POST, which Actions may be told to use", async () => {
    for (const method of ["POST", "PUT", "PATCH"]) {
      for (const event of [passedOn(track("By Method")), [passedOn(track("By Method")), passedOn(track("Beside"))]]) {
        const body = JSON.stringify(event);
        const signature = hmac(JSON.stringify(Array.isArray(event) ? event[0] : event));
        const headers = { authorization: null, "x-signature": signature };
        succeeded(await worker.fetch("/webhooks/segment", { method, body, headers }));
        const unsigned = { authorization: null, "x-signature": hmac("another") };
        const answer = await worker.fetch("/webhooks/segment", { method, body, headers: unsigned });
        refused(answer, 401, "invalid_signature");
      }
    }
    assert.equal((await librato.metric("By-Method")).count, 6);
  });

  it("takes nothing else", async () => {
    for (const method of ["GET", "DELETE"]) {
      const answer = await worker.fetch("/webhooks/segment", { method, body: method === "GET" ? undefined : "{}" });
      refused(answer, 405, "method_not_allowed", /POST/);
      const allowed = list(answer.headers.get("allow"));
      for (const name of ["post", "put", "patch", "options"]) assert.ok(allowed.includes(name), allowed.join());
    }
  });

  it("without WEBHOOK_SECRET there is no such route", async () => {
    for (const secret of [null, " "]) {
      await withWorker({ librato: librato.url, settings: { WEBHOOK_SECRET: secret } }, async (other) => {
        const text = JSON.stringify(passedOn(track("X")));
        for (const signature of [null, hmac(text), hmac(text, ""), hmac(text, " ")]) {
          refused(await deliver(text, signature, { to: other }), 404, "not_found");
        }
      });
    }
    await nothingMeasured();
  });
});

describe("X-Signature: HMAC-SHA1 over the bytes as they came", () => {
  const event = passedOn(track("Signed", { properties: { note: "Größe 日本 \u2028" } }));
  const compact = JSON.stringify(event);
  const pretty = JSON.stringify(event, null, 2);
  const escaped = compact.replaceAll(/[^\x20-\x7e]/g, (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, "0")}`);
  const other = JSON.stringify(passedOn(track("Signed")));

  for (const [what, text] of Object.entries({
    "compact JSON": compact,
    "JSON in many lines": pretty,
    "JSON with escapes": escaped,
    "JSON with a line break at its end": `${compact}\n`,
    "JSON with keys given twice": `{"type":"page",${compact.slice(1)}`,
  })) {
    it(`${what}: taken under its own signature, and refused under that of the same event written otherwise`, async () => {
      succeeded(await deliver(text, hmac(text)));
      for (const same of [compact, pretty, escaped, ` ${compact}`].filter((one) => one !== text)) {
        refused(await deliver(text, hmac(same)), 401, "invalid_signature");
      }
      assert.equal((await librato.metric("Signed")).count, 1);
    });
  }

  for (const [what, text, first] of [
    ["compact", `[${compact},${other}]`, compact],
    ["its first element in many lines", `[${pretty},${other}]`, pretty],
    ["with space around", ` [ \n${escaped} , ${other} ]\n`, escaped],
  ]) {
    it(`an array, ${what}: the slice of its first element is signed`, async () => {
      succeeded(await deliver(text, hmac(first)));
      for (const wrong of [other, `[${first}]`, ` ${first}`, first === compact ? pretty : compact]) {
        refused(await deliver(text, hmac(wrong)), 401, "invalid_signature");
      }
      assert.equal((await librato.metric("Signed")).count, 2);
    });
  }

  const good = hmac(compact);
  const wrong = {
    none: null,
    empty: "",
    "of another secret": hmac(compact, "another secret"),
    "of the empty secret": hmac(compact, ""),
    "of other bytes": hmac(other),
    "SHA-256": hmac(compact, WEBHOOK_SECRET, "sha256"),
    "in base64": createHmac("sha1", WEBHOOK_SECRET).update(compact).digest("base64"),
    "cut short": good.slice(0, 38),
    "and more": `${good}00`,
    "with its last digit changed": good.slice(0, -1) + (good.endsWith("0") ? "1" : "0"),
    "with its first digit changed": (good.startsWith("0") ? "1" : "0") + good.slice(1),
    "after the name of the method": `sha1=${good}`,
    "twice, with a comma": `${good}, ${good}`,
    "no hex": "z".repeat(40),
    "the secret itself": WEBHOOK_SECRET,
  };
  for (const [what, signature] of Object.entries(wrong)) {
    it(`401 invalid_signature: ${what}`, async () => {
      refused(await deliver(compact, signature), 401, "invalid_signature", /X-Signature/);
      refused(await deliver(`[${compact}]`, signature), 401, "invalid_signature", /X-Signature/);
      await nothingMeasured();
    });
  }

  it("401 before anything of the body is looked at", async () => {
    for (const body of ["", "{", "[]", "[[]]", "null", "x".repeat(1_000), Buffer.from([0xff, 0xfe]), gzipSync("{}")]) {
      refused(await deliver(body, good), 401, "invalid_signature");
      refused(await deliver(body, null), 401, "invalid_signature");
    }
    refused(await deliver("{", hmac("{")), 400, "malformed_json");
    succeeded(await deliver("[]", hmac("[]")));
    await nothingMeasured();
  });

  it("the log names the refusal, and nothing of what was sent", async () => {
    const printed = worker.printed.length;
    await deliver(compact, good.slice(1));
    await waitFor("a log line", () => worker.printed.length > printed);
    const [line] = worker.lines.slice(printed);
    assert.deepEqual([line.route, line.status, line.code], ["webhook", 401, "invalid_signature"]);
    assert.doesNotMatch(JSON.stringify(line), new RegExp(`${good.slice(1)}|Signed`));
  });
});

describe("Engage", () => {
  /** An event of a computation, as Engage sends it to a destination: for nobody but the ones that it names. */
  function computed(key, event, { computation = "audience", more = {} } = {}) {
    const personas = {
      computation_class: computation,
      computation_id: "aud_1",
      computation_key: key,
      namespace: "spa_1",
      space_id: "spa_1",
    };
    return passedOn({ userId, context: { personas }, integrations: { All: false }, ...event, ...more });
  }
  const identify = (key, traits, options) => computed(key, { type: "identify", traits }, options);

  const rows = [
    ["an audience entered", identify("big_spenders", { big_spenders: true }), ["big_spenders", "entered", 1]],
    ["an audience left", identify("big_spenders", { big_spenders: false }), ["big_spenders", "exited", 1]],
    [
      "a step of a journey entered",
      identify("j_o_welcome", { j_o_welcome: true }, { computation: "journey_step" }),
      ["j_o_welcome", "entered", 1],
    ],
    [
      "a step of a journey left",
      identify("j_o_welcome", { j_o_welcome: false }, { computation: "journey_step" }),
      ["j_o_welcome", "exited", 1],
    ],
    ["a computed trait", identify("ltv", { ltv: 42.5 }, { computation: "trait" }), ["ltv", "ltv", 42.5]],
    ["a computed trait of 0", identify("ltv", { ltv: 0 }, { computation: "trait" }), ["ltv", "ltv", 0]],
    ["a computed trait below 0", identify("ltv", { ltv: -3 }, { computation: "trait" }), ["ltv", "ltv", -3]],
    [
      "a trait beside others",
      identify("ltv", { email: "a@example.com", ltv: 7, other: true }, { computation: "trait" }),
      ["ltv", "ltv", 7],
    ],
    [
      "a key that Librato does not take as a name",
      identify("big spenders: 2026", { "big spenders: 2026": 3 }, { computation: "trait" }),
      ["big-spenders--2026", "big-spenders:-2026", 3],
    ],
    [
      "its own Audience Entered",
      computed("vip", { type: "track", event: "Audience Entered", properties: { audience_key: "vip", vip: true } }),
      ["Audience-Entered", "Audience-Entered", 1],
    ],
    [
      "its own Audience Exited",
      computed("vip", { type: "track", event: "Audience Exited", properties: { audience_key: "vip", vip: false } }),
      ["Audience-Exited", "Audience-Exited", 1],
    ],
    [
      "its own Trait Computed",
      computed("ltv", { type: "track", event: "Trait Computed", properties: { trait_key: "ltv", ltv: 9 } }),
      ["Trait-Computed", "Trait-Computed", 1],
    ],
  ];

  for (const [what, event, [name, source, sum]] of rows) {
    describe(what, () => {
      const measured = async () =>
        assert.deepEqual(await librato.totals(), { [`${name} ${source}`]: { count: 1, sum } });
      // What comes through the API is the whole traffic of a source: there All: false means everybody.
      const elsewhere = { ...event, sentAt: undefined };
      const path = event.type === "identify" ? "/v1/identify" : "/v1/track";

      it("through the webhook: measured, although All is false", async () => {
        succeeded(await one(event));
        await measured();
        assert.equal((await librato.metric(name)).lastTime, Date.parse(event.timestamp) / 1000);
      });

      it("through the webhook in an array: measured", async () => {
        succeeded(await several([event, { type: "delete", userId }]));
        await measured();
      });

      it("through the webhook, and Librato switched off: not measured", async () => {
        succeeded(await one({ ...event, integrations: { All: false, Librato: false } }));
        await nothingMeasured();
      });

      it("through the API: not measured, unless Librato is listed", async () => {
        succeeded(await worker.post(path, elsewhere));
        succeeded(await worker.post("/v1/batch", batch([elsewhere], { sentAt: undefined })));
        await nothingMeasured();
        succeeded(await worker.post(path, { ...elsewhere, integrations: { All: false, Librato: true } }));
        await measured();
        await librato.reset();
        const listed = { ...elsewhere, integrations: { All: false, Librato: {} } };
        succeeded(await worker.post("/v1/batch", batch([listed], { sentAt: undefined })));
        await measured();
        await librato.reset();
        succeeded(await worker.post(path, { ...elsewhere, integrations: {} }));
        await measured();
      });
    });
  }

  it("entered and left at once: one metric, two sources", async () => {
    const events = [true, false, true].map((vip) => identify("vip", { vip }));
    succeeded(await several(events));
    assert.deepEqual(await librato.totals(), {
      "vip entered": { count: 2, sum: 2 },
      "vip exited": { count: 1, sum: 1 },
    });
  });

  it("accepted and not measured: what is neither true, false nor a number, or of no computation", async () => {
    const bare = passedOn({ type: "identify", userId, traits: { vip: true } });
    for (const event of [
      identify("vip", { vip: "gold" }, { computation: "trait" }),
      identify("vip", { vip: null }),
      identify("vip", { vip: ["a"] }),
      identify("vip", {}),
      identify("vip", { VIP: true }),
      identify("vip", undefined),
      computed("vip", { type: "group", groupId: "g", traits: { vip: true } }),
      bare,
      { ...bare, context: { personas: null } },
      { ...bare, context: { personas: {} } },
      { ...bare, context: { personas: { computation_key: 7 } } },
      { ...bare, context: { personas: { computation_key: "" } }, traits: { "": true } },
    ]) {
      succeeded(await one(event));
    }
    await nothingMeasured();
  });

  // Segment has judged it already: it came to this destination because that one is listed.
  describe("what integrations say, by the webhook and by the API", () => {
    for (const [integrations, byWebhook, byApi] of [
      [{ All: false }, true, false],
      [{ All: false, "Webhooks (Actions)": true }, true, false],
      [{ All: false, Webhooks: { any: "thing" } }, true, false],
      [{ all: false, webhooks: true }, true, false],
      [{ All: false, Librato: true }, true, true],
      [{ All: false, Librato: { source: "s" } }, true, true],
      [{ All: true, Librato: false }, false, false],
      [{ Librato: false }, false, false],
      [{ librato: false }, false, false],
      [{ All: false, "Webhooks (Actions)": true, LIBRATO: false }, false, false],
      [{ All: true }, true, true],
      [{}, true, true],
    ]) {
      it(JSON.stringify(integrations), async () => {
        const measured = async () => (await librato.metric("Somebody"))?.count ?? 0;
        succeeded(await one(passedOn(track("Somebody", { integrations }))));
        succeeded(await several([passedOn(track("Somebody", { integrations })), passedOn(track("Beside"))]));
        assert.equal(await measured(), byWebhook ? 2 : 0);
        await librato.reset();
        succeeded(await worker.post("/v1/track", track("Somebody", { integrations })));
        succeeded(await worker.post("/v1/batch", batch([track("Somebody", { integrations })])));
        assert.equal(await measured(), byApi ? 2 : 0);
      });
    }
  });

  it("ALLOWED_EVENTS counts for them too", async () => {
    const settings = { WEBHOOK_SECRET, ALLOWED_EVENTS: "big_*" };
    await withWorker({ librato: librato.url, settings }, async (strict) => {
      succeeded(await one(identify("big_spenders", { big_spenders: true }), { to: strict }));
      refused(await one(identify("vip", { vip: true }), { to: strict }), 400, "event_not_allowed", /vip/);
      assert.deepEqual(Object.keys(await librato.totals()), ["big_spenders entered"]);
    });
  });

  it("a number that Librato does not take is refused", async () => {
    const text = JSON.stringify(identify("ltv", { ltv: 1 }, { computation: "trait" })).replace(
      '"ltv":1',
      '"ltv":1e127',
    );
    refused(await deliver(text, hmac(text)), 400, "invalid_value");
    await nothingMeasured();
  });
});

// The same event by every route that a client or a pipeline may use: paths joined from base URLs with a slash or a
// version at their end, a batch without its envelope, a single event in place of a batch, other methods; and
// speculative requests, which are not measured.

import assert from "node:assert/strict";
import { after, before, beforeEach, describe, it } from "node:test";
import { gzipSync } from "node:zlib";
import { batch, page, track } from "./lib/events.mjs";
import { partly, refused, succeeded } from "./lib/expect.mjs";
import { startLibrato } from "./lib/librato.mjs";
import { base64url, get } from "./lib/plain.mjs";
import { startWorker, writeKey } from "./lib/worker.mjs";

const PREFIX = "/in/here";

let librato;
let worker;

before(async () => {
  librato = await startLibrato();
  worker = await startWorker({ librato: librato.url, settings: { PATH_PREFIX: PREFIX } });
});
beforeEach(() => librato.reset());
after(async () => {
  await librato?.stop();
  await worker?.stop();
});

const count = async (name) => (await librato.metric(name))?.count ?? 0;

async function nothingMeasured() {
  assert.equal((await librato.state()).requests, 0);
}

describe("an address with a slash, or with a version, at its end", () => {
  /** Paths that libraries append to the configured base URL. */
  const suffixes = {
    "/v1/batch": batch,
    "/v1/b": batch,
    "/v1/import": batch,
    "/v1/import/": batch,
    "/v1/t": (e) => e[0],
  };
  const addresses = ["", "/", "//", "/v1", "/v1/", "//v1", `${PREFIX}`, `${PREFIX}/`, `/${PREFIX}//`, `${PREFIX}/v1`];

  for (const address of addresses) {
    it(`"${address}"`, async () => {
      for (const [suffix, make] of Object.entries(suffixes)) {
        succeeded(await worker.post(address + suffix, make([track("By Path")])));
        // A slash within that path is as good.
        succeeded(await worker.post(address + suffix.replace("/v1/", "/v1//"), make([track("By Path")])));
      }
      assert.equal(await count("By-Path"), 2 * Object.keys(suffixes).length);
    });
  }

  it("the address itself takes batches: React Native's proxy is a whole URL", async () => {
    const paths = ["/v1", "/v1/", "//v1", "/v1//", "/v1/v1", `${PREFIX}/v1`, `${PREFIX}/v1/`, "/v1?a=b"];
    for (const path of paths) succeeded(await worker.post(path, batch([track("Bare"), page("Bare")])));
    assert.equal(await count("Bare"), paths.length);
    assert.equal(await count("Viewed-Bare-Page"), paths.length);
  });

  it("what is no route stays none", async () => {
    for (const path of [
      "/",
      "//",
      "/v2/batch",
      "/v1/v2/batch",
      "/v1/batch/x",
      "/v1/bat//ch",
      "/V1//batch",
      "/in//her/v1/b",
    ]) {
      refused(await worker.post(path, batch([track("X")])), 404, "not_found");
    }
    refused(await worker.fetch("/v1"), 405, "method_not_allowed", /POST/);
    await nothingMeasured();
  });
});

// RudderStack's webhook destination sends one event or an array, with the write key as user, by a configurable method.
describe("a batch without its envelope, and one event where a batch belongs", () => {
  const routes = ["/v1/batch", "/v1/b", "/v1/import/", "/batch", "/v1", `${PREFIX}/v1/batch`];
  for (const method of ["POST", "PUT", "PATCH"]) {
    for (const path of routes) {
      it(`${method} ${path}`, async () => {
        const send = (body, more = {}) => worker.fetch(path, { method, body, ...more });
        succeeded(await send(JSON.stringify([track("Array"), page("Array"), track("Array")])));
        succeeded(await send(` [ ${JSON.stringify(track("Array"))} ] `));
        succeeded(await send(gzipSync(JSON.stringify([track("Array")]))));
        succeeded(await send("[]"));
        succeeded(await send(JSON.stringify(track("Single"))));
        succeeded(await send(JSON.stringify(page("Single"))));
        succeeded(await send(gzipSync(JSON.stringify(track("Single")))));
        succeeded(await send(JSON.stringify({ type: "identify", userId: "u", traits: {} })));
        succeeded(await send(JSON.stringify(batch([track("Envelope")]))));
        assert.deepEqual(await librato.totals(), {
          "Array Array": { count: 4, sum: 4 },
          "Viewed-Array-Page Viewed-Array-Page": { count: 1, sum: 1 },
          "Single Single": { count: 2, sum: 2 },
          "Viewed-Single-Page Viewed-Single-Page": { count: 1, sum: 1 },
          "Envelope Envelope": { count: 1, sum: 1 },
        });
      });
    }
  }

  it("an array that could be read is 200, whatever is in it; a single event has the code of its fault", async () => {
    const bad = track("Bad", { properties: { value: "much" } });
    partly(await worker.post("/v1/batch", [bad, bad]), 0, [
      [0, "invalid_value"],
      [1, "invalid_value"],
    ]);
    partly(await worker.post("/v1/batch", [null, track("Good"), { event: "X", userId: "u" }, []]), 1, [
      [0, "invalid_event"],
      [2, "missing_type"],
      [3, "invalid_event"],
    ]);
    refused(await worker.post("/v1/batch", bad), 400, "invalid_value", /properties\.value/);
    refused(await worker.post("/v1/batch", { ...bad, type: "purchase" }), 400, "unsupported_type", /type/);
    refused(await worker.post("/v1/batch", { type: "track", event: "X" }), 400, "missing_identity", /userId/);
    refused(await worker.post("/v1/batch", { event: "X", userId: "u" }), 400, "invalid_event", /batch/);
    assert.deepEqual(await librato.totals(), { "Good Good": { count: 1, sum: 1 } });
  });

  it("the write key: of the header, of the single event, of a member, of the query", async () => {
    const bare = { authorization: null };
    const keyed = (event) => ({ ...event, writeKey });
    succeeded(await worker.post("/v1/batch", [track("Key")]));
    succeeded(await worker.post("/v1/batch", keyed(track("Key")), bare));
    succeeded(await worker.post("/v1/batch", [track("Key"), keyed(track("Key"))], bare));
    succeeded(await worker.post(`/v1/batch?writeKey=${writeKey}`, [track("Key")], bare));
    succeeded(await worker.post(`/v1/batch?writeKey=${writeKey}`, track("Key"), bare));
    for (const body of [[track("Key")], track("Key"), [], track("Key", { writeKey: "other" })]) {
      refused(await worker.post("/v1/batch", body, bare), 400, "invalid_write_key", /invalid write key/i);
    }
    assert.equal(await count("Key"), 6);
  });

  it("the same messageId twice in an array counts once", async () => {
    const one = track("Twice");
    succeeded(await worker.post("/v1/batch", [one, one, track("Twice")]));
    assert.equal(await count("Twice"), 2);
  });
});

describe("RudderStack's pixel: /pixel/v1/…, as /v1/pixel/…", () => {
  for (const path of ["/pixel/v1/track", "/pixel/v1/track/", "//pixel/v1//track", `${PREFIX}/pixel/v1/track`]) {
    it(path, async () => {
      const data = base64url(track("Pixel", { writeKey }));
      for (const query of [
        `data=${data}`,
        `writeKey=${writeKey}&anonymousId=a&event=Pixel&properties.value=2`,
        `writeKey=${writeKey}&userId=u&event=Pixel`,
      ]) {
        const answer = await get(worker, `${path}?${query}`);
        assert.deepEqual([answer.status, answer.headers.get("content-type")], [200, "image/gif"]);
        assert.equal(answer.headers.get("x-event-status"), "accepted");
        const page = await get(worker, `${path.replace("track", "page")}?${query.replace("event=", "name=")}`);
        assert.equal(page.headers.get("x-event-status"), "accepted");
      }
      assert.equal(await count("Pixel"), 3);
      const none = await get(worker, `${path}?event=X&userId=u`);
      assert.deepEqual([none.status, none.headers.get("x-event-status")], [200, "invalid_write_key"]);
    });
  }
});

// Link scanners, previews and browsers request a URL before any person opens it.
describe("what is asked before anybody has seen anything", () => {
  const event = (name) => base64url({ ...track(name), writeKey });
  const addresses = {
    "a pixel": (name) => `/v1/pixel/track?data=${event(name)}`,
    "a pixel of RudderStack's": (name) => `/pixel/v1/track?data=${event(name)}`,
    "a flat pixel": (name) => `/v1/pixel/track?writeKey=${writeKey}&userId=u&messageId=${name}&event=${name}`,
    "a script": (name) => `/v1/t?data=${event(name)}&callback=f`,
    "an event in the query": (name) => `/v1/track?data=${event(name)}`,
  };
  const ahead = {
    HEAD: { method: "HEAD" },
    "Sec-Purpose: prefetch": { headers: { "sec-purpose": "prefetch" } },
    "Sec-Purpose: prefetch;prerender": { headers: { "sec-purpose": "prefetch;prerender" } },
    "Purpose: prefetch": { headers: { purpose: "prefetch" } },
    "X-Moz: prefetch": { headers: { "x-moz": "prefetch" } },
    "Sec-Purpose: prefetch;anonymous-client-ip": { headers: { "sec-purpose": "prefetch;anonymous-client-ip" } },
  };
  for (const [what, address] of Object.entries(addresses)) {
    for (const [how, init] of Object.entries(ahead)) {
      it(`${what}, ${how}: measures nothing, and does not stand in the way of what comes`, async () => {
        const url = worker.url + address("Seen");
        const { status, headers } = await fetch(url, init);
        assert.equal(status, 200);
        assert.match(headers.get("cache-control") ?? "", /\bno-store\b/);
        await nothingMeasured();
        // A visit counts then, by the same URL.
        assert.equal((await fetch(url)).status, 200);
        assert.equal(await count("Seen"), 1);
      });
    }
  }

  it("any other purpose is no prefetch", async () => {
    for (const purpose of ["", "preview", "navigate"]) {
      const name = `Purpose${purpose}`;
      await fetch(worker.url + addresses["a pixel"](name), { headers: { "sec-purpose": purpose } });
      assert.equal(await count(name), 1, purpose);
    }
  });

  it("HEAD of everything that is to be had has a head, and no body", async () => {
    for (const path of [
      "/health",
      `/v1/projects/${writeKey}/settings`,
      `/analytics.js/v1/${writeKey}/analytics.min.js`,
      `/sourceConfig?writeKey=${writeKey}`,
      addresses["a pixel"]("X"),
    ]) {
      const response = await fetch(worker.url + path, { method: "HEAD" });
      assert.equal(response.status, 200, path);
      assert.equal((await response.arrayBuffer()).byteLength, 0);
    }
    await nothingMeasured();
  });
});

describe("a number as messageId", () => {
  it("is its text: in a batch, in what is told of it, and with the same as a text", async () => {
    const numbered = (messageId, more) => track("Numbered", { messageId, ...more });
    for (const ids of [
      [20261129001, 20261129001],
      [0, 0],
      [-1.5, -1.5],
      [7, "7"],
      ["7", 7],
    ]) {
      await librato.reset();
      succeeded(await worker.post("/v1/batch", batch(ids.map((id) => numbered(id)))));
      assert.equal(await count("Numbered"), 1, `${ids}`);
    }
    const answer = await worker.post("/v1/batch", batch([track("Good"), numbered(20261129001, { event: undefined })]));
    partly(answer, 1, [[1, "missing_event"]]);
    assert.equal(answer.json().rejected[0].messageId, "20261129001");
    await librato.reset();
    succeeded(await worker.post("/v1/batch", batch([1, 2, 3].map((id) => numbered(id)))));
    assert.equal(await count("Numbered"), 3);
  });
});

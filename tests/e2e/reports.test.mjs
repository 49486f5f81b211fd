// What public reports about other projects tell of clients and browsers, each as it would come here. What needs no Worker
// is in `tests/fixtures/mapping` and in the native tests.

import assert from "node:assert/strict";
import { after, before, beforeEach, describe, it } from "node:test";
import { now, track } from "./lib/events.mjs";
import { refused, succeeded } from "./lib/expect.mjs";
import { startLibrato } from "./lib/librato.mjs";
import { exchange } from "./lib/raw.mjs";
import { startScripted } from "./lib/scripted.mjs";
import { basic, startWorker, withWorker, writeKey } from "./lib/worker.mjs";

let librato;
/** What is asked where the local Librato would not tell, or not answer so. */
let scripted;
let worker;

before(async () => {
  librato = await startLibrato();
  scripted = await startScripted();
  worker = await startWorker({ librato: librato.url });
});
beforeEach(async () => {
  scripted.play([]);
  await librato.reset();
});
after(async () => {
  await librato?.stop();
  await scripted?.stop();
  await worker?.stop();
});

const json = (event) => JSON.stringify(event);
const good = json(track("Good"));
describe("requests", () => {
  it("a batch that was cut off on its way is not taken for whole", async () => {
    for (const cut of [`{"batch":[${good},`, `{"batch":[${good},${good}`, `{"batch":[${good}],"sentAt":"20`]) {
      refused(await worker.post("/v1/batch", cut), 400, "malformed_json");
    }
    assert.equal((await librato.state()).requests, 0);
  });

  it("a client that waits for 100 Continue (cpp-httplib#349)", async () => {
    const head = [
      "POST /v1/track HTTP/1.1",
      "Host: localhost",
      `Authorization: ${basic(writeKey)}`,
      "Expect: 100-continue",
      `Content-Length: ${Buffer.byteLength(good)}`,
      "Connection: close",
      "",
      "",
    ];
    const parts = [Buffer.from(head.join("\r\n")), Buffer.from(good)];
    const answer = await exchange(new URL(worker.url), { parts, pause: 1_000 });
    assert.equal(answer?.status, 200, answer?.text);
    assert.deepEqual(await librato.totals(), { "Good Good": { count: 1, sum: 1 } });
  });
});

describe("dates that the engine reads", () => {
  const moment = new Date((now() - 60) * 1_000);
  const english = moment.toLocaleString("en-US", { timeZone: "UTC" });
  const written = `${moment.toUTCString().replace(/GMT$/, "")}GMT+0000`;
  const dates = {
    "a narrow space before AM (node#45171)": english.replace(/\s([AP]M)$/, "\u202f$1"),
    "marks of direction (ChakraCore#5847)": english.replaceAll("/", "\u200e/\u200e"),
    "a zone's name in German": `${written} (Mitteleuropäische Normalzeit)`,
    "a zone's name in Chinese (node#38741)": `${written} (协调世界时)`,
    "a zone's name in English": `${written} (Coordinated Universal Time)`,
  };
  for (const [what, timestamp] of Object.entries(dates)) {
    it(what, async () => {
      await withWorker({ librato: scripted.url }, async (other) => {
        succeeded(await other.post("/v1/track", track("Dated", { timestamp })));
      });
      const times = scripted.requests.flatMap(({ gauges }) => gauges.map((gauge) => gauge.measure_time));
      assert.deepEqual(times, [moment.getTime() / 1_000]);
    });
  }

  it("but what is no date to it is none", async () => {
    for (const timestamp of ["(2026) é", "29. November 2026 à midi", `${written}é`]) {
      refused(await worker.post("/v1/track", track("Dated", { timestamp })), 400, "invalid_timestamp");
    }
  });
});

describe("pages", () => {
  it("headers that tracing tools add, one of them with a dot (posthog#20715)", async () => {
    const names = ["authorization", "baggage", "sentry-trace", "traceparent", "x-b3.traceid"];
    const answer = await worker.fetch("/v1/track", {
      method: "OPTIONS",
      headers: {
        authorization: null,
        origin: "https://shop.example",
        "access-control-request-method": "POST",
        "access-control-request-headers": names.join(","),
      },
    });
    assert.equal(answer.status, 204);
    const allowed = answer.headers.get("access-control-allow-headers").toLowerCase().split(/, */);
    for (const name of names) assert.ok(allowed.includes(name), `${name} is not in ${allowed}`);
  });

  const origins = {
    "a scheme's own port (rust-sdk#1268)": ["https://shop.example:443", "https://shop.example", 200],
    "the other scheme's": ["https://shop.example:80", "https://shop.example", 403],
    "an app's own scheme": ["capacitor://localhost", "capacitor://localhost", 200],
    "letters other than ASCII (aspnetcore#3353)": ["https://müller.example", "https://xn--mller-kva.example", 503],
    "the same as browsers send them": ["https://xn--mller-kva.example", "https://xn--mller-kva.example", 200],
  };
  for (const [what, [setting, origin, status]] of Object.entries(origins)) {
    it(what, async () => {
      await withWorker({ librato: librato.url, settings: { ALLOWED_ORIGINS: setting } }, async (other) => {
        // By hand: a page of which it is not known whether it may send gets no right to credentials.
        const headers = { origin, authorization: basic(writeKey) };
        const body = json(track("Good"));
        const answer = await fetch(`${other.url}/v1/track`, { method: "POST", headers, body });
        assert.equal(answer.status, status, await answer.text());
        const credentials = answer.headers.get("access-control-allow-credentials");
        assert.equal(credentials, status === 200 ? "true" : null);
        assert.equal((await other.fetch("/health")).status, status === 503 ? 503 : 200);
      });
    });
  }
});

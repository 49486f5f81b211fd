// Bodies that are too large or not wanted, sent all at once as by ordinary clients. A client that is answered before
// its body is read may lose the answer to the reset that follows it, and the server before the Worker then answers 500.
// So bodies of up to 8 MB must be read to their end, many times in a row.

import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { gzipSync } from "node:zlib";
import { startDev } from "./lib/dev.mjs";
import { batch, sized, track } from "./lib/events.mjs";
import { startScripted } from "./lib/scripted.mjs";
import { basic, startWorker, writeKey } from "./lib/worker.mjs";

/** Repetitions: the answer was lost about once in ten times. */
const TIMES = 20;
const MB = 1_000_000;
const LIMIT = 1_048_576;

let librato;
/** Workers by the server before them: workerd's own socket, and that of `npm start`. */
const workers = {};
const running = [];

before(async () => {
  librato = await startScripted();
  const settings = { ALLOWED_ORIGINS: "https://shop.example", WEBHOOK_SECRET: "a-shared-secret" };
  workers.workerd = await startWorker({ librato: librato.url, settings });
  workers["wrangler dev"] = await startDev({ librato: librato.url, settings });
  // Without write keys every request is answered 503.
  workers.unset = await startWorker({ librato: librato.url, settings: { WRITE_KEYS: null } });
  running.push(...Object.values(workers));
});
after(async () => {
  await Promise.all(running.map((one) => one.stop()));
  await librato?.stop();
});

const large = (bytes) => sized(bytes, (pad) => batch([track("Large")], { context: { pad } }));
/** Returns text that gzip does not compress, so that it is as large on the wire. */
const noise = (bytes) => Buffer.from(Array.from({ length: bytes }, (_, index) => (index * 2_654_435_761) >>> 24));

/** Sends a body all at once, and returns status and code: a lost answer fails the test. */
async function send(worker, path, { method = "POST", body, headers = {} }) {
  const response = await fetch(worker.url + path, {
    method,
    headers: { authorization: basic(writeKey), ...headers },
    body,
    duplex: "half",
  });
  const text = await response.text();
  assert.notEqual(response.status, 500, text);
  return { status: response.status, code: JSON.parse(text).code };
}

/** Does the same in chunks, without a length in advance. */
function inChunks(body, size = 64_000) {
  const bytes = Buffer.from(body);
  const starts = Array.from({ length: Math.ceil(bytes.length / size) }, (_, index) => index * size);
  return ReadableStream.from(starts.map((at) => bytes.subarray(at, at + size)));
}

const tooLarge = { status: 400, code: "payload_too_large" };

for (const place of ["workerd", "wrangler dev"]) {
  describe(`before the Worker: ${place}`, () => {
    for (const bytes of [LIMIT + 1, 1.5 * MB, 2 * MB, 3 * MB, 4 * MB, 6 * MB, 8 * MB]) {
      it(`${bytes.toLocaleString("en")} bytes, ${TIMES} times in a row`, async () => {
        const body = large(bytes);
        for (let time = 0; time < TIMES; time += 1) {
          assert.deepEqual(await send(workers[place], "/v1/batch", { body }), tooLarge, `${time}`);
        }
      });
    }

    it("the same in chunks", async () => {
      for (const bytes of [LIMIT + 1, 2 * MB, 6 * MB]) {
        for (let time = 0; time < TIMES / 4; time += 1) {
          assert.deepEqual(await send(workers[place], "/v1/batch", { body: inChunks(large(bytes)) }), tooLarge);
        }
      }
    });

    it("several at once, with good ones between them", async () => {
      const body = large(3 * MB);
      const all = Array.from({ length: TIMES }, async (_, index) => {
        if (index % 4 > 0) return assert.deepEqual(await send(workers[place], "/v1/batch", { body }), tooLarge);
        const good = await send(workers[place], "/v1/batch", { body: large(LIMIT) });
        assert.deepEqual(good, { status: 200, code: undefined });
      });
      await Promise.all(all);
    });

    it("packed: what is too large before it is unpacked, and after", async () => {
      const packed = [gzipSync(large(6 * MB)), gzipSync(noise(3 * MB)), gzipSync(Buffer.alloc(100 * MB, " "))];
      for (const body of packed) {
        for (let time = 0; time < TIMES / 4; time += 1) {
          assert.deepEqual(await send(workers[place], "/v1/batch", { body }), tooLarge);
        }
      }
    });

    const body = large(3 * MB);
    const rows = [
      ["a single event", "/v1/track", { body }, tooLarge],
      ["a call that is not measured", "/v1/identify", { body }, tooLarge],
      ["another method that is taken", "/v1/batch", { method: "PUT", body }, tooLarge],
      ["no JSON at all", "/v1/batch", { body: noise(3 * MB) }, tooLarge],
      ["counters that nobody reads", "/v1/m", { body }, { status: 200, code: undefined }],
      [
        "another write key in the header",
        "/v1/batch",
        { body, headers: { authorization: basic("other") } },
        [tooLarge, { status: 400, code: "invalid_write_key" }],
      ],
      ["a path of nobody's", "/v1/none", { body }, { status: 404, code: "not_found" }],
      [
        "a method that is not taken",
        "/v1/track",
        { method: "DELETE", body },
        { status: 405, code: "method_not_allowed" },
      ],
      ["a method of the pixel's", "/v1/pixel/track", { body }, { status: 405, code: "method_not_allowed" }],
      [
        "a page that may not send",
        "/v1/batch",
        { body, headers: { origin: "https://evil.example" } },
        { status: 403, code: "origin_not_allowed" },
      ],
      [
        "a webhook with another signature",
        "/webhooks/segment",
        { body, headers: { "x-signature": "0".repeat(40) } },
        { status: 401, code: "invalid_signature" },
      ],
    ];
    for (const [what, path, request, expected] of rows) {
      it(`3 MB: ${what}`, async () => {
        for (let time = 0; time < TIMES / 2; time += 1) {
          const answer = await send(workers[place], path, request);
          const any = [expected].flat();
          assert.ok(
            any.some(({ status, code }) => status === answer.status && code === answer.code),
            JSON.stringify(answer),
          );
        }
      });
    }

    it("afterwards it does what it is there for", async () => {
      librato.play([]);
      const answer = await send(workers[place], "/v1/track", { body: JSON.stringify(track("Still Here")) });
      assert.deepEqual(answer, { status: 200, code: undefined });
      assert.deepEqual(
        librato.gauges.map(({ name }) => name),
        ["Still-Here"],
      );
    });
  });
}

it("where a setting is missing, too", async () => {
  for (let time = 0; time < TIMES / 2; time += 1) {
    const answer = await send(workers.unset, "/v1/batch", { body: large(3 * MB) });
    assert.deepEqual(answer, { status: 503, code: "misconfigured" });
  }
});

// What may come in: any bytes at all, up to the limits, in the encodings that clients use.

import assert from "node:assert/strict";
import { after, before, beforeEach, describe, it } from "node:test";
import { brotliCompressSync, deflateSync, gzipSync } from "node:zlib";
import { batch, page, sized, track, userId } from "./lib/events.mjs";
import { partly, refused, succeeded } from "./lib/expect.mjs";
import { startLibrato } from "./lib/librato.mjs";
import { sendWithoutEnd } from "./lib/net.mjs";
import { basic, startWorker, writeKey } from "./lib/worker.mjs";

const EVENT_BYTES = 32_768;
const REQUEST_BYTES = 512_000;
const BATCH_EVENTS = 2_500;

let librato;
let worker;

before(async () => {
  librato = await startLibrato();
  worker = await startWorker({ librato: librato.url });
});
beforeEach(() => librato.reset());
after(async () => {
  await librato?.stop();
  await worker?.stop();
});

/** Nothing reached Librato. */
async function nothingMeasured() {
  assert.equal((await librato.state()).requests, 0);
}

/** The Worker still does what it is there for. */
async function works() {
  succeeded(await worker.post("/v1/track", track("Still-Here")));
}

describe("400 malformed_json", () => {
  const good = JSON.stringify(track("X"));
  const deep = (levels) => `${"[".repeat(levels)}${"]".repeat(levels)}`;
  const bodies = {
    "no body": "",
    "white space": " \n ",
    "no JSON": "track",
    "JSON that ends early": good.slice(0, -1),
    "something after the JSON": `${good}}`,
    "a second document": `${good}${good}`,
    "NUL bytes": Buffer.alloc(64),
    "a NUL byte in a string": good.replace('"X"', '"X\0"'),
    "a line break in a string": good.replace('"X"', '"X\n"'),
    "a NaN": good.replace('"X"', "NaN"),
    'invalid UTF-8 in "event"': Buffer.concat([
      Buffer.from(good.split('"X"')[0]),
      Buffer.from([0x22, 0xff, 0xfe, 0x22]),
      Buffer.from(good.split('"X"')[1]),
    ]),
    "UTF-16": Buffer.from(good, "utf16le"),
    'a lone surrogate in "event"': good.replace('"X"', '"\\ud800"'),
    "a lone surrogate in a source": good.replace('"X"', '"X","context":{"source":"a\\udc00"}'),
    "1,000 levels of arrays": `{"type":"track","event":"X","userId":"u","properties":{"value":${deep(1_000)}}}`,
    "100,000 levels of arrays": `{"type":"track","event":"X","userId":"u","properties":{"value":${deep(15_000)}}}`,
    "100,000 levels and nothing else": deep(100_000),
    "400,000 brackets that open": "[".repeat(400_000),
    "80,000 objects that open": '{"a":'.repeat(80_000),
  };
  for (const [what, body] of Object.entries(bodies)) {
    it(what, async () => {
      const answer = await worker.post("/v1/track", body);
      assert.equal(answer.status, 400, answer.text);
      const { code } = answer.json();
      // With more bytes than an event has, and without its braces, it is wrong for more than one reason.
      const reasons = ["event_too_large", "invalid_event", "malformed_json"];
      const codes = Buffer.byteLength(body) > EVENT_BYTES ? reasons : ["malformed_json"];
      assert.ok(codes.includes(code), answer.text);
      await nothingMeasured();

      const answered = await worker.post("/v1/batch", body);
      assert.equal(answered.status, 400, answered.text);
      await works();
    });
  }

  it("a lone surrogate in the name of a page", async () => {
    const body = JSON.stringify(page("X")).replace('"X"', '"\\ud83d"');
    refused(await worker.post("/v1/page", body), 400, "malformed_json", /name/);
  });

  it("one such event does not take its batch with it", async () => {
    const body = JSON.stringify(batch([track("Good"), track("Bad")])).replace('"Bad"', '"\\ud800"');
    const answer = await worker.post("/v1/batch", body);
    partly(answer, 1, [[1, "malformed_json"]]);
    assert.deepEqual(await librato.totals(), { "Good Good": { count: 1, sum: 1 } });
  });
});

describe("400 invalid_event: JSON of another shape", () => {
  for (const body of ["null", "true", "7", '"text"', "[]", `[${JSON.stringify(track("X"))}]`]) {
    it(`${body.slice(0, 20)} as an event and as a batch`, async () => {
      refused(await worker.post("/v1/track", body), 400, "invalid_event", /object/);
      refused(await worker.post("/v1/batch", body), 400, "invalid_event", /object/);
      await nothingMeasured();
    });
  }

  for (const value of ["null", "{}", '"text"', "7", "true"]) {
    it(`"batch": ${value}`, async () => {
      refused(await worker.post("/v1/batch", `{"batch":${value}}`), 400, "invalid_event", /batch/);
    });
  }

  it('an envelope without "batch"', async () => {
    refused(await worker.post("/v1/batch", track("X")), 400, "invalid_event", /batch/);
  });

  it("members that are no objects are refused one by one", async () => {
    const answer = await worker.post("/v1/batch", `{"batch":[null,7,"x",[],true,${JSON.stringify(track("Good"))}]}`);
    partly(
      answer,
      1,
      [0, 1, 2, 3, 4].map((index) => [index, "invalid_event"]),
    );
  });
});

describe("wrong types and strange contents are a 400 or harmless, and never more", () => {
  const fields = [
    "type event userId anonymousId properties context integrations options timestamp sentAt originalTimestamp",
    "messageId writeKey name category traits version __proto__ constructor",
  ].flatMap((line) => line.split(" "));
  const values = [
    'null, true, false, 0, -1, 1.5, 1e999, -1e999, 1e-999, "", "x", " ", "\\u0000", "\\ud800", [], {}, [[]], [null]',
    '{"Librato":null}, {"Librato":[]}, {"value":{"value":1}}, {"source":{}}, {"All":"x"}, {"":""}, "2026-02-30"',
  ].flatMap((line) => line.split(", "));

  for (const field of fields) {
    it(`"${field}"`, async () => {
      const bodies = values.flatMap((value) => {
        const strange = `"${field}":${value}`;
        const [one, other] = [JSON.stringify(track("X")), JSON.stringify(page("X"))];
        return [
          // First and last: which of two equal keys counts must not matter either.
          ["/v1/track", `{${strange},${one.slice(1)}`],
          ["/v1/track", `${one.slice(0, -1)},${strange}}`],
          ["/v1/page", `${other.slice(0, -1)},${strange}}`],
          ["/v1/batch", `{${strange},"batch":[{${strange}},${one}]}`],
        ];
      });
      await Promise.all(
        bodies.map(async ([path, body]) => {
          const answer = await worker.post(path, body);
          assert.ok([200, 400].includes(answer.status), `${body}: ${answer.text}`);
        }),
      );
      await works();
    });
  }

  it("harmless where nothing looks: surrogates, depth, huge numbers, repeated and empty keys", async () => {
    const harmless = [
      '"a":"\\ud800"',
      `"a":${"[".repeat(100)}${"]".repeat(100)}`,
      '"a":1e999',
      `"a":${"9".repeat(5_000)}`,
      '"a":1,"a":2',
      '"":{"":""}',
      '"\\u0000":"\\u0000"',
      `"${"k".repeat(10_000)}":1`,
    ];
    for (const property of harmless) {
      const body = `{"type":"track","event":"Harmless","userId":"u","properties":{${property}}}`;
      succeeded(await worker.post("/v1/track", body));
    }
    assert.deepEqual(await librato.totals(), { "Harmless Harmless": { count: harmless.length, sum: harmless.length } });
  });

  it('numbers beyond what Librato takes are "invalid_value", and the largest that it takes arrives', async () => {
    for (const value of ["1e999", "-1e999", "1e127", "9".repeat(400), '"1e400"']) {
      const body = `{"type":"track","event":"Huge","userId":"u","properties":{"value":${value}}}`;
      refused(await worker.post("/v1/track", body), 400, "invalid_value", /properties\.value/);
    }
    for (const value of [9.9e126, -9.9e126, 1e-129, 5e-324, -0]) {
      succeeded(await worker.post("/v1/track", track(`Number${value}`, { properties: { value } })));
    }
    // The squares of these are beyond it: they are left out rather than the gauge refused.
    const huge = [
      track("Squares", { properties: { value: 1e100 } }),
      track("Squares", { properties: { value: 4e100 } }),
    ];
    const timestamp = new Date().toISOString();
    succeeded(await worker.post("/v1/batch", batch(huge.map((event) => ({ ...event, timestamp })))));
    assert.deepEqual((await librato.totals())["Squares Squares"], { count: 2, sum: 5e100 });
  });
});

describe("400 payload_too_large: limits on the unzipped bytes, exact to the byte", () => {
  const event = (bytes) => sized(bytes, (pad) => track("Sized", { properties: { pad } }));
  const request = (bytes) => sized(bytes, (pad) => batch([track("Sized")], { context: { pad } }));

  it(`an event of ${EVENT_BYTES} bytes, and one more`, async () => {
    succeeded(await worker.post("/v1/track", event(EVENT_BYTES)));
    refused(await worker.post("/v1/track", event(EVENT_BYTES + 1)), 400, "event_too_large", /32,?768/);
    succeeded(await worker.post("/v1/batch", `{"batch":[${event(EVENT_BYTES)}]}`));
    const answer = await worker.post("/v1/batch", `{"batch":[${event(EVENT_BYTES + 1)},${event(EVENT_BYTES)}]}`);
    partly(answer, 1, [[0, "event_too_large"]]);
    assert.equal((await librato.metric("Sized")).count, 3);
  });

  it(`a request of ${REQUEST_BYTES} bytes, and one more`, async () => {
    succeeded(await worker.post("/v1/batch", request(REQUEST_BYTES)));
    refused(await worker.post("/v1/batch", request(REQUEST_BYTES + 1)), 400, "payload_too_large", /512,?000/);
    refused(await worker.post("/v1/track", request(REQUEST_BYTES + 1)), 400, "payload_too_large");
    refused(await worker.post("/v1/identify", request(REQUEST_BYTES + 1)), 400, "payload_too_large");
    assert.equal((await librato.metric("Sized")).count, 1);
  });

  it(`the same with gzip: ${REQUEST_BYTES} bytes and one more, and 200 MB in 200 KB`, async () => {
    succeeded(await worker.post("/v1/batch", gzipSync(request(REQUEST_BYTES))));
    refused(await worker.post("/v1/batch", gzipSync(request(REQUEST_BYTES + 1))), 400, "payload_too_large", /512,?000/);
    succeeded(await worker.post("/v1/track", gzipSync(event(EVENT_BYTES))));
    refused(await worker.post("/v1/track", gzipSync(event(EVENT_BYTES + 1))), 400, "event_too_large");
    const bomb = await worker.post("/v1/batch", gzipSync(Buffer.alloc(200_000_000, " ")));
    refused(bomb, 400, "payload_too_large");
    assert.ok(bomb.ms < 2_000, `${bomb.ms} ms`);
  });

  it(`${BATCH_EVENTS} events, and one more`, async () => {
    const many = (count) => ({
      batch: Array.from({ length: count }, () => ({ type: "track", event: "Many", userId })),
    });
    succeeded(await worker.post("/v1/batch", many(BATCH_EVENTS)));
    assert.equal((await librato.metric("Many")).count, BATCH_EVENTS);
    await librato.reset();
    refused(await worker.post("/v1/batch", many(BATCH_EVENTS + 1)), 400, "payload_too_large", /2,?500/);
    await nothingMeasured();
  });

  const head = (...more) => [
    "POST /v1/batch HTTP/1.1",
    "Host: localhost",
    `Authorization: ${basic(writeKey)}`,
    ...more,
  ];

  it("a body without end is answered as soon as it is too long", async () => {
    const chunk = `400\r\n${" ".repeat(0x400)}\r\n`;
    const body = chunk.repeat(Math.ceil((REQUEST_BYTES + 1) / 0x400));
    const answer = await sendWithoutEnd(worker.connect(), head("Transfer-Encoding: chunked"), body);
    assert.match(answer, /^HTTP\/1\.1 400 /);
    assert.match(answer, /"code":"payload_too_large"/);
    await works();
  });

  it("a body that is announced to be too long is not waited for", async () => {
    for (const length of [REQUEST_BYTES + 1, 10_000_000_000]) {
      const answer = await sendWithoutEnd(worker.connect(), head(`Content-Length: ${length}`), "{");
      assert.match(answer, /^HTTP\/1\.1 400 /);
      assert.match(answer, /"code":"payload_too_large"/);
    }
    await works();
  });

  it("a client that leaves in the middle of its body harms nobody", async () => {
    for (let index = 0; index < 5; index += 1) {
      const socket = worker.connect();
      await new Promise((sent) => socket.write(`${head("Content-Length: 1000").join("\r\n")}\r\n\r\n{"batch":[`, sent));
      socket.destroy();
    }
    await works();
  });
});

describe("encodings: plain or gzip, gzip told by its first bytes", () => {
  const json = () => JSON.stringify(track("Zipped"));
  it("gzip, whatever the headers say", async () => {
    for (const headers of [{}, { "content-encoding": "gzip" }, { "content-type": "text/plain" }]) {
      succeeded(await worker.post("/v1/track", gzipSync(json()), headers));
    }
    succeeded(await worker.post("/v1/batch", gzipSync(JSON.stringify(batch([track("Zipped")])))));
    assert.equal((await librato.metric("Zipped")).count, 4);
  });

  it("plain, although the header says gzip: something on the way has unzipped it", async () => {
    succeeded(await worker.post("/v1/track", json(), { "content-encoding": "gzip" }));
  });

  it("JSON, whatever the content type says", async () => {
    for (const type of ["application/json", "application/json; charset=utf-8", "text/plain", "image/png", null]) {
      const answer = await worker.fetch("/v1/track", {
        method: "POST",
        body: Buffer.from(json()),
        headers: { "content-type": type },
      });
      succeeded(answer);
    }
  });

  it("unsupported_encoding: anything else", async () => {
    for (const [encoding, bytes] of [
      ["br", brotliCompressSync(json())],
      ["deflate", deflateSync(json())],
      ["zstd", Buffer.from("28b52ffd0458", "hex")],
    ]) {
      const headers = { "content-encoding": encoding };
      refused(await worker.post("/v1/track", bytes, headers), 400, "unsupported_encoding", /gzip/);
    }
    await nothingMeasured();
  });

  it("gzip that is cut off or damaged", async () => {
    const whole = gzipSync(json());
    const damaged = Buffer.from(whole);
    damaged.fill(0xff, 12, 40);
    const checksum = Buffer.from(whole);
    checksum[checksum.length - 8] ^= 0xff;
    for (const bytes of [whole.subarray(0, -12), whole.subarray(0, 2), whole.subarray(0, 11), damaged, checksum]) {
      const answer = await worker.post("/v1/track", bytes);
      assert.equal(answer.status, 400, answer.text);
      assert.ok(["malformed_json", "unsupported_encoding"].includes(answer.json().code), answer.text);
      await works();
    }
  });
});

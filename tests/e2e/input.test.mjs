// What may come in: any bytes at all, up to the limits, in the encodings that clients use.

import assert from "node:assert/strict";
import { after, before, beforeEach, describe, it } from "node:test";
import { brotliCompressSync, deflateSync, gzipSync } from "node:zlib";
import { batch, page, sized, track, userId } from "./lib/events.mjs";
import { partly, refused, succeeded } from "./lib/expect.mjs";
import { startLibrato } from "./lib/librato.mjs";
import { sendWithoutEnd } from "./lib/net.mjs";
import { basic, startWorker, writeKey } from "./lib/worker.mjs";

// What RudderStack's mobile libraries may send, and throw away when it is refused.
const EVENT_BYTES = 65_536;
const REQUEST_BYTES = 1_048_576;
/** So much of a body that is too large is read before it is answered. */
const READ_BYTES = 8_000_000;
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
    'invalid UTF-8 in "event"': Buffer.concat([
      Buffer.from(good.split('"X"')[0]),
      Buffer.from([0x22, 0xff, 0xfe, 0x22]),
      Buffer.from(good.split('"X"')[1]),
    ]),
    "UTF-16": Buffer.from(good, "utf16le"),
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
});

// Where a text is cut within an emoji, as many a client does to a long one: each half is a character like any other.
describe("half a character", () => {
  const calls = [
    ["at the end of an event", "/v1/track", '{"event":"Liked \\ud83c","userId":"u"}', "Liked--"],
    ["at its beginning", "/v1/track", '{"event":"\\udf89 liked","userId":"u"}', "--liked"],
    ["twice the same half", "/v1/track", '{"event":"a\\ud83c\\ud83cb","userId":"u"}', "a--b"],
    ["the halves the wrong way round", "/v1/track", '{"event":"a\\udf89\\ud83cb","userId":"u"}', "a--b"],
    ["nothing else", "/v1/track", '{"event":"\\ud83c","userId":"u"}', "-"],
    ["beside a whole character", "/v1/track", '{"event":"\\ud83c\\udf89\\ud83c","userId":"u"}', "---"],
    ["in the name of a page", "/v1/page", '{"name":"Home \\ud83c","userId":"u"}', "Viewed-Home---Page"],
    ["in its category", "/v1/page", '{"category":"Docs\\ud83c","name":"Home","userId":"u"}', "Viewed-Docs--Home-Page"],
    ["in a source", "/v1/track", '{"event":"X","userId":"u","context":{"source":"s\\ud83c"}}', "X", "s-"],
    [
      "in Librato's source",
      "/v1/track",
      '{"event":"X","userId":"u","integrations":{"Librato":{"source":"\\udf89s"}}}',
      "X",
      "-s",
    ],
  ];
  for (const [what, path, body, name, source = name] of calls) {
    it(what, async () => {
      succeeded(await worker.post(path, body));
      const type = path.slice("/v1/".length);
      succeeded(await worker.post("/v1/batch", `{"batch":[${body.replace("{", `{"type":"${type}",`)}]}`));
      assert.deepEqual(await librato.totals(), { [`${name} ${source}`]: { count: 2, sum: 2 } });
    });
  }
});

// Python's libraries write these words for numbers that JSON does not have.
describe("NaN, Infinity and -Infinity without quotation marks are texts", () => {
  const call = (more) => `{"type":"track","event":"Number","userId":"u",${more}}`;
  const harmless = ["NaN", "Infinity", "-Infinity"].flatMap((word) => [
    `"properties":{"ratio":${word}}`,
    `"properties":{"a":[1,${word},{"b":${word}}],"c":${word}}`,
    `"context":{"a":${word}},"traits":${word}`,
    `"properties":{"ratio": ${word} ,"text":"${word},${word}:${word}"}`,
    `"sentAt":${word}`,
    `"properties":${word}`,
  ]);
  it("anywhere but in a value they are nobody's business, and cost no other event", async () => {
    for (const more of harmless) {
      succeeded(await worker.post("/v1/track", call(more)));
      succeeded(await worker.post("/v1/batch", `{"batch":[${call(more)},${call('"a":1')}]}`));
    }
    const count = 3 * harmless.length;
    assert.deepEqual(await librato.totals(), { "Number Number": { count, sum: count } });
  });

  it("as a value, and as a time, they are what their text would be", async () => {
    for (const word of ["NaN", "Infinity", "-Infinity"]) {
      for (const [more, code, about] of [
        [`"properties":{"value":${word}}`, "invalid_value", /properties\.value/],
        [`"timestamp":${word}`, "invalid_timestamp", /timestamp/],
      ]) {
        refused(await worker.post("/v1/track", call(more)), 400, code, about);
        partly(await worker.post("/v1/batch", `{"batch":[${call('"a":1')},${call(more)}]}`), 1, [[1, code]]);
      }
      // And where a text belongs, the text.
      succeeded(await worker.post("/v1/track", `{"event":${word},"userId":${word}}`));
    }
    const { "Number Number": good, ...named } = await librato.totals();
    assert.deepEqual(good, { count: 6, sum: 6 });
    assert.deepEqual(Object.keys(named).sort(), ["-Infinity -Infinity", "Infinity Infinity", "NaN NaN"]);
  });

  it("within a text they are left alone", async () => {
    succeeded(await worker.post("/v1/track", '{"event":"a:NaN,Infinity]","userId":"u","properties":{"NaN":"\\"NaN"}}'));
    succeeded(await worker.post("/v1/track", '{"event":"X\\\\","userId":"NaN","properties":{"value":"7"}}'));
    assert.deepEqual(await librato.totals(), {
      "a-NaN-Infinity- a-NaN-Infinity-": { count: 1, sum: 1 },
      "X- X-": { count: 1, sum: 7 },
    });
  });

  it("no other word is one", async () => {
    for (const word of [
      "nan",
      "NAN",
      "NaNN",
      "Nan",
      "inf",
      "Inf",
      "infinity",
      "+Infinity",
      "--Infinity",
      "- Infinity",
    ]) {
      refused(await worker.post("/v1/track", call(`"a":${word}`)), 400, "malformed_json");
    }
    for (const body of [
      '{NaN:1,"event":"X","userId":"u"}',
      '{"event":"X","userId":"u","a":NaN1}',
      '{"a":Infinity.5}',
    ]) {
      refused(await worker.post("/v1/track", body), 400, "malformed_json");
    }
    await nothingMeasured();
  });
});

describe("400 invalid_event: JSON of another shape", () => {
  for (const body of ["null", "true", "7", '"text"', "[]", `[${JSON.stringify(track("X"))}]`]) {
    it(`${body.slice(0, 20)} as an event${body.startsWith("[") ? "" : " and as a batch"}`, async () => {
      refused(await worker.post("/v1/track", body), 400, "invalid_event", /object/);
      if (!body.startsWith("[")) refused(await worker.post("/v1/batch", body), 400, "invalid_event", /object/);
      await nothingMeasured();
    });
  }

  for (const value of ["null", "{}", '"text"', "7", "true"]) {
    it(`"batch": ${value}`, async () => {
      refused(await worker.post("/v1/batch", `{"batch":${value}}`), 400, "invalid_event", /batch/);
    });
  }

  it('an envelope without "batch", and without the "type" of an event', async () => {
    for (const body of [{}, track("X", { type: undefined }), { sentAt: new Date().toISOString(), context: {} }]) {
      refused(await worker.post("/v1/batch", body), 400, "invalid_event", /batch/);
    }
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
    refused(await worker.post("/v1/track", event(EVENT_BYTES + 1)), 400, "event_too_large", /65,?536/);
    succeeded(await worker.post("/v1/batch", `{"batch":[${event(EVENT_BYTES)}]}`));
    const answer = await worker.post("/v1/batch", `{"batch":[${event(EVENT_BYTES + 1)},${event(EVENT_BYTES)}]}`);
    partly(answer, 1, [[0, "event_too_large"]]);
    assert.equal((await librato.metric("Sized")).count, 3);
  });

  it(`a request of ${REQUEST_BYTES} bytes, and one more`, async () => {
    succeeded(await worker.post("/v1/batch", request(REQUEST_BYTES)));
    refused(await worker.post("/v1/batch", request(REQUEST_BYTES + 1)), 400, "payload_too_large", /1,?048,?576/);
    refused(await worker.post("/v1/track", request(REQUEST_BYTES + 1)), 400, "payload_too_large");
    refused(await worker.post("/v1/identify", request(REQUEST_BYTES + 1)), 400, "payload_too_large");
    assert.equal((await librato.metric("Sized")).count, 1);
  });

  it(`the same with gzip: ${REQUEST_BYTES} bytes and one more, and 200 MB in 200 KB`, async () => {
    succeeded(await worker.post("/v1/batch", gzipSync(request(REQUEST_BYTES))));
    const zipped = gzipSync(request(REQUEST_BYTES + 1));
    refused(await worker.post("/v1/batch", zipped), 400, "payload_too_large", /1,?048,?576/);
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

  it("a body without end is answered as soon as nobody would read it to its end", async () => {
    const chunk = `8000\r\n${" ".repeat(0x8000)}\r\n`;
    const body = chunk.repeat(Math.ceil((READ_BYTES + REQUEST_BYTES) / 0x8000));
    const answer = await sendWithoutEnd(worker.connect(), head("Transfer-Encoding: chunked"), body);
    assert.match(answer, /^HTTP\/1\.1 400 /);
    assert.match(answer, /"code":"payload_too_large"/);
    await works();
  });

  it("a body that is announced to be too long, and does not come, is not waited for longer than any", async () => {
    for (const length of [REQUEST_BYTES + 1, 10_000_000_000]) {
      const started = Date.now();
      const answer = await sendWithoutEnd(worker.connect(), head(`Content-Length: ${length}`), "{");
      assert.ok(Date.now() - started < 7_000, `${Date.now() - started} ms`);
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

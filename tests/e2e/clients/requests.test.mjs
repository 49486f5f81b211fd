// The clients that cannot be installed here: one request of each, as the running library has sent it or as its source puts
// it together, sent byte for byte over a bare connection. The fixtures in tests/fixtures/clients say where they are from,
// and what has to come of those that were put together.

import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { startLibrato } from "../lib/librato.mjs";
import { startScripted } from "../lib/scripted.mjs";
import { startWorker } from "../lib/worker.mjs";
import { fixtures, RECORDED_KEY, recordings } from "./fixtures.mjs";

/** Sends bytes, and reads the answer: the head's lines, and as much body as the head says. */
async function exchange(socket, request) {
  socket.setTimeout(10_000, () => socket.destroy(new Error("no answer")));
  socket.write(request);
  let answer = "";
  for await (const bytes of socket) {
    answer += bytes.toString("latin1");
    // Whoever asks whether to go on has done so by now.
    answer = answer.replace(/^HTTP\/1\.1 100 [^\r]*\r\n(?:[^\r]+\r\n)*\r\n/, "");
    const [head, body] = split(answer);
    const length = /^content-length: (\d+)$/im.exec(head)?.[1];
    if (body?.length === Number(length)) break;
  }
  const [head, body] = split(answer);
  return { head: head.split("\r\n"), body };
}

function split(answer) {
  const end = answer.indexOf("\r\n\r\n");
  return end < 0 ? [answer] : [answer.slice(0, end), answer.slice(end + 4)];
}

/** An answer holds what a library needs; what else it holds is not the library's business. */
function holds(answer, needs, where = "the answer") {
  if (Array.isArray(needs)) return assert.ok(Array.isArray(answer), where);
  if (typeof needs === "string") return assert.equal(typeof answer, needs, where);
  if (typeof needs !== "object") return assert.equal(answer, needs, where);
  assert.equal(typeof answer, "object", where);
  for (const [key, needed] of Object.entries(needs)) holds(answer[key], needed, `${where}: ${key}`);
}

/** An answer is the only success that the older ones take. */
function succeeded({ head, body }) {
  assert.equal(head[0], "HTTP/1.1 200 OK");
  assert.ok(head.includes("Content-Type: application/json"), head.join("\n"));
  assert.equal(body, '{"success":true}');
}

describe("requests as the running library has sent them", () => {
  let librato;
  let worker;
  before(async () => {
    librato = await startLibrato();
    worker = await startWorker({ librato: librato.url, settings: { WRITE_KEYS: RECORDED_KEY } });
  });
  after(async () => {
    await librato?.stop();
    await worker?.stop();
  });

  for (const { client, version, events, request } of recordings) {
    it(`${client} ${version}`, async () => {
      await librato.reset();
      succeeded(await exchange(worker.connect(), request));
      // Three Track calls with these values, and a Page call of the same name.
      assert.deepEqual(
        events.map(({ type, properties }) => [type, properties.value]),
        [
          ["track", 0],
          ["track", 1],
          ["track", 2],
          ["page", undefined],
        ],
      );
      const name = events[0].event.replaceAll(" ", "-");
      assert.deepEqual(await librato.totals(), {
        [`${name} ${name}`]: { count: 3, sum: 3 },
        [`Viewed-${name}-Page Viewed-${name}-Page`]: { count: 1, sum: 1 },
      });
    });
  }
});

describe("requests as the source of the client has them", () => {
  let librato;
  let worker;
  before(async () => {
    librato = await startScripted();
    worker = await startWorker({ librato: librato.url, settings: { WRITE_KEYS: "write-key-of-the-fixtures" } });
  });
  after(async () => {
    await librato?.stop();
    await worker?.stop();
  });

  for (const { client, version, first, needs } of fixtures.filter(({ first }) => first)) {
    it(`${client} ${version}: what it asks first, and needs of the answer`, async () => {
      const response = await fetch(worker.url + first.target, { headers: first.headers });
      assert.equal(response.status, 200, await response.clone().text());
      holds(await response.json(), needs);
    });
  }

  for (const { client, version, gauges, request } of fixtures) {
    it(`${client} ${version}`, async () => {
      librato.play([]);
      const earliest = Date.now();
      succeeded(await exchange(worker.connect(), request));
      const latest = Date.now();

      assert.deepEqual(
        librato.gauges.map(({ name, source, value }) => ({ name, source, value })),
        gauges.map(({ name, source, value }) => ({ name, source, value })),
      );
      for (const [index, { measure_time }] of librato.gauges.entries()) {
        const [from, to] = [earliest, latest].map((at) => Math.floor((at - gauges[index].age) / 1_000));
        assert.ok(measure_time >= from && measure_time <= to, `${measure_time} is not from ${from} to ${to}`);
      }
    });
  }
});

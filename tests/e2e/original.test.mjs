// Compares the Worker with the recorded results of the original destination for 3,000 events (tests/original).

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { after, before, describe, it } from "node:test";
import { projectPath } from "./lib/project.mjs";
import { startScripted } from "./lib/scripted.mjs";
import { startWorker } from "./lib/worker.mjs";

/** The recording's time of receipt: as `sentAt` it shifts every event to now, like a sender's wrong clock. */
const RECORDED_AT = "2026-11-23T12:00:00.000Z";

/** Splits a line, `{"in":<event>,"out":<gauge or null>}`. The event is sent verbatim, with its repeated keys. */
function read(line) {
  const at = line.lastIndexOf(',"out":');
  const { in: event, out } = JSON.parse(line);
  const text = line.slice('{"in":'.length, at);
  assert.deepEqual(JSON.parse(text), event);
  return { text, out, key: out && `${out.name} ${out.source} ${out.measure_time}`.toLowerCase() };
}

const recording = readFileSync(projectPath("tests/fixtures/original.jsonl"), "utf8").trimEnd().split("\n").map(read);

/**
 * Makes batches in which no two events have the same name and source in one second or in neighbouring ones, so that
 * each becomes a separate gauge, which can be compared.
 */
function batches() {
  const all = [];
  for (const one of recording) {
    const near = one.out
      ? [-1, 0, 1].map((step) => `${one.out.name} ${one.out.source} ${one.out.measure_time + step}`.toLowerCase())
      : [];
    let place = all.find((other) => other.events.length < 300 && !near.some((key) => other.taken.has(key)));
    if (!place) {
      place = { events: [], taken: new Set() };
      all.push(place);
    }
    place.events.push(one);
    if (one.key) place.taken.add(one.key);
  }
  return all.map(({ events }) => events);
}

describe("3,000 events recorded from the original destination’s own mapper", () => {
  let librato;
  let worker;
  before(async () => {
    librato = await startScripted();
    worker = await startWorker({ librato: librato.url });
  });
  after(async () => {
    await librato?.stop();
    await worker?.stop();
  });

  it("there are 3,000, and the original measured most of them", () => {
    assert.ok(recording.length >= 3_000);
    assert.ok(recording.filter(({ out }) => out).length > 2_000);
    assert.ok(recording.some(({ out }) => out === null));
  });

  it("the same names, values, sources and seconds come out", async () => {
    for (const events of batches()) {
      librato.play([]);
      const body = `{"sentAt":"${RECORDED_AT}","batch":[${events.map(({ text }) => text).join(",")}]}`;
      const before = Date.now();
      const answer = await worker.post("/v1/batch", body);
      const later = Date.now();
      assert.equal(answer.text, '{"success":true}');

      const expected = events.map(({ out }) => out).filter((out) => out !== null);
      const gauges = librato.gauges.map(({ period, attributes, ...gauge }) => gauge);
      // The time of receipt is between these two. A fraction of a second may shift an event by one second more.
      const [least, most] = [before, later].map((moment) => Math.floor((moment - Date.parse(RECORDED_AT)) / 1000));
      assert.deepEqual(
        gauges.map(({ name, source, value }) => ({ name, source, value })),
        expected.map(({ name, source, value }) => ({ name, source, value })),
      );
      gauges.forEach((gauge, index) => {
        const moved = gauge.measure_time - expected[index].measure_time;
        assert.ok(moved >= least && moved <= most + 1, `${events[index].text}: moved by ${moved}, not by ${least}`);
      });
      const shifts = new Set(gauges.map((gauge, index) => gauge.measure_time - expected[index].measure_time));
      assert.ok(Math.max(...shifts) - Math.min(...shifts) <= 1, `one moment of receipt: ${[...shifts]}`);
    }
  });
});

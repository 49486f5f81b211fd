// Records the results of the original Librato destination for events of every kind, as fixtures. See README.md beside
// this file.

import { writeFileSync } from "node:fs";
import fc from "fast-check";
import { isNative, RULES } from "./coverage.mjs";
import { DEVIATIONS } from "./deviations.mjs";
import { events } from "./events.mjs";
import { original } from "./mapper.mjs";

// The original ran in UTC, and JavaScript reads a date without a zone in the zone that it runs in.
process.env.TZ = "UTC";

const RECEIVED_AT = Date.parse("2026-11-23T12:00:00.000Z");
const EVENTS = 3_000;
const SEED = 1;
const MAX_BYTES = 500_000;
/** Minimum number of events that cover a rule. */
const LEAST = 30;
const OUTPUT = new URL("../fixtures/original.jsonl", import.meta.url);

/** Number of generated events, of which fewer are kept. */
const DRAWN = 8 * EVENTS;

const FAILED = "the original failed, and lost the event";

const counter = (keys) => new Map(keys.map((key) => [key, 0]));
const count = (map, key) => map.set(key, map.get(key) + 1);
const print = (title, map) => {
  console.log(`\n${title}`);
  for (const [key, n] of map) console.log(`${String(n).padStart(6)}  ${key}`);
};
const left = counter([...Object.keys(DEVIATIONS), FAILED]);
const met = counter(Object.keys(RULES));

/** Returns the original's result for an event, or the reason to leave it out. */
function judge(event) {
  try {
    const gauge = original(event, RECEIVED_AT);
    const deviates = ([, shows]) => shows(event, gauge, RECEIVED_AT);
    return { gauge, why: Object.entries(DEVIATIONS).find(deviates)?.[0] };
  } catch (error) {
    if (!(error instanceof TypeError)) throw error;
    return { why: FAILED };
  }
}

const candidates = new Map();
for (const json of fc.sample(events(RECEIVED_AT), { numRuns: DRAWN, seed: SEED })) {
  const event = JSON.parse(json);
  const { gauge, why } = judge(event);
  if (why) {
    count(left, why);
    continue;
  }
  const rules = Object.keys(RULES).filter((rule) => RULES[rule](event, gauge, json));
  const native = isNative(event) ? ',"native":true' : "";
  candidates.set(`{"in":${json},"out":${JSON.stringify(gauge)}${native}}`, rules);
}

// First the events that a rule still needs, then any that are short.
const lines = [];
for (const wanted of [(rules) => rules.some((rule) => met.get(rule) < LEAST), (_, line) => line.length < 178]) {
  for (const [line, rules] of candidates) {
    if (lines.length === EVENTS || !wanted(rules, line)) continue;
    candidates.delete(line);
    lines.push(line);
    for (const rule of rules) count(met, rule);
  }
}

const recording = `${lines.join("\n")}\n`;
const bytes = Buffer.byteLength(recording);
print("Left out", left);
print("Recorded", met);
console.log(`\n${lines.length} events, ${bytes} bytes`);

const rare = [...met].filter(([, n]) => n < LEAST).map(([rule]) => rule);
if (lines.length < EVENTS || bytes > MAX_BYTES || rare.length > 0) {
  console.error(`Not written: wanted are ${EVENTS} events in ${MAX_BYTES} bytes, each rule ${LEAST} times.`);
  for (const rule of rare) console.error(`too rare: ${rule}`);
  process.exit(1);
}
writeFileSync(OUTPUT, recording);

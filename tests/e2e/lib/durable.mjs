// What durable delivery has done with everything that was stored.

import assert from "node:assert/strict";
import { operatorToken } from "./platform.mjs";
import { waitFor } from "./wait.mjs";

const sum = (numbers) => numbers.reduce((total, number) => total + number, 0);

/** Waits until the consumer has acknowledged every message that was stored. */
export async function drained(worker) {
  await waitFor(
    "an empty queue",
    () => {
      const { lines } = worker;
      const consumed = lines.filter(({ event }) => event === "consume");
      const stored = sum(lines.filter(({ event }) => event === "request").map(({ messages }) => messages));
      // What is sealed is stored once more.
      const sealed = sum(consumed.map(({ sealed = 0 }) => sealed));
      return stored + sealed === sum(consumed.map(({ messages, retried }) => messages - retried));
    },
    { within: 180_000 },
  );
}

/** Returns all dead letters. */
export async function letters(worker) {
  const all = [];
  for (let query = "?limit=500"; ; ) {
    const headers = { authorization: `Bearer ${operatorToken}` };
    const { count, letters } = (await worker.fetch(`/set-aside${query}`, { headers })).json();
    all.push(...letters);
    if (all.length === count) return all;
    assert.notEqual(letters.length, 0, `${all.length} of ${count} letters`);
    query = `?limit=500&before=${letters.at(-1).id}`;
  }
}

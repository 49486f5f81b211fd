// Waits for conditions in place of fixed times.

import { setTimeout as sleep } from "node:timers/promises";
import { inspect } from "node:util";

/**
 * Polls until the result is truthy, and returns it.
 *
 * @template T
 * @param {string} what name of the condition, for the failure
 * @param {() => T | Promise<T>} ask
 * @param {{ within?: number }} [options] the deadline in milliseconds
 * @returns {Promise<T>}
 */
export async function waitFor(what, ask, { within = 10_000 } = {}) {
  const deadline = Date.now() + within;
  for (;;) {
    const answer = await ask();
    if (answer) return answer;
    if (Date.now() > deadline) {
      throw new Error(`not within ${within} ms: ${what}; the last answer was ${inspect(answer)}`);
    }
    await sleep(20);
  }
}

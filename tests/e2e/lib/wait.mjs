// Waiting for conditions instead of for times.

import { setTimeout as sleep } from "node:timers/promises";
import { inspect } from "node:util";

/**
 * Asks until the answer is truthy, and returns it.
 *
 * @template T
 * @param {string} what what is waited for, as it stands in the failure
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

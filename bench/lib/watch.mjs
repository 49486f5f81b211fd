// How long the thread that serves requests was ready to run and had no processor: what a pause owes to the machine and
// to whoever else is on it. A process of its own, so that what it does is not measured.

import { readFileSync } from "node:fs";

const pid = process.argv[2];
/** Milliseconds between two looks. */
const STEP = 2;

/** When, by the clock that all processes have, and how long it had waited until then; both in milliseconds. */
const looks = [];

function look() {
  try {
    // Of the first thread: in workerd that one serves.
    const [, waited] = readFileSync(`/proc/${pid}/schedstat`, "utf8").split(" ");
    looks.push({ at: performance.timeOrigin + performance.now(), waited: Number(waited) / 1e6 });
  } catch {
    // Only Linux tells, and only while the process is there.
  }
}

/** How long it had waited at a moment, by the first look after it. */
function waitedAt(moment) {
  let [below, above] = [0, looks.length - 1];
  while (below < above) {
    const middle = (below + above) >> 1;
    if (looks[middle].at < moment) below = middle + 1;
    else above = middle;
  }
  return looks[above]?.waited ?? Number.NaN;
}

setInterval(look, STEP);
process.on("message", (spans) => {
  process.send({ waits: spans.map(({ from, until }) => waitedAt(until + STEP) - waitedAt(from - STEP)) });
});
process.on("disconnect", () => process.exit());

// Measures how long the thread that serves requests was ready to run without a processor: the part of a pause that is
// due to the machine and its other processes. A separate process, so that its own work is not measured.

import { readFileSync } from "node:fs";

const pid = process.argv[2];
/** Time between two samples, in milliseconds. */
const STEP = 2;

/** Samples: the time by the clock of all processes, and the total wait until then, both in milliseconds. */
const looks = [];

function look() {
  try {
    // Of the first thread, which serves requests in workerd.
    const [, waited] = readFileSync(`/proc/${pid}/schedstat`, "utf8").split(" ");
    looks.push({ at: performance.timeOrigin + performance.now(), waited: Number(waited) / 1e6 });
  } catch {
    // Linux has this, and only while the process lives.
  }
}

/** Returns the total wait at a moment, by the first sample after it. */
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

// What the scripts show while they work: one line a step, with the time it took.

const terminal = process.stdout.isTTY === true && process.env.CI === undefined;
const colour = (code) => (text) => (terminal && !process.env.NO_COLOR ? `\u001b[${code}m${text}\u001b[0m` : text);

export const bold = colour(1);
export const dim = colour(2);
const red = colour(31);
const green = colour(32);

/** A failure that its message explains in full: shown without a stack trace. */
export class Problem extends Error {}

const PLATFORMS =
  "librato-edge is built and run on Linux and macOS. On Windows, use it in WSL, with Node and Rust installed there: " +
  "https://learn.microsoft.com/windows/wsl/install";

/** Runs a script: a failure is shown and makes the exit code 1. */
export async function main(work) {
  try {
    if (process.platform === "win32") throw new Problem(PLATFORMS);
    await work();
  } catch (error) {
    console.error(`\n${red("✗")} ${error instanceof Problem ? error.message : error.stack}`);
    process.exitCode = 1;
  }
}

/**
 * Runs `work` as one step. It is handed a function that says what it is at: shown at once in a terminal, and now and
 * then in a log, so that nobody takes a long step for a dead one.
 *
 * @template T
 * @param {string} title
 * @param {(show: (detail: string) => void) => Promise<T>} work
 * @returns {Promise<T>}
 */
export async function step(title, work) {
  const began = performance.now();
  const elapsed = () => `${((performance.now() - began) / 1000).toFixed(1)} s`;
  let detail = "";
  const draw = () => {
    if (!terminal) return console.log(`    ${elapsed()}  ${detail}`);
    const line = `… ${title}  ${elapsed()}  ${detail}`;
    process.stdout.write(`\r\u001b[2K${line.slice(0, (process.stdout.columns || 80) - 1)}`);
  };
  if (terminal) draw();
  else console.log(`… ${title}`);
  const timer = setInterval(draw, terminal ? 200 : 20_000);
  const end = (mark) => {
    clearInterval(timer);
    console.log(`${terminal ? "\r\u001b[2K" : ""}${mark} ${title}  ${dim(elapsed())}`);
  };
  try {
    const result = await work((text) => {
      detail = text.trim();
    });
    end(green("✓"));
    return result;
  } catch (error) {
    end(red("✗"));
    throw error;
  }
}

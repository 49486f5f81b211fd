// A Chromium for the tests in a browser.

import { Problem, step } from "./console.mjs";
import { ask, run } from "./process.mjs";

const CANDIDATES = [
  "chromium",
  "chromium-browser",
  "google-chrome",
  "google-chrome-stable",
  "/Applications/Chromium.app/Contents/MacOS/Chromium",
  "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
];

const HOW =
  'On Debian: "apt-get install chromium"; on Fedora: "dnf install chromium"; on macOS: "brew install chromium"; ' +
  "elsewhere: https://www.google.com/chrome. Or set CHROMIUM_BIN to the path of one.";

/** The path of a program that runs: Ubuntu, for one, has a `chromium-browser` that only tells how to get a real one. */
function working(command) {
  if (!/^\S.*\d+\.\d+\.\d+/.test(ask(command, "--version") ?? "")) return undefined;
  return command.startsWith("/") ? command : ask("sh", "-c", `command -v ${command}`);
}

const MISSING = `The tests in a browser need Chromium or Chrome. ${HOW}`;

/** The path of the Chromium that is there, if one is. */
function find() {
  const chosen = process.env.CHROMIUM_BIN;
  if (!chosen) return CANDIDATES.map(working).find(Boolean);
  const path = working(chosen);
  if (!path) throw new Problem(`CHROMIUM_BIN is "${chosen}", which does not run.`);
  return path;
}

/** The path of a Chromium that is there already: a test installs nothing and says nothing. */
export function findChromium() {
  const path = find();
  if (!path) throw new Problem(MISSING);
  return path;
}

/** The path of a Chromium, installed if this is a Debian on which that is ours to do. */
export async function chromium() {
  const found = find();
  if (found) return found;
  if (process.getuid?.() === 0 && ask("apt-get", "--version")) {
    const env = { DEBIAN_FRONTEND: "noninteractive" };
    await step("Chromium, by apt-get", async (show) => {
      await run(["apt-get", "update"], { show, env });
      await run(["apt-get", "install", "--yes", "--no-install-recommends", "chromium"], { show, env });
    });
  }
  return findChromium();
}

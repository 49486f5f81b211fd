// `npm test`: everything that is tested, or with `npm test -- native` or `npm test -- e2e` one of the two parts.

import { readdirSync } from "node:fs";
import { buildLocalLibrato, buildWorker } from "./lib/build.mjs";
import { chromium } from "./lib/chromium.mjs";
import { main, Problem } from "./lib/console.mjs";
import { inProject, pass } from "./lib/process.mjs";
import { installPythonPackages } from "./lib/python.mjs";
import { setup } from "./lib/setup.mjs";
import { victoriaMetrics } from "./lib/victoria-metrics.mjs";

const E2E = "tests/e2e";

/** The Rust tests of both packages. */
function native() {
  return pass(["cargo", "test", "--workspace", "--no-fail-fast"]);
}

/** Fetches what the tests run beside the Worker, and tells them by their environment where it is. */
async function programs() {
  const browser = await chromium();
  await installPythonPackages();
  try {
    return { CHROMIUM_BIN: browser, VICTORIA_METRICS_BIN: await victoriaMetrics() };
  } catch (error) {
    if (!(error instanceof Problem)) throw error;
    // Not every system has a package of it, and few tests want it: they fail, and all others can be run.
    console.error(`\n${error.message}\n`);
    return { CHROMIUM_BIN: browser };
  }
}

/** The artefact in workerd, real client libraries and a real browser. */
async function e2e(tools, env) {
  const librato = await buildLocalLibrato();
  await buildWorker(tools);
  const files = readdirSync(inProject(E2E), { recursive: true }).filter((name) => name.endsWith(".test.mjs"));
  files.sort();
  if (files.length === 0) throw new Problem(`There are no tests in ${E2E}.`);
  // One file at a time: some of them measure how long an answer takes.
  const flags = ["--test", "--test-concurrency=1", "--test-timeout=300000"];
  flags.push("--test-reporter=spec", "--test-reporter-destination=stdout");
  flags.push("--test-reporter=./scripts/lib/silence.mjs", "--test-reporter-destination=stderr");
  return pass(["node", ...flags, ...files.map((name) => `${E2E}/${name}`)], { env: { ...env, LIBRATO_BIN: librato } });
}

await main(async () => {
  const chosen = process.argv.slice(2);
  const unknown = chosen.find((part) => part !== "native" && part !== "e2e");
  if (unknown) throw new Problem(`There is no part "${unknown}". There are "native" and "e2e"; without a word, both.`);
  const wants = (part) => chosen.length === 0 || chosen.includes(part);

  // Before anything long: what is missing had better be known at once.
  const tools = await setup();
  const env = wants("e2e") ? await programs() : {};

  const failed = [];
  if (wants("native") && !(await native())) failed.push("native");
  if (failed.length > 0 && wants("e2e")) console.log('\nNative tests have failed (above). On with "e2e".\n');
  if (wants("e2e") && !(await e2e(tools, env))) failed.push("e2e");
  // The runners have said what failed, in their own last lines.
  if (failed.length > 0) process.exitCode = 1;
});

// `npm test`: everything that Rust, Node and Python can run, or with `npm test -- native` or `npm test -- e2e` one of the two
// parts. `npm test -- compiled`: what wants Go or a JDK with Maven as well.

import { readdirSync } from "node:fs";
import { buildLocalLibrato, buildWorker } from "./lib/build.mjs";
import { chromium } from "./lib/chromium.mjs";
import { buildAllCompiled, tellLeftOut } from "./lib/compiled.mjs";
import { main, Problem } from "./lib/console.mjs";
import { inProject, pass } from "./lib/process.mjs";
import { installPythonPackages } from "./lib/python.mjs";
import { setup } from "./lib/setup.mjs";
import { victoriaMetrics } from "./lib/victoria-metrics.mjs";

const PARTS = ["native", "e2e", "compiled"];
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

/** Tests of the artefact in workerd. */
async function withWorker(tools, files, env = {}) {
  if (files.length === 0) throw new Problem("There are no tests.");
  const librato = await buildLocalLibrato();
  await buildWorker(tools);
  // One file at a time: some of them measure how long an answer takes.
  const flags = ["--test", "--test-concurrency=1", "--test-timeout=300000"];
  flags.push("--test-reporter=spec", "--test-reporter-destination=stdout");
  flags.push("--test-reporter=./scripts/lib/silence.mjs", "--test-reporter-destination=stderr");
  return pass(["node", ...flags, ...files], { env: { ...env, LIBRATO_BIN: librato } });
}

/** The artefact, real client libraries and a real browser. */
function e2e(tools, env) {
  const files = readdirSync(inProject(E2E), { recursive: true }).filter((name) => name.endsWith(".test.mjs"));
  return withWorker(
    tools,
    files.sort().map((name) => `${E2E}/${name}`),
    env,
  );
}

/** The artefact with clients and backends that are compiled first; those that cannot be here are told at the end. */
async function compiled(tools) {
  const { files, leftOut } = await buildAllCompiled();
  const passed = await withWorker(tools, files);
  return tellLeftOut(leftOut) && passed;
}

await main(async () => {
  const chosen = process.argv.slice(2);
  const unknown = chosen.find((part) => !PARTS.includes(part));
  if (unknown) {
    const parts = 'There are "native" and "e2e"; without a word, these two; and "compiled".';
    throw new Problem(`There is no part "${unknown}". ${parts}`);
  }
  const wants = (part) => (chosen.length === 0 ? part !== "compiled" : chosen.includes(part));

  // Before anything long: what is missing had better be known at once.
  const tools = await setup();
  const env = wants("e2e") ? await programs() : {};

  const failed = [];
  if (wants("native") && !(await native())) failed.push("native");
  if (failed.length > 0 && wants("e2e")) console.log('\nNative tests have failed (above). On with "e2e".\n');
  if (wants("e2e") && !(await e2e(tools, env))) failed.push("e2e");
  if (wants("compiled") && !(await compiled(tools))) failed.push("compiled");
  // The runners have said what failed, in their own last lines.
  if (failed.length > 0) process.exitCode = 1;
});

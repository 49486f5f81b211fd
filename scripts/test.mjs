// `npm test`: everything that is tested, or with `npm test -- native` or `npm test -- e2e` one of the two parts.

import { readdirSync } from "node:fs";
import { buildLocalLibrato, buildWorker } from "./lib/build.mjs";
import { chromium } from "./lib/chromium.mjs";
import { main, Problem } from "./lib/console.mjs";
import { inProject, pass } from "./lib/process.mjs";
import { setup } from "./lib/setup.mjs";

const E2E = "tests/e2e";

/** The Rust tests of both packages. */
function native() {
  return pass(["cargo", "test", "--workspace", "--no-fail-fast"]);
}

/** The artefact in workerd, real client libraries and a real browser. */
async function e2e(tools, browser) {
  const librato = await buildLocalLibrato();
  await buildWorker(tools);
  const files = readdirSync(inProject(E2E), { recursive: true }).filter((name) => name.endsWith(".test.mjs"));
  files.sort();
  if (files.length === 0) throw new Problem(`There are no tests in ${E2E}.`);
  // One file at a time: some of them measure how long an answer takes.
  const flags = ["--test", "--test-reporter=spec", "--test-concurrency=1", "--test-timeout=300000"];
  return pass(["node", ...flags, ...files.map((name) => `${E2E}/${name}`)], {
    env: { LIBRATO_BIN: librato, CHROMIUM_BIN: browser },
  });
}

await main(async () => {
  const chosen = process.argv.slice(2);
  const unknown = chosen.find((part) => part !== "native" && part !== "e2e");
  if (unknown) throw new Problem(`There is no part "${unknown}". There are "native" and "e2e"; without a word, both.`);
  const wants = (part) => chosen.length === 0 || chosen.includes(part);

  // Before anything long: what is missing had better be known at once.
  const tools = await setup();
  const browser = wants("e2e") ? await chromium() : undefined;

  const failed = [];
  if (wants("native") && !(await native())) failed.push("native");
  if (failed.length > 0 && wants("e2e")) console.log('\nNative tests have failed (above). On with "e2e".\n');
  if (wants("e2e") && !(await e2e(tools, browser))) failed.push("e2e");
  // The runners have said what failed, in their own last lines.
  if (failed.length > 0) process.exitCode = 1;
});

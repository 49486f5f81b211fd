// A reporter for node's test runner: makes the run fail where a test has written to standard output. That is the way on
// which the runner gets the results of a file's process; what else stands there may be taken for one, and then the run
// fails or not as the pieces happen to come.

import { relative } from "node:path";
import { root } from "./process.mjs";

export default async function* silence(events) {
  const spoken = [];
  for await (const { type, data } of events) if (type === "test:stdout") spoken.push(data);
  if (spoken.length === 0) return;
  process.exitCode = 1;
  yield "\n✗ A test's standard output belongs to the runner. Use the diagnostics of a test. These have written to it:\n";
  for (const { file, message } of spoken) yield `  ${relative(root, file)}: ${JSON.stringify(message.slice(0, 200))}\n`;
}

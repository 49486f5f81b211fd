// The examples of the README.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { projectPath } from "../lib/project.mjs";

/** What an example has in place of the host and of the write key. */
export const HOST = "https://edge.example.com";
export const KEY = "YOUR_WRITE_KEY";

export const readme = readFileSync(projectPath("README.md"), "utf8");

/** The examples by name. */
export const snippets = new Map(
  [...readme.matchAll(/<!-- snippet: ([\w-]+) -->\n```\w+\n([\s\S]*?)\n```\n/g)].map(([, name, code]) => [name, code]),
);

/** An example with another host and write key in it. */
export function filledIn(name, host, writeKey) {
  const code = snippets.get(name);
  assert.ok(code.includes(HOST) && code.includes(KEY), `${HOST} and ${KEY} in ${name}`);
  return code.replaceAll(HOST, host).replaceAll(KEY, writeKey);
}

// The examples of the README, and of what it leads to.

import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { projectPath } from "../lib/project.mjs";

/** What an example has in place of the host and of the write key. */
export const HOST = "https://edge.example.com";
export const KEY = "YOUR_WRITE_KEY";

export const readme = ["README.md", "docs/clients.md"]
  .map(projectPath)
  .filter(existsSync)
  .map((file) => readFileSync(file, "utf8"))
  .join("\n");

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

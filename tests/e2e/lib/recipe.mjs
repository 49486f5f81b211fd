// The recipes of `docs/otlp`, by the blocks in them that are there to be copied: what a test runs is what a reader gets.

import { readFileSync } from "node:fs";
import { projectPath } from "./project.mjs";

/**
 * Reads a recipe.
 *
 * @param {string} name
 */
export function recipe(name) {
  const text = readFileSync(projectPath(`docs/otlp/${name}.md`), "utf8");
  const blocks = (language) =>
    [...text.matchAll(new RegExp(`^\`\`\`${language}\n(.*?)^\`\`\``, "gms"))].map((m) => m[1]);
  const lines = blocks("sh").flatMap((block) => block.replaceAll("\\\n", "").split("\n"));
  return {
    text,
    /** What stands in `wrangler.toml`. */
    settings: Object.fromEntries(
      [...(blocks("toml")[0] ?? "").matchAll(/^(\w+) = "(.*?)"/gm)].map(([, key, value]) => [key, value]),
    ),
    /** The secret, as it is put. */
    headers: lines.map((line) => /^npx wrangler secret put OTLP_HEADERS {3}# (\S+)$/.exec(line)?.[1]).find(Boolean),
    /** The program's configuration file. */
    configuration: blocks("yaml")[0],
    /** The arguments of each command line of a program. */
    commands: (program) =>
      lines.filter((line) => line.startsWith(`${program} `)).map((line) => line.trim().split(/\s+/).slice(1)),
    /** The query, for another metric and an hour. */
    query(metric) {
      const [query] = blocks("promql");
      return query.replace(/\bOrder.Completed.count\b/, metric).replace("[1m]", "[1h]");
    },
  };
}

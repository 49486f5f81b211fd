// The recipes for backends of OTLP: one form, and settings that the Worker takes. Those that are executed are read by the
// tests that do it.

import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { describe, it } from "node:test";
import { otlp } from "./lib/otlp.mjs";
import { projectPath } from "./lib/project.mjs";
import { recipe } from "./lib/recipe.mjs";
import { withWorker } from "./lib/worker.mjs";

const names = readdirSync(projectPath("docs/otlp")).map((file) => file.replace(/\.md$/, ""));
const overview = readFileSync(projectPath("docs/otlp.md"), "utf8");
const rows = Object.fromEntries(
  [...overview.matchAll(/^\| \[.+?\]\(otlp\/(\w+)\.md\) \| `(\w+)` \| (.+?) \|$/gm)].map(
    ([, name, profile, executed]) => [name, { profile, executed }],
  ),
);

const SOURCES = {
  "`npm test`": /^\*\*Executed\*\* by `npm test`/,
  "`npm test -- compiled`": /^\*\*Executed\*\* by `npm test -- compiled`/,
  no: /^\*\*From the vendor's documentation, November 2026\*\*, not executed.*\(https:/s,
};

it("each recipe is in the table of docs/otlp.md", () => {
  assert.ok(names.length > 0);
  assert.deepEqual(Object.keys(rows).sort(), names.toSorted());
});

for (const name of names) {
  describe(name, () => {
    const { text, settings, headers } = recipe(name);

    it("has the form of all, and says where it is from", () => {
      const titles = [...text.matchAll(/^## (.+)$/gm)].map(([, title]) => title);
      assert.deepEqual(titles, ["Settings", "Profile", "Querying a sum", "Limits"]);
      const [, said] = /^# [^\n]+\n\n(.+?)\n## /s.exec(text);
      assert.match(said, SOURCES[rows[name].executed]);
    });

    it("has settings that the Worker takes, with the profile of the table", async () => {
      assert.equal(settings.DESTINATION, "otlp");
      assert.equal(settings.OTLP_PROFILE ?? "delta", rows[name].profile);
      assert.ok(headers, "it has no OTLP_HEADERS");
      await withWorker(
        { settings: otlp(settings.OTLP_URL, { ...settings, OTLP_HEADERS: headers }) },
        async (worker) => {
          const { status, text } = await worker.fetch("/health");
          assert.equal(status, 200, text);
        },
      );
    });
  });
}

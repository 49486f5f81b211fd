// CI: every crate and every npm package has a licence that the project can live with.

import { readFileSync } from "node:fs";
import satisfies from "spdx-satisfies";
import { main, Problem } from "./lib/console.mjs";
import { inProject, run } from "./lib/process.mjs";

const ALLOWED = [
  "0BSD",
  "Apache-2.0",
  "Apache-2.0 WITH LLVM-exception",
  "BSD-2-Clause",
  "BSD-3-Clause",
  "BSL-1.0",
  "CC0-1.0",
  "ISC",
  "MIT",
  "Unicode-3.0",
  "Unlicense",
  "Zlib",
];

/** What the metadata alone does not settle, and why it is all right. */
const LOOKED_AT = [
  { package: /^@img\/sharp-/, why: "LGPL: a dependency of Miniflare, run and not linked with anything of ours" },
  {
    package:
      /^@segment\/(facade|isodate|isodate-traverse|analytics\.js-.*|canonical|fmt|is-meta|load-script|localstorage-retry|loosely-validate-event|prevent-default|protocol|send-json|top-domain)$|^(bind-all|new-date|segmentio-facade)$/,
    why: "their file LICENSE is the MIT licence",
  },
  {
    package:
      /^(analytics-events|component-(bind|clone|each|event|props|url)|debug|is-email|jsonp|script-onload|spark-md5|to-function|type-component|utf8-encode)$/,
    why: "MIT by what their readme says: the classic analytics.js, which only the tests run",
  },
  {
    package: /^@(ghostery|remusao)\//,
    why: "MPL 2.0: a blocker that the tests in a browser run, unchanged, and that is not deployed",
  },
  { package: /^spdx-(exceptions|ranges)$/, why: "CC-BY: data of this very check" },
];

async function crates() {
  const metadata = await run(["cargo", "metadata", "--locked", "--format-version", "1"]);
  return JSON.parse(metadata)
    .packages.filter(({ source }) => source !== null)
    .map(({ name, license }) => ({ name, licence: license?.replaceAll("/", " OR ") }));
}

function packages() {
  const { "": _, ...locked } = JSON.parse(readFileSync(inProject("package-lock.json"), "utf8")).packages;
  return Object.entries(locked).map(([path, { license }]) => ({
    name: path.slice(path.lastIndexOf("node_modules/") + "node_modules/".length),
    licence: license,
  }));
}

function allowed(licence) {
  try {
    return satisfies(licence, ALLOWED);
  } catch {
    return false;
  }
}

await main(async () => {
  const all = { crates: await crates(), "npm packages": packages() };
  const doubtful = Object.values(all)
    .flat()
    .filter(({ licence }) => !allowed(licence));
  const refused = doubtful.filter(({ name }) => !LOOKED_AT.some((known) => known.package.test(name)));
  if (refused.length > 0) {
    throw new Problem(`Not allowed:\n${refused.map(({ name, licence }) => `  ${name}: ${licence}`).join("\n")}`);
  }
  const needless = LOOKED_AT.filter((known) => !doubtful.some(({ name }) => known.package.test(name)));
  if (needless.length > 0) throw new Problem(`No longer needed: ${needless.map((known) => known.package).join(", ")}`);
  const counts = Object.entries(all).map(([kind, { length }]) => `${length} ${kind}`);
  console.log(`The licences of ${counts.join(" and ")} are allowed.`);
});

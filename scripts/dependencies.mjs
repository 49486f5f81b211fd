// CI: every dependency is used, comes from where it should, and has a licence that the project can live with.

import { readFileSync } from "node:fs";
import satisfies from "spdx-satisfies";
import { main, Problem, step } from "./lib/console.mjs";
import { inProject, pass, run } from "./lib/process.mjs";
import { cargoTool } from "./lib/setup.mjs";

/** Which crates nobody uses; it looks for their names in the source. */
const MACHETE = "0.9.2";
/**
 * What `deny.toml` says of licences, versions and sources. Not advisories: their database comes from GitHub alone, which
 * is not to be had on every network. Where it is, "cargo deny check advisories" asks it.
 */
const DENY = "0.20.2";

/** The licences of npm packages; `deny.toml` has those of crates. */
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
      /^@segment\/(facade|isodate|isodate-traverse|analytics\.js-.*|canonical|fmt|is-meta|load-script|localstorage-retry|loosely-validate-event|prevent-default|protocol|send-json|top-domain)$|^@customerio\/cdp-analytics-node$|^(bind-all|customerio-gist-web|new-date|segmentio-facade)$/,
    why: "their file LICENSE is the MIT licence",
  },
  {
    package:
      /^(analytics-events|component-(bind|clone|each|event|props|url)|debug|is-email|jsonp|script-onload|spark-md5|to-function|type-component|utf8-encode)$/,
    why: "MIT by what their readme says: the classic analytics.js, which only the tests run",
  },
  {
    package: /^@(ghostery|remusao)\/|^axe-core$/,
    why: "MPL 2.0: a blocker and a checker of pages that the tests in a browser run, unchanged, and that are not deployed",
  },
  { package: /^spdx-(exceptions|ranges)$/, why: "CC-BY: data of this very check" },
];

/** What is found by another name than the package's: a program of it, or a name that it is installed for. */
const KNOWN_AS = {
  "@biomejs/biome": "biome",
  binaryen: "wasm-opt",
};

async function crates() {
  const machete = await cargoTool("cargo-machete", "cargo-machete", MACHETE);
  const deny = await cargoTool("cargo-deny", "cargo-deny", DENY);
  const check = ["--locked", "--all-features", "check", "--hide-inclusion-graph", "licenses", "bans", "sources"];
  for (const command of [
    [machete, "--skip-target-dir", "."],
    [deny, ...check],
  ]) {
    if (!(await pass(command))) throw new Problem("It says above which crates are not as they should be.");
  }
}

function allowed(licence) {
  try {
    return satisfies(licence, ALLOWED);
  } catch {
    return false;
  }
}

function licencesOfPackages() {
  const { "": _, ...locked } = JSON.parse(readFileSync(inProject("package-lock.json"), "utf8")).packages;
  const all = Object.entries(locked).map(([path, { license }]) => ({
    name: path.slice(path.lastIndexOf("node_modules/") + "node_modules/".length),
    licence: license,
  }));
  const doubtful = all.filter(({ licence }) => !allowed(licence));
  const refused = doubtful.filter(({ name }) => !LOOKED_AT.some((known) => known.package.test(name)));
  if (refused.length > 0) {
    throw new Problem(`Not allowed:\n${refused.map(({ name, licence }) => `  ${name}: ${licence}`).join("\n")}`);
  }
  const needless = LOOKED_AT.filter((known) => !doubtful.some(({ name }) => known.package.test(name)));
  if (needless.length > 0) throw new Problem(`No longer needed: ${needless.map((known) => known.package).join(", ")}`);
}

/** Every package that is asked for is named somewhere: by an import, a path or a program. */
async function usesOfPackages() {
  const { devDependencies, dependencies = {} } = JSON.parse(readFileSync(inProject("package.json"), "utf8"));
  const files = (await run(["git", "ls-files", "--", "*.js", "*.mjs", "*.toml", ".ci/run"])).trim().split("\n");
  // This one names what it knows of.
  const texts = files
    .filter((file) => file !== "scripts/dependencies.mjs")
    .map((file) => readFileSync(inProject(file)));
  const words = texts.flatMap((text) => text.toString().match(/[\w@/.-]+/g) ?? []).map((word) => `${word}/`);
  const isNamed = (name) => words.some((word) => word.startsWith(`${name}/`) || word.includes(`node_modules/${name}/`));
  // And what it imports itself.
  words.push("spdx-satisfies/");
  const unused = Object.keys({ ...dependencies, ...devDependencies }).filter(
    (name) => !isNamed(KNOWN_AS[name] ?? name),
  );
  if (unused.length > 0) throw new Problem(`Nothing uses ${unused.join(", ")}.`);
}

await main(async () => {
  await step("npm packages: used", usesOfPackages);
  await step("npm packages: licences", async () => licencesOfPackages());
  await crates();
});

// Programs that the tests in `tests/compiled` run and that want more than Rust, Node and Python to be built: client
// libraries and backends in other languages. Each has a folder of its own there, with its lock file and its tests.

import { existsSync, readdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { Problem, step } from "./console.mjs";
import { ask, inProject, run } from "./process.mjs";

const SOURCES = "tests/compiled";
const OUTPUT = "target/compiled";

/** What a language needs to be there, and how a program of it is built and then started. */
const LANGUAGES = {
  go: {
    isThere: () => /^go version go1\.(2[1-9]|[3-9]\d)\b/.test(ask("go", "version") ?? ""),
    needs: "Go 1.21 or newer (https://go.dev/dl; it fetches the version that a program names)",
    async build(name, { package: of = ".", tags = [] }, show) {
      // `-v` names each package as it is compiled.
      const flags = ["-v", "-mod=readonly", "-buildvcs=false", "-trimpath", `-tags=${tags.join(",")}`];
      await run(["go", "-C", inProject(SOURCES, name), "build", ...flags, "-o", program(name), of], { show });
    },
    command: (name) => [program(name)],
  },
  java: {
    isThere: () => ask("mvn", "--version") !== undefined && ask("javac", "-version") !== undefined,
    needs:
      "a JDK 17 or newer with Maven (on Debian: apt-get install default-jdk-headless maven; on macOS: brew install maven)",
    async build(name, _, show) {
      // A library of another version would stay on the class path.
      rmSync(program(name), { recursive: true, force: true });
      const pom = inProject(SOURCES, name, "pom.xml");
      await run(["mvn", "--batch-mode", "--file", pom, "package"], { show, showOutput: true });
    },
    command: (name) => ["java", "-cp", join(program(name), "classpath", "*"), "Main"],
  },
  rust: {
    isThere: () => true,
    async build(name, _, show) {
      const manifest = inProject(SOURCES, name, "Cargo.toml");
      await run(["cargo", "build", "--locked", "--manifest-path", manifest, "--target-dir", program(name)], { show });
    },
    command: (name) => [join(program(name), "debug", name)],
  },
};

/**
 * The programs, by the name of their folder.
 *
 * @type {Record<string, { language: keyof LANGUAGES, package?: string, tags?: string[] }>} for Go, the package if it is not
 *   the folder's own, and the build tags
 */
const PROGRAMS = {
  "clients-go": { language: "go" },
  "clients-java": { language: "java" },
  "clients-rust": { language: "rust" },
  collector: { language: "go" },
  prometheus: { language: "go", package: "github.com/prometheus/prometheus/cmd/prometheus", tags: ["remove_all_sd"] },
  "victoria-metrics": { language: "go", package: "github.com/VictoriaMetrics/VictoriaMetrics/app/victoria-metrics" },
};

/** Where the build puts a program: a file, or for some languages a folder. A `pom.xml` says so itself. */
const program = (name) => inProject(OUTPUT, name);

/**
 * The command line of a program that is built already: a test builds nothing and says nothing.
 *
 * @param {string} name of its folder
 */
export function compiledCommand(name) {
  if (!existsSync(program(name))) throw new Problem(`${name} is not built; "npm test -- compiled" builds it.`);
  return LANGUAGES[PROGRAMS[name].language].command(name);
}

/** The test files of a program. */
function testsOf(name) {
  const files = readdirSync(inProject(SOURCES, name)).filter((file) => file.endsWith(".test.mjs"));
  return files.sort().map((file) => `${SOURCES}/${name}/${file}`);
}

/** Builds a program, unless what its language needs is not there: then it is false. */
export async function buildCompiled(name) {
  const { language, ...options } = PROGRAMS[name];
  if (!LANGUAGES[language].isThere()) return false;
  await step(`${name} (${language})`, (show) => LANGUAGES[language].build(name, options, show));
  return true;
}

/**
 * Builds all programs that can be built here.
 *
 * @returns {Promise<{ files: string[], leftOut: { files: string[], needs: string }[] }>} the test files of those, and of
 *   the others what they need
 */
export async function buildAllCompiled() {
  const files = [];
  const leftOut = [];
  // One at a time: each of them takes all processors.
  for (const name of Object.keys(PROGRAMS)) {
    if (await buildCompiled(name)) files.push(...testsOf(name));
    else leftOut.push({ files: testsOf(name), needs: LANGUAGES[PROGRAMS[name].language].needs });
  }
  return { files, leftOut };
}

/**
 * Tells which tests were left out, and what they need. Returns whether that may be: where nobody reads the last lines, it may
 * not.
 *
 * @param {{ files: string[], needs: string }[]} leftOut
 */
export function tellLeftOut(leftOut) {
  for (const { files, needs } of leftOut) {
    console.error(`\n✗ Left out: ${files.join(", ")}\n  This needs ${needs}.`);
  }
  return leftOut.length === 0 || !process.env.CI;
}

// The two programs of the project: the Worker and the local Librato.

import { createHash } from "node:crypto";
import { existsSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { basename } from "node:path";
import { gzipSync } from "node:zlib";
import { Problem, step } from "./console.mjs";
import { copyLibrary, LIBRARY_SOURCES } from "./library.mjs";
import { copyPage } from "./page.mjs";
import { inProject, run } from "./process.mjs";

const OUTPUT = { script: "build/index.js", wasm: "build/index_bg.wasm", library: "build/assets/analytics.min.js" };
/** What is put in front of what `worker-build` makes. */
const ENTRY = "src/edge/entry.mjs";
/** What the build was made of, so that the same is not made again. */
const RECORD = "build/.made-of";

/** Runs a build by cargo and returns the file that it made for a target of the given kind. */
async function cargoBuild(kind, args, options) {
  const format = "--message-format=json-render-diagnostics";
  const output = await run(["cargo", ...args, format], { ...options, warnings: true });
  const messages = output
    .split("\n")
    .filter(Boolean)
    .map((line) => JSON.parse(line));
  const artifact = messages.findLast(
    ({ reason, target }) => reason === "compiler-artifact" && target.kind.includes(kind),
  );
  return artifact.executable ?? artifact.filenames.find((name) => name.endsWith(".wasm"));
}

const read = (path) => readFileSync(inProject(path));

function kilobytes(path) {
  const bytes = read(path);
  const size = (length) => `${(length / 1000).toFixed(0)} kB`;
  return `${basename(path)} ${size(bytes.length)} (gzip ${size(gzipSync(bytes).length)})`;
}

/**
 * Where `worker-build` finds its tools. One that is not there would be no error to it: it would go on with a download
 * from GitHub.
 */
function toolsOf(wasmBindgen) {
  const npm = (name) => inProject("node_modules/.bin", name);
  const tools = { WASM_BINDGEN_BIN: wasmBindgen, WASM_OPT_BIN: npm("wasm-opt"), ESBUILD_BIN: npm("esbuild") };
  for (const [name, path] of Object.entries(tools)) {
    if (!existsSync(path)) throw new Problem(`There is no ${path}, which worker-build needs as ${name}.`);
  }
  return tools;
}

/**
 * Builds what is deployed, into `build/`: the script, its WebAssembly module, and as static assets analytics.js and
 * the operator's page. Always the release build, so what is developed and tested with is what is deployed.
 *
 * @param {Awaited<ReturnType<typeof import("./setup.mjs").setup>>} tools
 */
export async function buildWorker({ workerBuild, wasmBindgen, versions }) {
  await step("Worker (release, WebAssembly)", async (show) => {
    const env = toolsOf(wasmBindgen);
    const target = ["--package", "librato-edge"];
    // Only cargo knows whether the source has changed; what comes after it takes seconds even when nothing has.
    const cargo = ["build", "--lib", "--release", "--target", "wasm32-unknown-unknown", ...target];
    const wasm = await cargoBuild("cdylib", cargo, { show });
    const hash = createHash("sha256").update(readFileSync(wasm)).update(JSON.stringify(versions));
    const sources = ["Cargo.toml", "package-lock.json", "scripts/lib/build.mjs", ENTRY, ...LIBRARY_SOURCES];
    for (const path of sources) hash.update(read(path));
    const madeOf = hash.digest("hex");
    const made = Object.values(OUTPUT).every((path) => existsSync(inProject(path)));
    if (made && existsSync(inProject(RECORD)) && read(RECORD).toString() === madeOf) return;

    await run([workerBuild, "--release", ".", ...target], { show, env });
    // For those who import the package, or the script by its former name; Wrangler would upload it.
    for (const path of ["build/package.json", "build/worker"]) rmSync(inProject(path), { recursive: true });
    const bundle = ["--bundle", "--minify", "--format=esm", "--external:./index_bg.wasm", "--external:cloudflare:*"];
    const places = [`--alias:librato_edge=./${OUTPUT.script}`, `--outfile=${OUTPUT.script}`, "--allow-overwrite"];
    await run([env.ESBUILD_BIN, ENTRY, ...bundle, "--log-level=warning", ...places], { show });

    await copyLibrary("build");
    writeFileSync(inProject(RECORD), madeOf);
  });
  // It takes a moment, so it is not asked whether it has changed.
  await step("operator's page", () => copyPage("build"));
  console.log(`  build/: ${Object.values(OUTPUT).map(kilobytes).join(", ")}`);
}

/** Builds what the benchmark holds the Worker's start against: a `worker` program that does nothing. */
export async function buildBare({ workerBuild, wasmBindgen }) {
  const env = { ...toolsOf(wasmBindgen), CARGO_TARGET_DIR: inProject("target") };
  await step("a bare worker program", (show) => run([workerBuild, "--release", "bench/bare"], { show, env }));
}

/** Builds the local Librato and returns the path of the program. */
export function buildLocalLibrato() {
  return step("local Librato", (show) => cargoBuild("bin", ["build", "--package", "local-librato"], { show }));
}

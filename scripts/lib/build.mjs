// The two programs of the project: the Worker and the local Librato.

import { createHash } from "node:crypto";
import { copyFileSync, existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { basename } from "node:path";
import { gzipSync } from "node:zlib";
import { step } from "./console.mjs";
import { inProject, run } from "./process.mjs";

const OUTPUT = { script: "build/index.js", wasm: "build/index_bg.wasm", library: "build/assets/analytics.min.js" };
const LIBRARY = "node_modules/@segment/analytics-next/dist/umd/standalone.js";
/** What the build was made of, so that the same is not made again. */
const RECORD = "build/.made-of";

/** Runs `cargo build` and returns the file that it made for a target of the given kind. */
async function cargoBuild(kind, args, options) {
  const format = "--message-format=json-render-diagnostics";
  const output = await run(["cargo", "build", format, ...args], { ...options, warnings: true });
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

/** Where worker-build finds its own tools. */
const toolsOf = (wasmBindgen) => ({
  WASM_BINDGEN_BIN: wasmBindgen,
  WASM_OPT_BIN: inProject("node_modules/.bin/wasm-opt"),
  ESBUILD_BIN: inProject("node_modules/.bin/esbuild"),
});

/**
 * Builds what is deployed, into `build/`: the script, its WebAssembly module, and as a static asset analytics.js.
 * Always the release build, so what is developed and tested with is what is deployed.
 *
 * @param {Awaited<ReturnType<typeof import("./setup.mjs").setup>>} tools
 */
export async function buildWorker({ workerBuild, wasmBindgen, versions }) {
  const target = ["--package", "librato-edge"];
  const tools = toolsOf(wasmBindgen);

  await step("Worker (release, WebAssembly)", async (show) => {
    // Only cargo knows whether the source has changed; what comes after it takes seconds even when nothing has.
    const cargo = ["--lib", "--release", "--target", "wasm32-unknown-unknown", ...target];
    const wasm = await cargoBuild("cdylib", cargo, { show });
    const madeOf = createHash("sha256")
      .update(readFileSync(wasm))
      .update(read("package-lock.json"))
      .update(read("scripts/lib/build.mjs"))
      .update(JSON.stringify(versions))
      .digest("hex");
    const made = Object.values(OUTPUT).every((path) => existsSync(inProject(path)));
    if (made && existsSync(inProject(RECORD)) && read(RECORD).toString() === madeOf) return;

    await run([workerBuild, "--release", ".", ...target], { show, env: tools, warnings: true });
    // The names of functions are a ninth of the module, and nothing panics here whose trace they would make readable.
    const features = ["bulk-memory", "exception-handling", "multivalue", "mutable-globals"];
    features.push("nontrapping-float-to-int", "reference-types", "sign-ext");
    const strip = [OUTPUT.wasm, "--output", OUTPUT.wasm, "--strip-debug", "--strip-producers"];
    await run(["wasm-opt", ...strip, ...features.map((name) => `--enable-${name}`)], { show });
    mkdirSync(inProject("build/assets"), { recursive: true });
    copyFileSync(inProject(LIBRARY), inProject(OUTPUT.library));
    writeFileSync(inProject(RECORD), madeOf);
  });
  console.log(`  build/: ${Object.values(OUTPUT).map(kilobytes).join(", ")}`);
}

/** Builds what the benchmark holds the Worker's start against: a `worker` program that does nothing. */
export function buildBare({ workerBuild, wasmBindgen }) {
  const env = { ...toolsOf(wasmBindgen), CARGO_TARGET_DIR: inProject("target") };
  return step("a bare worker program", (show) => run([workerBuild, "--release", "bench/bare"], { show, env }));
}

/** Builds the local Librato and returns the path of the program. */
export function buildLocalLibrato() {
  return step("local Librato", (show) => cargoBuild("bin", ["--package", "local-librato"], { show }));
}

// The two programs of the project: the Worker and the local Librato.

import { createHash } from "node:crypto";
import { copyFileSync, existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { basename } from "node:path";
import { gzipSync } from "node:zlib";
import { step } from "./console.mjs";
import { inProject, run } from "./process.mjs";
import { cargoTool, lockedVersion } from "./setup.mjs";

const OUTPUT = { script: "build/index.js", wasm: "build/index_bg.wasm", library: "build/assets/analytics.min.js" };
const LIBRARY = "node_modules/@segment/analytics-next/dist/umd/standalone.js";
/** What the Worker consists of beside the module. */
const SCRIPTS = ["src/edge/worker.js", "src/edge/platform.js"];
/** Where wasm-bindgen leaves its part. */
const GLUE = "target/glue";
/**
 * LLVM has put functions into their callers where that pays. Beyond it, functions become so large that their many
 * locals pack badly. No address below 1,024 is anything's, and the engine makes nothing of alignments.
 */
const PASSES = ["-O3", "-aimfs", "0", "-fimfs", "0", "-ocimfs", "0", "--low-memory-unused", "--dealign"];
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
 * Short names for what the module imports from its script: each of wasm-bindgen's ends in a hash, which no packing makes
 * smaller, and it stands in both.
 */
function shortened(text, script) {
  let count = 0;
  const renamed = text.replace(/(?<=\(import "\.\/index_bg\.js" ")\w+/g, (name) => {
    const short = `i${count++}`;
    const before = script;
    script = script.replace(new RegExp(`\\b${name}\\b`), short);
    if (script === before) throw new Error(`wasm-bindgen does not give ${name}`);
    return short;
  });
  return { text: renamed, script };
}

/**
 * Builds what is deployed, into `build/`: the script, its WebAssembly module, and as a static asset analytics.js.
 * Always the release build, so what is developed and tested with is what is deployed.
 *
 * @param {Awaited<ReturnType<typeof import("./setup.mjs").setup>>} tools
 * @param {object} [wish]
 * @param {boolean} [wish.named] with the names of functions, for a profile
 */
export async function buildWorker({ wasmBindgen, versions }, { named = false } = {}) {
  await step("Worker (release, WebAssembly)", async (show) => {
    // Only cargo knows whether the source has changed; what comes after it takes seconds even when nothing has.
    const cargo = ["rustc", "--lib", "--release", "--target", "wasm32-unknown-unknown", "--package", "librato-edge"];
    // Of a library that is one for Rust too, all that is public would be kept apart, and nothing of it made smaller.
    cargo.push("--crate-type", "cdylib");
    const wasm = await cargoBuild("cdylib", cargo, { show });
    const hash = createHash("sha256")
      .update(readFileSync(wasm))
      .update(JSON.stringify({ ...versions, named }));
    for (const path of ["package-lock.json", "scripts/lib/build.mjs", ...SCRIPTS]) hash.update(read(path));
    const madeOf = hash.digest("hex");
    const made = Object.values(OUTPUT).every((path) => existsSync(inProject(path)));
    if (made && existsSync(inProject(RECORD)) && read(RECORD).toString() === madeOf) return;

    mkdirSync(inProject("build/assets"), { recursive: true });
    // What stands between the two worlds, and can begin anew when the module stops.
    const glue = ["--target", "module", "--no-typescript", "--experimental-reset-state-function"];
    await run([wasmBindgen, wasm, ...glue, "--out-name", "index", "--out-dir", GLUE], { show });

    // The names of functions are a ninth of the module, and nothing panics here whose trace they would make readable.
    const strip = named ? ["-g"] : ["--strip-debug", "--strip-producers", "--strip-target-features"];
    const text = `${GLUE}/index.wat`;
    await run(["wasm-dis", `${GLUE}/index_bg.wasm`, "--output", text], { show });
    const glued = shortened(read(text).toString(), read(`${GLUE}/index.js`).toString());
    writeFileSync(inProject(text), glued.text);
    await run(["wasm-opt", text, "--output", OUTPUT.wasm, "--all-features", ...PASSES, ...strip], { show });

    // The platform's way to say that a module is wanted and no instance of it.
    const imported = glued.script.replace("import source wasmModule from", "import wasmModule from");
    if (imported === glued.script) throw new Error("wasm-bindgen imports the module in another way");
    writeFileSync(inProject(GLUE, "index.js"), imported);
    const bundle = ["--bundle", "--minify", "--format=esm", "--external:./index_bg.wasm", "--log-level=warning"];
    const aliases = [`--alias:librato_edge=./${GLUE}/index.js`, "--alias:platform=./src/edge/platform.js"];
    await run(["esbuild", "src/edge/worker.js", ...bundle, ...aliases, `--outfile=${OUTPUT.script}`], { show });

    copyFileSync(inProject(LIBRARY), inProject(OUTPUT.library));
    writeFileSync(inProject(RECORD), madeOf);
  });
  console.log(`  build/: ${Object.values(OUTPUT).map(kilobytes).join(", ")}`);
}

/** Builds what the benchmark holds the Worker's start against: a `worker` program that does nothing. */
export async function buildBare({ wasmBindgen }) {
  // The tool and the crate are released together, under one number.
  const version = lockedVersion("worker", "bench/bare/Cargo.lock");
  const workerBuild = await cargoTool("worker-build", "worker-build", version);
  const env = {
    CARGO_TARGET_DIR: inProject("target"),
    WASM_BINDGEN_BIN: wasmBindgen,
    WASM_OPT_BIN: inProject("node_modules/.bin/wasm-opt"),
    ESBUILD_BIN: inProject("node_modules/.bin/esbuild"),
  };
  await step("a bare worker program", (show) => run([workerBuild, "--release", "bench/bare"], { show, env }));
}

/** Builds the local Librato and returns the path of the program. */
export function buildLocalLibrato() {
  return step("local Librato", (show) => cargoBuild("bin", ["build", "--package", "local-librato"], { show }));
}

// What the project needs beside its source: checked, and installed where missing. A second run installs nothing.
// All of this may run before `npm ci` ever has, so it uses Node's own modules only.

import { existsSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { Problem, step } from "./console.mjs";
import { ask, inProject, run, toolsDirectory } from "./process.mjs";

const NODE = "Node 20 or newer, with npm: https://nodejs.org";
const WASM = "wasm32-unknown-unknown";

/** The version of a crate in the lock file. */
export function lockedVersion(crate) {
  const text = readFileSync(inProject("Cargo.lock"), "utf8");
  const found = new RegExp(`^name = "${crate}"\nversion = "([^"]+)"$`, "m").exec(text);
  if (!found) throw new Problem(`Cargo.lock names no crate "${crate}".`);
  return found[1];
}

/** Whether the version `has` is at least `wanted`. */
function atLeast(has, wanted) {
  return has.localeCompare(wanted, "en", { numeric: true }) >= 0;
}

function nodeIsNewEnough() {
  if (atLeast(process.versions.node, "20")) return;
  throw new Problem(`This needs ${NODE}. This is Node ${process.versions.node}.`);
}

/** What a line of a configuration in TOML gives a name. */
function configured(file, name) {
  return new RegExp(`^${name} = "(.+)"$`, "m").exec(readFileSync(inProject(file), "utf8"))[1];
}

/** The oldest Rust that does, where no rustup gets the one of `rust-toolchain.toml`. */
const oldestRust = () => configured("Cargo.toml", "rust-version");

/**
 * The toolchain of `rust-toolchain.toml`. rustup installs it when any of its programs is run, unless it is told never to
 * do that by itself, and then without a word of what takes so long.
 */
async function toolchain() {
  const installed = ask("rustup", "toolchain", "list");
  // Rust need not come by rustup, and whoever names another toolchain than the project's wants that one.
  if (installed === undefined || process.env.RUSTUP_TOOLCHAIN) return;
  const wanted = configured("rust-toolchain.toml", "channel");
  if (installed.split("\n").some((line) => line.startsWith(`${wanted}-`))) return;
  const all = ["--profile", "minimal", "--component", "clippy", "--component", "rustfmt", "--target", WASM];
  await step(`Rust ${wanted}, by rustup`, async (show) => {
    try {
      await run(["rustup", "toolchain", "install", wanted, ...all, "--no-self-update"], { show });
    } catch (error) {
      const instead = `With RUSTUP_TOOLCHAIN=stable in the environment that one is used, if it is ${oldestRust()} or newer.`;
      throw new Problem(`${error.message}\n\n${instead}`);
    }
  });
}

function prerequisites() {
  const oldest = oldestRust();
  const rustup = `Rust ${oldest} or newer, best by rustup: https://rustup.rs`;
  const rustc = ask("rustc", "--version");
  if (!rustc || !ask("cargo", "--version")) throw new Problem(`Rust is missing. This needs ${rustup}.`);
  if (!atLeast(rustc.split(" ")[1], oldest)) throw new Problem(`This needs ${rustup}. This is ${rustc}.`);
  if (!ask("cc", "--version")) {
    throw new Problem(
      'A C linker ("cc") is missing, which Rust needs. On Debian or Ubuntu: "apt-get install build-essential"; ' +
        'on Fedora: "dnf install gcc"; on macOS: "xcode-select --install".',
    );
  }
}

/** Whether `node_modules` holds exactly what the lock file says for this platform. */
function packagesAreCurrent() {
  // Written by npm when it is through, so an installation that was cut short does not count.
  const installed = inProject("node_modules", ".package-lock.json");
  if (!existsSync(installed)) return false;
  const packages = (file) => JSON.parse(readFileSync(file, "utf8")).packages;
  const has = packages(installed);
  const { "": _, ...wanted } = packages(inProject("package-lock.json"));
  return Object.entries(wanted).every(([path, { version, optional }]) =>
    has[path] ? has[path].version === version : optional,
  );
}

async function npmPackages() {
  if (packagesAreCurrent()) return;
  if (!ask("npm", "--version")) throw new Problem(`npm is missing. This needs ${NODE}.`);
  await step("npm packages", (show) => run(["npm", "ci", "--no-audit", "--no-fund", "--loglevel=error"], { show }));
}

/** Wrangler's Node, which need not be the one that runs this. */
function nodeForWrangler() {
  const { engines } = JSON.parse(readFileSync(inProject("node_modules/wrangler/package.json"), "utf8"));
  const wanted = engines.node.replace(">=", "");
  const has = ask("node", "--version")?.slice(1) ?? "missing";
  if (has !== "missing" && atLeast(has, wanted)) return;
  throw new Problem(
    `Wrangler needs Node ${wanted} or newer. npm has not installed the one of package.json for ${process.platform} on ` +
      `${process.arch}, and this machine's own is ${has}.`,
  );
}

async function wasmTarget() {
  // rustc names the folder whether the target is installed or not.
  const isThere = () => existsSync(ask("rustc", "--target", WASM, "--print", "target-libdir") ?? "");
  if (isThere()) return;
  if (!ask("rustup", "--version")) {
    throw new Problem(`Rust's target ${WASM} is missing. With rustup (https://rustup.rs) it would be installed now.`);
  }
  await step(`Rust target ${WASM}`, (show) => run(["rustup", "target", "add", WASM], { show }));
  if (isThere()) return;
  throw new Problem(
    `rustup has added the target ${WASM}, and the rustc on the PATH has none of it: that rustc is not rustup's. Put ` +
      "rustup's folder first, or install the target for the other.",
  );
}

/** The path of a tool that is a crate, installed unless it is there in exactly this version. */
export async function cargoTool(crate, tool, version) {
  const installed = join(toolsDirectory, "bin", tool);
  for (const path of [tool, installed]) {
    if (ask(path, "--version")?.split(" ").at(-1) === version) return path;
  }
  const install = ["cargo", "install", `${crate}@${version}`, "--bin", tool, "--root", toolsDirectory];
  // Not optimised: it runs for less than a second.
  install.push("--target-dir", join(toolsDirectory, "target"), "--debug");
  const env = { CARGO_PROFILE_DEV_DEBUG: "false", CARGO_INCREMENTAL: "0" };
  await step(`${tool} ${version}, by cargo install`, async (show) => {
    try {
      await run([...install, "--locked"], { show, env });
    } catch (error) {
      // A registry's mirror may lag behind and lack a dependency's very newest release.
      if (!/failed to select a version/.test(error.log)) throw error;
      show("its lock file names a version that is not to be had here: choosing anew");
      await run(install, { show, env });
    }
  });
  rmSync(join(toolsDirectory, "target"), { recursive: true, force: true });
  return installed;
}

/**
 * Checks the prerequisites and installs what is missing.
 *
 * @returns {Promise<{ wasmBindgen: string, versions: Record<string, string> }>} the build tools
 */
export async function setup() {
  nodeIsNewEnough();
  await toolchain();
  prerequisites();
  await npmPackages();
  nodeForWrangler();
  await wasmTarget();
  // The tool works with no other version of the crate than its own.
  const versions = { "wasm-bindgen": lockedVersion("wasm-bindgen"), worker: lockedVersion("worker") };
  const wasmBindgen = await cargoTool("wasm-bindgen-cli", "wasm-bindgen", versions["wasm-bindgen"]);
  // The tool and the crate are released together, under one number.
  const workerBuild = await cargoTool("worker-build", "worker-build", versions.worker);
  return { workerBuild, wasmBindgen, versions };
}

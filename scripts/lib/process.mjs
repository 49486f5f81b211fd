// Running other programs.

import { spawn, spawnSync } from "node:child_process";
import { delimiter, join } from "node:path";
import { fileURLToPath } from "node:url";
import { Problem } from "./console.mjs";

/** The project's root. */
export const root = fileURLToPath(new URL("../..", import.meta.url));

/** The absolute path of a file of the project. */
export const inProject = (...parts) => join(root, ...parts);

/** Where the build tools are that cargo installs. */
export const toolsDirectory = inProject(".tools");

/**
 * The environment of what the scripts start. `node_modules/.bin` comes first, as in every npm script: it holds the
 * Node that Wrangler needs, which may be newer than the one that runs this. Cargo's own folder comes last: right
 * after rustup's installation no shell has it on its path yet.
 */
export function environment(extra = {}) {
  const cargo = join(process.env.CARGO_HOME ?? join(process.env.HOME ?? "", ".cargo"), "bin");
  const path = [inProject("node_modules", ".bin"), process.env.PATH, cargo].filter(Boolean).join(delimiter);
  return { ...process.env, ...extra, PATH: path };
}

/** What a program prints, or undefined if it is not there or fails. */
export function ask(command, ...args) {
  const { status, stdout } = spawnSync(command, args, { cwd: root, encoding: "utf8", env: environment() });
  return status === 0 ? stdout.trim() : undefined;
}

/** How a process ended, in words. */
export const ending = (code, signal) => (signal ? `was ended by ${signal}` : `ended with exit code ${code}`);

function ended(child, command) {
  return new Promise((resolve, reject) => {
    child.once("error", (error) => reject(new Problem(`${command} could not be started: ${error.message}`)));
    child.once("close", (code, signal) => resolve({ code, signal }));
  });
}

const lastLine = (text) => text.trimEnd().split("\n").at(-1);

/**
 * Runs a program and keeps what it prints to itself, for the failure if there is one.
 *
 * @param {string[]} commandLine
 * @param {object} [options]
 * @param {(line: string) => void} [options.show] gets each line of its log
 * @param {boolean} [options.showOutput] `show` gets its standard output too, for programs that log there
 * @param {Record<string, string>} [options.env] added to its environment
 * @param {boolean} [options.warnings] shows its log after a success too, where it has warnings
 * @returns {Promise<string>} its standard output
 */
export async function run(
  [command, ...args],
  { show = () => {}, showOutput = false, env = {}, warnings = false } = {},
) {
  const child = spawn(command, args, { cwd: root, env: environment(env), stdio: ["ignore", "pipe", "pipe"] });
  let output = "";
  let log = "";
  child.stdout.setEncoding("utf8").on("data", (text) => {
    output += text;
    if (showOutput) show(lastLine(text));
  });
  child.stderr.setEncoding("utf8").on("data", (text) => {
    log += text;
    show(lastLine(text));
  });
  const { code, signal } = await ended(child, command);
  if (code !== 0) {
    const said = (log || output).replace(/^ +(Compiling|Downloaded|Downloading) .*\n/gm, "").trim();
    const problem = new Problem(`${[command, ...args].join(" ")} ${ending(code, signal)}:\n\n${said}`);
    throw Object.assign(problem, { log });
  }
  if (warnings && /^warning/m.test(log)) console.log(`\n${log.trim()}`);
  return output;
}

/** Runs a program that speaks for itself, and tells whether it succeeded. */
export async function pass([command, ...args], { env = {} } = {}) {
  const child = spawn(command, args, { cwd: root, env: environment(env), stdio: "inherit" });
  const { code } = await ended(child, command);
  return code === 0;
}

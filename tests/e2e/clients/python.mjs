// The libraries for Python, each version in a folder of its own with exactly the packages that a file names.

import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { text } from "node:stream/consumers";
import { projectPath } from "../lib/project.mjs";
import { writeKey } from "../lib/worker.mjs";
import { GaveUp } from "./calls.mjs";

const PREREQUISITE =
  "These tests need Python 3.9 or newer as python3, with pip: https://www.python.org. " +
  'On Debian: "apt-get install python3 python3-pip".';

function python(...args) {
  return execFileSync("python3", args, { encoding: "utf8", stdio: ["ignore", "pipe", "pipe"] });
}

/** Where the packages of a requirements file are, installed unless they are there already. */
export function installed(requirements, options = []) {
  const file = projectPath(`tests/e2e/clients/python/${requirements}.txt`);
  const folder = projectPath(`.tools/python-${requirements}`);
  // Written last, so an installation that was cut short does not count.
  const record = `${folder}/requirements.txt`;
  if (existsSync(record) && readFileSync(record, "utf8") === readFileSync(file, "utf8")) return folder;

  try {
    python("-m", "pip", "--version");
  } catch (error) {
    throw new Error(`${PREREQUISITE}\n${error.stderr ?? error.message}`);
  }
  rmSync(folder, { recursive: true, force: true });
  const quiet = ["--quiet", "--disable-pip-version-check", "--no-input", "--root-user-action=ignore"];
  // The file is complete: nothing that it does not name is installed.
  python("-m", "pip", "install", ...quiet, "--no-deps", ...options, "--target", folder, "--requirement", file);
  writeFileSync(record, readFileSync(file));
  return folder;
}

/** What a Python program needs to find the packages of a requirements file. */
export function pythonEnvironment(requirements) {
  return { ...process.env, PYTHONPATH: installed(requirements), PYTHONDONTWRITEBYTECODE: "1" };
}

function inPython(id, name, requirements, settings = {}) {
  const [library, version] = requirements.split("-");
  return {
    id,
    name,
    version,
    retries: "all",
    /** Has its packages installed, which may take a while. */
    prepare: () => pythonEnvironment(requirements),
    async send({ host }, calls) {
      const program = projectPath("tests/e2e/clients/python/client.py");
      const child = spawn("python3", [program], {
        env: pythonEnvironment(requirements),
        stdio: ["pipe", "pipe", "inherit"],
      });
      const said = Promise.all([text(child.stdout), once(child, "exit")]);
      child.stdin.end(JSON.stringify({ module: `${library}.analytics`, host, writeKey, calls, settings }));
      return {
        async finish() {
          const [errors, [code]] = await said;
          if (code !== 0) throw new Error(`${program} has ended with exit code ${code}`);
          if (JSON.parse(errors).length > 0) throw new GaveUp(JSON.parse(errors));
        },
      };
    },
  };
}

export const pythonClients = [
  inPython("python-2-4", "analytics-python", "segment-2.4.0"),
  inPython("python-2-4-gzip", "analytics-python", "segment-2.4.0", { gzip: true }),
  inPython("python-2-2", "analytics-python", "segment-2.2.3"),
  inPython("python-rudderstack", "RudderStack, Python", "rudderstack-2.1.9"),
];

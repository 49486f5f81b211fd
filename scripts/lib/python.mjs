// What the tests have in Python: client libraries, and the receivers of OTLP. Each version has a folder of its own with
// exactly the packages that a file names.

import { existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Problem, step } from "./console.mjs";
import { ask, environment, inProject, run, toolsDirectory } from "./process.mjs";

const REQUIREMENTS = "tests/e2e/clients/python";
const PREREQUISITE =
  "The tests need Python 3.9 or newer as python3, with pip: https://www.python.org. " +
  'On Debian: "apt-get install python3 python3-pip".';

/** What pip is told beside the file. */
const OPTIONS = {
  // Built for one version of Python, of which it uses nothing.
  "rotel-0.0.1a15": ["--only-binary=:all:", "--implementation", "cp", "--python-version", "3.11"],
};

const fileOf = (requirements) => inProject(REQUIREMENTS, `${requirements}.txt`);
const folderOf = (requirements) => join(toolsDirectory, `python-${requirements}`);
/** Written last, so an installation that was cut short does not count. */
const recordOf = (requirements) => join(folderOf(requirements), "requirements.txt");

function isInstalled(requirements) {
  const record = recordOf(requirements);
  return existsSync(record) && readFileSync(record, "utf8") === readFileSync(fileOf(requirements), "utf8");
}

/** The folder of packages that are there already: a test installs nothing and says nothing. */
export function pythonPackages(requirements) {
  if (isInstalled(requirements)) return folderOf(requirements);
  throw new Problem(`The Python packages of ${requirements} are missing; "npm test" installs them.`);
}

/** What a Python program needs to find the packages of a requirements file. */
export function pythonEnvironment(requirements) {
  return environment({ PYTHONPATH: pythonPackages(requirements), PYTHONDONTWRITEBYTECODE: "1" });
}

/** Installs whatever the tests want of Python, unless it is there. */
export async function installPythonPackages() {
  const files = readdirSync(inProject(REQUIREMENTS)).filter((name) => name.endsWith(".txt"));
  const wanted = files.map((name) => name.slice(0, -".txt".length)).filter((name) => !isInstalled(name));
  if (wanted.length === 0) return;
  if (!ask("python3", "-m", "pip", "--version")) throw new Problem(PREREQUISITE);
  const quiet = ["--quiet", "--disable-pip-version-check", "--no-input", "--root-user-action=ignore"];
  await step("Python packages for the tests, by pip", async (show) => {
    for (const name of wanted) {
      show(name);
      rmSync(folderOf(name), { recursive: true, force: true });
      // The file is complete: nothing that it does not name is installed.
      const options = ["--no-deps", ...(OPTIONS[name] ?? []), "--target", folderOf(name)];
      await run(["python3", "-m", "pip", "install", ...quiet, ...options, "--requirement", fileOf(name)]);
      writeFileSync(recordOf(name), readFileSync(fileOf(name)));
    }
  });
}

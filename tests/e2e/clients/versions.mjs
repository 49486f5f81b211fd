// Which versions of the clients the lock file has brought.

import { readFileSync } from "node:fs";
import { projectPath } from "../lib/project.mjs";

/** The version of a package in `node_modules`; an alias has that of the package behind it. */
export function installedVersion(name) {
  return JSON.parse(readFileSync(projectPath(`node_modules/${name}/package.json`), "utf8")).version;
}

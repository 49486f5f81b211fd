// Where things are, seen from the tests.

import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

/** The absolute path of a file of the project, from its path below the project's root. */
export function projectPath(path) {
  return fileURLToPath(new URL(`../../../${path}`, import.meta.url));
}

/** The Worker's version, which stands in the `User-Agent` of what it sends. */
export const version = /^version = "([^"]+)"$/m.exec(readFileSync(projectPath("Cargo.toml"), "utf8"))[1];

// Paths and version of the project.

import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

/** Returns the absolute path of a file, from its path below the project's root. */
export function projectPath(path) {
  return fileURLToPath(new URL(`../../../${path}`, import.meta.url));
}

/** Version of the Worker, which is part of its `User-Agent`. */
export const version = /^version = "([^"]+)"$/m.exec(readFileSync(projectPath("Cargo.toml"), "utf8"))[1];

// Which versions of the clients the lock files have brought.

import { readFileSync } from "node:fs";
import { projectPath } from "../lib/project.mjs";

const read = (path) => readFileSync(projectPath(path), "utf8");

/** The version of a package in `node_modules`; an alias has that of the package behind it. */
export function installedVersion(name) {
  return JSON.parse(read(`node_modules/${name}/package.json`)).version;
}

/** The version of a library that a program of `tests/compiled` is built with, by how its lock file names it. */
function lockedVersion(file, pattern) {
  const found = pattern.exec(read(`tests/compiled/${file}`));
  if (!found) throw new Error(`no ${pattern} in ${file}`);
  return found[1];
}

/** A module of Go's. */
export const goVersion = (program, module) =>
  lockedVersion(`${program}/go.mod`, new RegExp(`^\\t${module.replaceAll(".", "\\.")} v(\\S+)$`, "m"));

/** An artifact of Maven's, by the group. */
export const javaVersion = (program, group) =>
  lockedVersion(
    `${program}/pom.xml`,
    new RegExp(`<groupId>${group.replaceAll(".", "\\.")}</groupId>\\s*<artifactId>.+</artifactId>\\s*<version>(.+)</`),
  );

/** A crate. */
export const crateVersion = (program, crate) =>
  lockedVersion(`${program}/Cargo.lock`, new RegExp(`^name = "${crate}"\nversion = "(.+)"$`, "m"));

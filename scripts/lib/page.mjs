// The operator's page among the static assets: its modules in one file, its styles in another.

import { copyFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { inProject } from "./process.mjs";

const OPERATOR = "page/operator";
const SHARED = "page/shared";

/**
 * Puts the operator's page among the static assets of a build.
 *
 * @param {string} buildDirectory where the build is made, from the project's root
 */
export async function copyPage(buildDirectory) {
  // Only now: on a fresh clone this file is read before anything is installed.
  const { build } = await import("esbuild");
  const target = inProject(buildDirectory, "assets/operator");
  rmSync(target, { recursive: true, force: true });
  await build({
    entryPoints: ["app.js", "styles.css"].map((name) => inProject(OPERATOR, name)),
    outdir: join(target, "assets"),
    bundle: true,
    minify: true,
    format: "esm",
    target: ["chrome120", "firefox121", "safari17"],
    logLevel: "warning",
  });
  copyFileSync(inProject(OPERATOR, "index.html"), join(target, "index.html"));
  copyFileSync(inProject(SHARED, "icon.svg"), join(target, "assets", "icon.svg"));
}

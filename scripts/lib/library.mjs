// analytics.js as the Worker serves it: the npm package's own script, told where it came from, and the parts that it loads
// when a page needs them.

import { copyFileSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { inProject } from "./process.mjs";

const PACKAGE = "node_modules/@segment/analytics-next/dist/umd";
const PREFIX = "scripts/lib/library-prefix.js";

/** What the build is made of beside the Worker: when one of these changes, it is made again. */
export const LIBRARY_SOURCES = ["scripts/lib/library.mjs", PREFIX];

/**
 * Each place of the library that names a host, how often it is there, and what takes its place: `edge` is what the prefix
 * has found out.
 */
const HOSTS = [
  // It would look through all scripts of the page for an address of this form, and take another one's.
  [String.raw`/(https:\/\/.*)\/analytics\.js\/v1\/(?:.*?)\/(?:platform|analytics.*)?/`, 1, "/(?!)/"],
  ['"https://cdn.segment.com"', 1, "edge.base"],
  ['"https://cdn.segment.com/analytics-next/bundles/"', 1, '(edge.base+"/analytics-next/bundles/")'],
  ['"https://cdn.segment.com/analytics.js/v1/"', 1, '(edge.base+"/analytics.js/v1/")'],
  // Where the settings say nothing else, as when there are none for an unknown write key.
  ['"api.segment.io/v1"', 1, "edge.api"],
  ['"https"', 3, "edge.protocol"],
  // Internet Explorer 11 and its contemporaries have to do without.
  ['"https://cdnjs.cloudflare.com/ajax/libs/babel-polyfill/7.7.0/polyfill.min.js"', 1, '"data:text/javascript,"'],
];

/** What may still look like a host: a link in a warning, and a pattern that is compared with what a page names itself. */
const HARMLESS = /https:\/\/(segment\.com\/docs\/|cdn\.segment\.\(com\|build\))/g;

/**
 * The parts that no settings of the Worker's ask for and that would ask others: the players of videos, which speak with
 * Vimeo and Google.
 */
const LEFT_OUT = /^(legacyVideos|407)\.bundle\./;

/** Replaces what names a host, and makes sure that none is left. */
function told(library) {
  for (const [named, times, instead] of HOSTS) {
    const parts = library.split(named);
    if (parts.length !== times + 1)
      throw new Error(`analytics.js names ${named} ${parts.length - 1} times, not ${times}`);
    library = parts.join(instead);
  }
  const left = /(https?:)?\/\/[\w-]+\.[\w.-]+|\b[\w-]+\.(com|io|net|org|build)\/[\w.-]*/.exec(
    library.replace(HARMLESS, ""),
  );
  if (left) throw new Error(`analytics.js names another host: ${left[0]}`);
  return library;
}

/** The whole script: the prefix and the library in one function, so that no page sees what the prefix names. */
export async function library() {
  // Only now: on a fresh clone this file is read before anything is installed.
  const { transform } = await import("esbuild");
  const prefix = await transform(readFileSync(inProject(PREFIX), "utf8"), { minify: true, target: "es5" });
  const packaged = readFileSync(inProject(PACKAGE, "standalone.js"), "utf8").replace(
    /\n\/\/# sourceMappingURL=.*\s*$/,
    "",
  );
  return `!function(){${prefix.code.trim()}${told(packaged)}}();\n`;
}

/** The names of the library's lazy parts. Each has a hash of its content in it. */
export function chunks() {
  return readdirSync(inProject(PACKAGE)).filter((name) => /\.bundle\.\w+\.js$/.test(name) && !LEFT_OUT.test(name));
}

/**
 * Puts the library and its parts among the static assets of a build.
 *
 * @param {string} buildDirectory where the build is made, from the project's root
 */
export async function copyLibrary(buildDirectory) {
  const assets = inProject(buildDirectory, "assets");
  const bundles = join(assets, "analytics-next/bundles");
  // Parts of another version would be served for ever.
  rmSync(bundles, { recursive: true, force: true });
  mkdirSync(bundles, { recursive: true });
  writeFileSync(join(assets, "analytics.min.js"), await library());
  for (const name of chunks()) copyFileSync(inProject(PACKAGE, name), join(bundles, name));
}

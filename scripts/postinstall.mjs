// Runs after `npm ci` and `npm install`: puts the Node of package.json, which Wrangler needs, where npm scripts and npx
// look first. npm 10 loses that link as it discards the packages of the other platforms: all have one of that name.

import { existsSync, lstatSync, readFileSync, symlinkSync } from "node:fs";
import { main } from "./lib/console.mjs";
import { inProject } from "./lib/process.mjs";

await main(() => {
  const { optionalDependencies } = JSON.parse(readFileSync(inProject("package.json"), "utf8"));
  const installed = Object.keys(optionalDependencies).find((name) => existsSync(inProject("node_modules", name)));
  const link = inProject("node_modules", ".bin", "node");

  if (installed && !lstatSync(link, { throwIfNoEntry: false })) symlinkSync(`../${installed}/bin/node`, link);
});

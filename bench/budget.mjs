// Size of the deployed Worker: its script and WebAssembly, by gzip at its best. It is reported and never fails: the
// platform allows megabytes, and visitors wait for the start-up, which `npm run bench -- startup` measures.

import { readFileSync } from "node:fs";
import { gzipSync } from "node:zlib";

/** Total size in bytes above which the report asks for a look at what was added. */
export const NOTABLE = 400_000;

/** Returns the compressed size of each deployed file, in bytes. */
export function sizes() {
  const packed = (file) => gzipSync(readFileSync(new URL(`../build/${file}`, import.meta.url)), { level: 9 }).length;
  const script = packed("index.js");
  const wasm = packed("index_bg.wasm");
  return { script, wasm, total: script + wasm };
}

if (process.argv[1] === import.meta.filename) {
  const { script, wasm, total } = sizes();
  console.log(`build/, gzip -9: index.js ${script} + index_bg.wasm ${wasm} = ${total} bytes`);
  if (total > NOTABLE) console.warn(`Warning: that is more than ${NOTABLE} bytes. What has come in?`);
}

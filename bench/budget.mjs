// How large what is deployed is: the script and its WebAssembly, packed as tightly as gzip packs. It is told and never
// fails: the platform allows megabytes, and what a visitor waits for is the start, which `npm run bench -- startup` has.

import { readFileSync } from "node:fs";
import { gzipSync } from "node:zlib";

/** So many bytes of both together that somebody should look what has come in. */
export const NOTABLE = 400_000;

/** The packed size of each deployed file, in bytes. */
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

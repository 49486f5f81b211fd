// What is deployed stays small: the script and its WebAssembly, packed as tightly as gzip packs.

import { readFileSync } from "node:fs";
import { gzipSync } from "node:zlib";

/** Most bytes of both together. */
export const BUDGET = 100_000;

/** The packed size of each deployed file, in bytes. */
export function sizes() {
  const packed = (file) => gzipSync(readFileSync(new URL(`../build/${file}`, import.meta.url)), { level: 9 }).length;
  const script = packed("index.js");
  const wasm = packed("index_bg.wasm");
  return { script, wasm, total: script + wasm };
}

if (process.argv[1] === import.meta.filename) {
  const { script, wasm, total } = sizes();
  console.log(`build/, gzip -9: index.js ${script} + index_bg.wasm ${wasm} = ${total} bytes, limit ${BUDGET}`);
  if (total > BUDGET) {
    console.error(`That is ${total - BUDGET} bytes too many.`);
    process.exitCode = 1;
  }
}

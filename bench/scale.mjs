// Days of up to a billion events, simulated natively: runs `benches/scale.rs`, which prints the table.

import { run } from "../scripts/lib/process.mjs";

/** Runs the simulation and returns its table. */
export async function scale() {
  const said = await run(["cargo", "bench", "--locked", "--bench", "scale"]);
  return { text: said.slice(said.indexOf("| |")).trim() };
}

// A library that is not one of JavaScript's: a program makes the calls that its standard input describes, and prints the
// errors that the library has told of as a JSON list, once everything is sent or given up.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { text } from "node:stream/consumers";
import { compiledCommand } from "../../../scripts/lib/compiled.mjs";
import { writeKey } from "../lib/worker.mjs";
import { GaveUp } from "./calls.mjs";

/**
 * Has a program make calls.
 *
 * @param {string[]} command
 * @param {{ host: string, calls: import("./calls.mjs").Call[], settings: object }} task and what else the program wants
 * @param {Record<string, string | undefined>} [env]
 */
export async function makeCalls([command, ...args], task, env = process.env) {
  const child = spawn(command, args, { env, stdio: ["pipe", "pipe", "inherit"] });
  const said = Promise.all([text(child.stdout), once(child, "exit")]);
  child.stdin.end(JSON.stringify({ writeKey, ...task }));
  return {
    async finish() {
      const [errors, [code]] = await said;
      if (code !== 0) throw new Error(`${command} has ended with exit code ${code}`);
      if (JSON.parse(errors).length > 0) throw new GaveUp(JSON.parse(errors));
    },
  };
}

/** What sends by a program of `tests/compiled`, with a library that it knows by this name. */
export const byCompiled =
  (program, library, settings = {}) =>
  ({ host }, calls) =>
    makeCalls(compiledCommand(program), { library, host, calls, settings });

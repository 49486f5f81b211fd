// Processes around the measured one.

import { fork } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";

class Neighbour {
  #process;

  constructor(file, args = []) {
    this.#process = fork(fileURLToPath(new URL(file, import.meta.url)), args, {
      stdio: ["ignore", "inherit", "inherit", "ipc"],
    });
  }

  async heard() {
    const [message] = await once(this.#process, "message");
    if (message.error) throw new Error(message.error);
    return message;
  }

  ask(message) {
    const heard = this.heard();
    this.#process.send(message);
    return heard;
  }

  async stop() {
    this.#process.disconnect();
    await once(this.#process, "exit");
  }
}

/** Starts the mock of Librato. */
export async function startSink() {
  const sink = new Neighbour("sink.mjs");
  const { port } = await sink.heard();
  return {
    url: `http://127.0.0.1:${port}`,
    /** Returns the requests, and the bytes of their bodies, since the last call. */
    counted: () => sink.ask({}),
    stop: () => sink.stop(),
  };
}

/** Starts a process that watches how long another one waits for a processor. */
export function startWatch(pid) {
  const watch = new Neighbour("watch.mjs", [String(pid)]);
  return {
    /** Returns for how many milliseconds of each span it has waited; `NaN` where that is unknown. */
    waited: async (spans) => (await watch.ask(spans)).waits.map((waited) => waited ?? Number.NaN),
    stop: () => watch.stop(),
  };
}

/** Starts the load generator. */
export function startLoad() {
  const load = new Neighbour("load.mjs");
  return {
    /** Sets the URL and the requests of a named target. */
    aim: (id, target) => load.ask({ id, target }),
    /** Sends requests for a time: one after another on each connection, or at a rate. */
    run: (id, millis, rate) => load.ask({ id, millis, rate }),
    /** Sends a number of requests, one after another on each connection. */
    send: (id, count) => load.ask({ id, count }),
    stop: () => load.stop(),
  };
}

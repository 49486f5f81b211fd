// The processes around the one that is measured.

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

/** Where everything is sent to. */
export async function startSink() {
  const sink = new Neighbour("sink.mjs");
  const { port } = await sink.heard();
  return {
    url: `http://127.0.0.1:${port}`,
    /** Requests and bytes of bodies since it was asked last. */
    counted: () => sink.ask({}),
    stop: () => sink.stop(),
  };
}

/** Who looks whether a process gets a processor. */
export function startWatch(pid) {
  const watch = new Neighbour("watch.mjs", [String(pid)]);
  return {
    /** For how many milliseconds of each span it was kept waiting; not a number where nobody tells. */
    waited: async (spans) => (await watch.ask(spans)).waits.map((waited) => waited ?? Number.NaN),
    stop: () => watch.stop(),
  };
}

/** Where requests come from. */
export function startLoad() {
  const load = new Neighbour("load.mjs");
  return {
    /** Sets, under a name, where requests go and what they are. */
    aim: (id, target) => load.ask({ id, target }),
    /** Sends them for so long: one after another on each connection, or so many a second. */
    run: (id, millis, rate) => load.ask({ id, millis, rate }),
    /** Sends so many, one after another on each connection. */
    send: (id, count) => load.ask({ id, count }),
    stop: () => load.stop(),
  };
}

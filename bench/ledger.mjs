// A full ledger in workerd: what memory its isolate has, and how soon it answers after it has begun anew.

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { table } from "./lib/figures.mjs";
import { startWorkers } from "./lib/workers.mjs";
import { held } from "./memory.mjs";

/** As `MAX_EVENTS` and what may wait beside them (src/durable/once.rs). */
const DONE = 4_000_000;
const WAITING = 200_000;

/** Most megabytes of WebAssembly memory, of the 128 that an isolate has. */
export const MOST = 100;

/** After so many milliseconds without a question workerd evicts an object. */
const IDLE = 12_000;

/** Asks the ledger as the consumer does (src/durable/once/wire.rs). */
const FILL = `
  import { WorkerEntrypoint } from "cloudflare:workers";

  /** Most events of a question. */
  const MOST = 50_000;

  export class Queue extends WorkerEntrypoint {}

  /** Claims so many new events, and tells that they are done. */
  async function claim(ask, count, isDone) {
    const begin = (letter, length) => {
      const bytes = new Uint8Array(length);
      bytes[0] = letter.charCodeAt();
      new DataView(bytes.buffer).setUint32(1, count, true);
      return bytes;
    };
    const claims = begin("c", 5 + 20 * count);
    for (let at = 5; at < claims.length; at += 65_520) crypto.getRandomValues(claims.subarray(at, at + 65_520));
    await ask(claims);
    if (!isDone) return;
    const done = begin("d", 6 + 12 * count);
    for (let event = 0; event < count; event += 1) {
      done.set(claims.subarray(5 + 20 * event, 17 + 20 * event), 5 + 12 * event);
    }
    await ask(done);
  }

  export default {
    async fetch(request, { ONCE }) {
      const { searchParams } = new URL(request.url);
      const name = \`once-\${searchParams.get("shard")}\`;
      const ask = async (body) => {
        const answer = await ONCE.getByName(name).fetch("https://object.invalid/", { method: "POST", body });
        if (!answer.ok) throw new Error(\`the ledger answers \${answer.status}\`);
        return answer.arrayBuffer();
      };
      for (const [kind, isDone] of [["done", true], ["waiting", false]]) {
        for (let left = Number(searchParams.get(kind)); left > 0; left -= MOST) {
          await claim(ask, Math.min(MOST, left), isDone);
        }
      }
      const stats = new DataView(await ask("s"), 1);
      const [tracked, pending] = [0, 8].map((at) => Number(stats.getBigUint64(at, true)));
      return Response.json({ done: tracked - pending, waiting: pending });
    },
  };
`;

/**
 * Measures what memory the isolate has: with a full ledger, when half of it is new, when its object has left the memory
 * and comes back, with those of other objects beside it, and begun anew.
 *
 * @returns {Promise<{ label: string, done: number, waiting: number, millis: number, memory: number, process: number }[]>}
 *   what the object remembers, after how many milliseconds it answered, and megabytes
 */
export async function measure() {
  const storage = mkdtempSync(join(tmpdir(), "librato-edge-ledger-"));
  const options = { librato: "https://librato.invalid", names: ["rust"], durable: true, consumed: true, queue: FILL };
  const started = () => startWorkers({ ...options, storage, inspected: true });
  const rows = [];
  const look = async (label, workers, { shard = 0, done: more = 0, waiting: wait = 0 } = {}) => {
    const began = performance.now();
    const answer = await fetch(`${workers.urls.queue}/?shard=${shard}&done=${more}&waiting=${wait}`);
    const millis = performance.now() - began;
    const { done, waiting } = await answer.json();
    const [, , ...kilobytes] = await held(workers);
    const [memory, process] = kilobytes.map((size) => Math.round(size / 1024));
    rows.push({ label, done, waiting, millis: Math.round(millis), memory, process });
  };
  const during = async (use) => {
    const workers = await started();
    try {
      await use(workers);
    } finally {
      await workers.stop();
    }
  };
  try {
    await during(async (workers) => {
      await look("empty", workers);
      const full = { done: DONE, waiting: WAITING };
      await look("full", workers, full);
      await look("full, half of it new", workers, { done: DONE / 2, waiting: WAITING / 2 });
      await new Promise((resolve) => setTimeout(resolve, IDLE));
      await look("evicted, and asked again", workers);
      await look("another beside it, full", workers, { shard: 1, ...full });
      await look("again the first", workers);
      await look("a third", workers, { shard: 2, ...full });
    });
    await during((workers) => look("begun anew", workers));
  } finally {
    rmSync(storage, { recursive: true, force: true });
  }
  return rows;
}

/** Measures and returns the table. */
export async function ledger() {
  const rows = await measure();
  const memory = Math.max(...rows.map((row) => row.memory));
  const head = ["a ledger's object", "done", "waiting", "answers after, ms", "WebAssembly memory, MB", "process, MB"];
  const summary = { what: "memory of a full ledger", figure: `${memory} MB`, value: memory, target: MOST };
  return { text: table(head, rows.map(Object.values)), summary: [{ ...summary, means: `at most ${MOST} MB` }] };
}

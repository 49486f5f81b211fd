// Memory of an isolate: after 10,000 requests it no longer grows.

import { headers, workloads } from "./cpu.mjs";
import { table } from "./lib/figures.mjs";
import { Inspector } from "./lib/inspector.mjs";
import { startLoad, startSink } from "./lib/outside.mjs";
import { memoryOf } from "./lib/usage.mjs";
import { startWorkers } from "./lib/workers.mjs";

/** Tolerated difference of the heap between two readings, in kilobytes: compiled code and caches of the engine. */
const SLACK = 256;
const STOPS = [10_000, 25_000, 50_000, 100_000];

/** Sends 100,000 requests to the Worker, reads its memory in between, and returns the table. */
export async function memory() {
  const sink = await startSink();
  const load = startLoad();
  const workers = await startWorkers({ librato: sink.url, names: ["rust"], inspected: true });
  try {
    const { path, bodies } = workloads.single;
    await load.aim("rust", { path, bodies: bodies(), headers, connections: 8, url: workers.urls.rust });
    let sent = 0;
    const rows = [];
    for (const stop of STOPS) {
      sent += (await load.send("rust", stop - sent)).requests;
      rows.push([sent, ...(await held(workers))]);
    }
    const [first, last] = [rows[0], rows.at(-1)];
    const grown = (column) => last[column] - first[column];
    const value = Math.max(grown(1), 0) + grown(3);
    return {
      text: table(["requests", "V8 heap, KB", "buffers, KB", "WebAssembly memory, KB", "process, KB"], rows),
      summary: [
        {
          what: "memory after 100,000 requests, beyond that after 10,000",
          figure: `${grown(1)} KB heap, ${grown(3)} KB WebAssembly, ${grown(4)} KB process`,
          value,
          target: SLACK,
          means: "no growth",
        },
      ],
    };
  } finally {
    await workers.stop();
    await load.stop();
    await sink.stop();
  }
}

/** Returns the memory after garbage collection. The inspector is attached only then, as it retains logged values. */
export async function held({ inspector: host, pid, urls }) {
  const inspector = await Inspector.of(host, "rust");
  // workerd handles messages of the inspector only together with other work.
  const awake = setInterval(() => fetch(`${urls.rust}/health`).catch(() => {}), 50);
  try {
    for (let times = 0; times < 3; times += 1) await inspector.send("HeapProfiler.collectGarbage");
    await inspector.send("Runtime.enable");
    const { usedSize, backingStorageSize = 0 } = await inspector.send("Runtime.getHeapUsage");
    const { result: prototype } = await inspector.send("Runtime.evaluate", {
      contextId: inspector.context,
      expression: "WebAssembly.Memory.prototype",
    });
    const { objects } = await inspector.send("Runtime.queryObjects", { prototypeObjectId: prototype.objectId });
    const { result: pages } = await inspector.send("Runtime.callFunctionOn", {
      objectId: objects.objectId,
      functionDeclaration: "function () { return this.reduce((sum, { buffer }) => sum + buffer.byteLength, 0); }",
      returnByValue: true,
    });
    const kilobytes = (bytes) => Math.round(bytes / 1024);
    return [kilobytes(usedSize), kilobytes(backingStorageSize), kilobytes(pages.value), memoryOf(pid)];
  } finally {
    clearInterval(awake);
    inspector.close();
  }
}

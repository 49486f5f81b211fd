// What the platform calls, in front of what worker-build makes. Its one job is the answer when the module has stopped:
// a call that a panic cuts off never settles its promise, nor do those beside it, since panics abort
// (https://github.com/cloudflare/workers-rs/issues/166).

import Worker, { Once, Operator, SetAside } from "librato_edge";

export { Once, Operator, SetAside };

/** By its `criticalError`, worker-build's script knows that the module must be instantiated anew (worker, init.rs). */
const state = globalThis.__worker_init_state;
if (state?.criticalError !== false) throw new Error("this `worker` re-initialises in another way");

/**
 * The executor of wasm-bindgen asks for a microtask each time that something has happened, several times a request. The
 * platform's own function for it wraps what it is given, which costs a single event a tenth of its CPU time.
 */
const settled = Promise.resolve();
globalThis.queueMicrotask = (task) => {
  settled.then(() => {
    try {
      task();
    } catch (error) {
      reportError(error);
    }
  });
};

/** What ends the calls that are under way, each with its own promise. */
const open = new Set();

const guarded = (promise) =>
  new Promise((resolve, reject) => {
    const ended = (end) => (value) => {
      open.delete(reject);
      end(value);
    };
    open.add(reject);
    promise.then(ended(resolve), ended(reject));
  });

/** What comes through WebAssembly and is caught nowhere has left the module half-way: it begins anew. */
addEventListener("error", ({ error }) => {
  // The places alone: a message may quote a request.
  const places = String(error?.stack).match(/^\s+at .+/gm) ?? [];
  if (!places.some((place) => place.includes("wasm:"))) return;
  const told = places.slice(0, 9).map((place) => place.trim());
  if (error.name === "Panic") told.unshift(error.message);
  console.error(JSON.stringify({ event: "stop", trouble: `the module stopped and begins anew: ${told.join(", ")}` }));
  beginAnew();
  for (const reject of open) reject(error);
  open.clear();
});

/** At once, or what was begun would go on in a module that is half-way. worker-build would do it at the next call. */
function beginAnew() {
  const { log } = console;
  // It says so in a line that is no JSON.
  console.log = () => {};
  state.criticalError = true;
  try {
    new Worker();
  } catch {
    // There is no Worker without a context, but the module is looked at before.
    state.criticalError = false;
  } finally {
    console.log = log;
  }
}

/** The answer when the module has stopped: what was asked may or may not have been done. */
function stopped() {
  const message = "the Worker begins anew: send again later";
  const body = JSON.stringify({ success: false, code: "upstream_unavailable", message, error: message });
  const headers = { "Content-Type": "application/json", "Access-Control-Allow-Origin": "*", "Retry-After": "10" };
  return new Response(body, { status: 503, headers });
}

/** Without an instance of the class for each call, and the two proxies around it: they would look whether to begin anew. */
const { fetch, queue } = Worker.prototype;

export default {
  fetch(request, env, ctx) {
    const answer = guarded(fetch.call({ env, ctx }, request)).catch(stopped);
    // A page that closes does not wait for the answer to its beacon. The platform then gives up all that is under way,
    // unless it is waited for (https://developers.cloudflare.com/workers/platform/limits/#duration).
    ctx.waitUntil(answer);
    return answer;
  },
  // What is neither acknowledged nor retried when this fails comes again.
  queue: (batch, env, ctx) => guarded(queue.call({ env, ctx }, batch)),
};

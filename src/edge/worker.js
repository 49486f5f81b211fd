/**
 * What the platform calls. Each call becomes a task of the module, and the objects' state lives in the module.
 */

import * as module from "librato_edge";
import { generation, head, instance, load, run } from "platform";

load(module);

/** The answer when the module has stopped: what was asked may or may not have been done. */
function stopped() {
  const message = "the Worker begins anew: send again later";
  const body = JSON.stringify({ success: false, code: "upstream_unavailable", message, error: message });
  const headers = { "Content-Type": "application/json", "Access-Control-Allow-Origin": "*", "Retry-After": "10" };
  return new Response(body, { status: 503, headers });
}

export default {
  fetch: (request, env) => run((task) => instance.fetch(task, request, env, head(request))).catch(stopped),
  // What is neither acknowledged nor retried when this fails comes again.
  queue: (batch, env) => run((task) => instance.queue(task, batch, env)),
};

/** A Durable Object, whose part in the module is made again when the module begins anew. */
class Part {
  #make;
  #part;
  #since;

  constructor(make) {
    this.#make = make;
  }

  fetch(request) {
    return run((task) => {
      if (this.#since !== generation) {
        this.#part = this.#make();
        this.#since = generation;
      }
      this.#part.fetch(task, request);
    });
  }
}

export class Once extends Part {
  constructor(state) {
    super(() => new module.Once(instance, state));
  }
}

export class SetAside extends Part {
  constructor(state) {
    super(() => new module.SetAside(instance, state));
  }
}

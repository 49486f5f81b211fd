import { $, setText } from "../shared/dom.js";
import { Playground } from "../shared/playground.js";
import { WORKER } from "./api.js";

const isLocal = ["localhost", "127.0.0.1", "[::1]"].includes(location.hostname);

/** The playground of this Worker. A write key is needed first, since the operator's token is none. */
export class TryIt {
  #states = { library: "", worker: "" };

  constructor() {
    const tell = (name) => (_, detail) => {
      this.#states[name] = detail;
      setText($("try-status"), Object.values(this.#states).filter(Boolean).join(" · "));
    };
    const playground = new Playground($("try-it"), { library: tell("library"), worker: tell("worker") });
    if (isLocal) $("write-key").value = "local";
    $("key-form").addEventListener("submit", (event) => {
      event.preventDefault();
      // The library is told its write key once; another one needs another page. The token outlives that.
      if ($("write-key").readOnly) {
        location.reload();
        return;
      }
      $("write-key").readOnly = true;
      setText($("key-button"), "Use another key");
      playground.start({ worker: WORKER, writeKey: $("write-key").value.trim(), isConfined: true });
    });
  }
}

import { $, h, setText } from "../shared/dom.js";
import { number, plural, since } from "../shared/format.js";
import { step } from "./api.js";

/** The ids of one step: the Worker takes up to 500, and progress is to be seen. */
const IDS = 100;

/** How old a time the destination still takes, in seconds. */
const MAX_AGE = { librato: 7200, otlp: 3600 };

/**
 * Something to be done with letters: with these, or with all of a reason.
 * @typedef {object} Work
 * @property {"replay" | "delete"} what
 * @property {string} [reason]
 * @property {number[]} [ids]
 * @property {number} count
 * @property {number} oldest epoch seconds
 */

/** The dialog that asks once more, and then shows how far it is. */
export class WorkDialog {
  #dialog = $("work");
  /** @type {Work} */
  #work;
  #state = "asking";
  #done;

  /** @param {() => void} done called after letters have changed */
  constructor(done) {
    this.#done = done;
    $("work-form").addEventListener("submit", (event) => {
      event.preventDefault();
      if (this.#state === "done") this.#dialog.close();
      else this.#run();
    });
    $("work-cancel").addEventListener("click", () => {
      if (this.#state === "running") this.#state = "stopping";
      else this.#dialog.close();
    });
    this.#dialog.addEventListener("close", () => {
      if (this.#state === "running") this.#state = "stopping";
    });
  }

  /** @param {Work} work @param {string} destination "librato" or "otlp" */
  open(work, destination) {
    this.#work = work;
    this.#state = "asking";
    const { what, count, reason, oldest } = work;
    const isReplay = what === "replay";
    const all = reason ? "all of this group" : "";
    setText($("work-title"), `${isReplay ? "Replay" : "Delete"} ${plural(count, "measurement")}${all && ` (${all})`}?`);
    $("work-text").replaceChildren(...(isReplay ? replayText(destination) : deleteText()));
    $("work-time").hidden = !isReplay;
    const age = Date.now() / 1000 - oldest;
    $("work-now").checked = age > MAX_AGE[destination];
    if (isReplay && age > MAX_AGE[destination]) {
      const hours = MAX_AGE[destination] / 3600;
      const text = `The oldest came ${since(oldest)}, and the destination takes nothing older than ${plural(hours, "hour")}.`;
      $("work-text").append(h("p", { class: "notice" }, text));
    }
    $("work-progress").hidden = true;
    setText($("work-status"), "");
    this.#buttons(isReplay ? "Replay" : "Delete", "Cancel");
    $("work-go").className = isReplay ? "primary" : "danger";
    this.#dialog.showModal();
    $("work-go").focus();
  }

  #buttons(go, cancel) {
    setText($("work-go"), go);
    setText($("work-cancel"), cancel);
    $("work-go").disabled = this.#state === "running";
    $("work-cancel").hidden = cancel === "";
  }

  async #run() {
    const { what, count } = this.#work;
    const verb = what === "replay" ? "sent again" : "deleted";
    this.#state = "running";
    this.#buttons(what === "replay" ? "Replaying…" : "Deleting…", "Stop");
    $("work-progress").hidden = false;
    $("work-time").hidden = true;
    $("work-bar").max = count;
    $("work-bar").value = 0;
    let changed = 0;
    try {
      for await (const some of this.#steps()) {
        changed += some;
        $("work-bar").value = changed;
        setText($("work-status"), `${number(changed)} of ${number(count)} ${verb}`);
        this.#done();
        if (this.#state === "stopping") break;
      }
      const rest = Math.max(0, count - changed);
      const left = rest > 0 && this.#state !== "stopping" ? ` ${number(rest)} could not be, or had gone before.` : "";
      setText($("work-status"), `${this.#state === "stopping" ? "Stopped: " : ""}${number(changed)} ${verb}.${left}`);
      $("work-bar").value = this.#state === "stopping" ? changed : count;
      $("work-go").className = "primary";
      this.#state = "done";
      setText($("work-title"), what === "replay" ? "Sent again" : "Deleted");
      $("work-text").replaceChildren();
      this.#buttons("Close", "");
    } catch (error) {
      setText($("work-status"), `${number(changed)} ${verb}, then it failed: ${error.message}`);
      this.#state = "asking";
      this.#buttons("Try again", "Close");
    }
    this.#done();
    if (this.#dialog.open) $("work-go").focus();
  }

  /** Yields how many letters each step has changed. */
  async *#steps() {
    const { what, reason, ids } = this.#work;
    const time = what === "replay" && $("work-now").checked ? { time: "now" } : {};
    if (ids) {
      for (let at = 0; at < ids.length; at += IDS) {
        yield (await step(what, { ids: ids.slice(at, at + IDS), ...time })).changed;
      }
      return;
    }
    for (let place = {}; ; ) {
      const { changed, left, after, upTo } = await step(what, { reason, ...time, ...place });
      yield changed;
      if (left === 0) return;
      place = { after, upTo };
    }
  }
}

const replayText = (destination) => [
  h("p", null, "They go through the queue once more. Mend what they were refused for first, or they come back here."),
  h(
    "p",
    null,
    h("b", null, "What can count twice: "),
    "each letter counts once, however often its replay is asked for. But ",
    destination === "otlp"
      ? "where the backend had stored a point although it answered otherwise, the point overwrites itself at its own time, and counts a second time at the present one."
      : "where Librato had stored a measurement although it answered otherwise, it counts a second time: Librato cannot tell that it is the same.",
  ),
];

const deleteText = () => [h("p", null, "They are forgotten for good, and never counted.")];

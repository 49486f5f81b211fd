import { $, h, setText, throttled } from "../shared/dom.js";
import { clock, compact, number, plural } from "../shared/format.js";
import { FAILED, NOT_MEASURED, REFUSED, reasonOf } from "./reasons.js";

const KEPT = 200;

const BECAME = { measured: "measured", accepted: "not measured", refused: "refused" };

/** The last events, newest first. */
export class Live {
  #list = $("live-list");
  /** @type {{event: any, text: string, item: HTMLElement}[]} oldest first */
  #shown = [];
  /** @type {any[]} what has come while the list was paused */
  #held = [];
  #paused = false;
  /** Number of the newest event that is known. */
  latest = 0;
  #announce = throttled(() => setText($("live-announce"), `${plural(this.#shown.length, "event")} in the list`), 5000);

  constructor() {
    $("live-filter").addEventListener("input", () => this.#filter());
    for (const input of outcomes()) input.addEventListener("change", () => this.#filter());
    $("live-pause").addEventListener("click", () => {
      this.#paused = !this.#paused;
      $("live-pause").setAttribute("aria-pressed", String(this.#paused));
      if (!this.#paused) this.#add(this.#held.splice(0));
      this.#tell();
    });
  }

  /** The events of the list, oldest first. */
  get events() {
    return [...this.#shown.map(({ event }) => event), ...this.#held];
  }

  /** Shows only what a link asks for: an outcome, or a code. @param {string} wanted */
  only(wanted) {
    const isOutcome = Object.hasOwn(BECAME, wanted);
    for (const input of outcomes()) input.checked = input.value === (isOutcome ? wanted : "");
    $("live-filter").value = isOutcome ? "" : wanted;
    this.#filter();
  }

  /** @param {any} heard as the API tells */
  show({ enabled, latest, events }) {
    this.latest = Math.max(this.latest, latest);
    $("live-notice").hidden = enabled;
    setText(
      $("live-notice"),
      enabled ? "" : "The live list is switched off by LIVE_EVENTS: the figures are all there is.",
    );
    const newest = this.events.at(-1)?.number ?? 0;
    const fresh = events.filter(({ number: own }) => own > newest);
    if (this.#paused) this.#held = [...this.#held, ...fresh].slice(-KEPT);
    else this.#add(fresh);
    this.#tell();
  }

  #tell() {
    const held = this.#held.length;
    const label = this.#paused ? `Go on${held ? ` (${number(held)} new)` : ""}` : "Pause";
    setText($("live-pause"), label);
  }

  #add(events) {
    for (const event of events) {
      const item = row(event);
      this.#shown.push({ event, text: textOf(event), item });
      this.#list.prepend(item);
    }
    for (const { item } of this.#shown.splice(0, Math.max(0, this.#shown.length - KEPT))) item.remove();
    this.#filter();
    if (events.length > 0) this.#announce();
  }

  #filter() {
    const wanted = $("live-filter").value.trim().toLowerCase();
    const outcome = outcomes().find(({ checked }) => checked).value;
    let visible = 0;
    for (const { event, text, item } of this.#shown) {
      item.hidden = !text.includes(wanted) || (outcome !== "" && event.outcome !== outcome);
      if (!item.hidden) visible += 1;
    }
    const all = this.#shown.length;
    setText($("live-count"), visible === all ? number(all || "") : `${number(visible)} of ${number(all)}`);
    if (all === 0) setText($("live-count"), "");
    $("live-empty").hidden = visible > 0;
    setText($("live-empty"), all ? "None of the last events matches." : "Waiting for the first event…");
  }
}

const outcomes = () => [...document.querySelectorAll('input[name="outcome"]')];

const textOf = ({ type, name, writeKey, library, code, message, gauge, outcome }) =>
  [type, name, writeKey, library, code, message, gauge?.name, gauge?.source, BECAME[outcome]].join("\n").toLowerCase();

function row(event) {
  const { at, type, name, writeKey, library, outcome, gauge, code, message } = event;
  const tone = { measured: "good", accepted: "", refused: "bad" }[outcome];
  const became = gauge
    ? [
        h("b", null, gauge.name),
        gauge.source !== gauge.name && h("span", { class: "source" }, gauge.source),
        h(
          "span",
          { class: "value", title: `${number(gauge.value)}, at ${clock(gauge.time * 1000)}` },
          compact(gauge.value),
        ),
      ]
    : [h("b", null, code ?? BECAME[outcome]), h("span", { class: "why" }, message ?? why(outcome, code))];
  return h(
    "li",
    { "data-outcome": outcome, "data-code": code, class: tone },
    h("time", { datetime: new Date(at).toISOString() }, clock(at)),
    h("span", { class: "type" }, type),
    h("span", { class: "event", title: name }, name ?? ""),
    h("span", { class: "became" }, h("span", { class: `badge ${tone}` }, BECAME[outcome]), ...became),
    h("span", { class: "library", title: library }, library ?? ""),
    h("code", { class: "key" }, writeKey ?? ""),
  );
}

/** Why nothing came of an event whose message does not say it. */
function why(outcome, code) {
  if (!code) return "";
  if (outcome === "accepted") return reasonOf(NOT_MEASURED, code).what;
  return reasonOf(REFUSED[code] ? REFUSED : FAILED, code).what;
}

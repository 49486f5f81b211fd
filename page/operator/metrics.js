import { $, h, setText } from "../shared/dom.js";
import { ago, compact, number, plural, since } from "../shared/format.js";
import { Spark } from "../shared/spark.js";
import { copyLine } from "./copy.js";

const BARS = 48;

/** The names and sources with most events. */
export class Metrics {
  /** @type {any} */
  #heard = null;
  /** @type {Map<string, any>} rows by name and source: they live on while their numbers change */
  #rows = new Map();

  constructor() {
    for (const id of ["metrics-filter", "metrics-new"]) $(id).addEventListener("input", () => this.#draw());
  }

  /** @param {any} heard as the API tells */
  show(heard) {
    this.#heard = heard;
    const fresh = new Set(heard.metrics.filter(({ isNew }) => isNew).map(({ name }) => name)).size;
    setText($("tally-new"), `${number(fresh)} new`);
    $("tally-new").hidden = fresh === 0;
    if ($("allowed").dataset.line !== heard.allowedEvents) {
      $("allowed").dataset.line = heard.allowedEvents;
      $("allowed").replaceChildren(copyLine(heard.allowedEvents));
    }
    this.#draw();
  }

  #draw() {
    if (!this.#heard) return;
    const { metrics, truncated } = this.#heard;
    const wanted = $("metrics-filter").value.trim().toLowerCase();
    const newOnly = $("metrics-new").checked;
    const shown = metrics.filter(
      ({ name, source, isNew }) => (isNew || !newOnly) && `${name}\n${source}`.toLowerCase().includes(wanted),
    );
    const keys = shown.map(({ name, source }) => JSON.stringify([name, source]));
    for (const [key, row] of this.#rows) {
      if (keys.includes(key)) continue;
      row.item.remove();
      this.#rows.delete(key);
    }
    shown.forEach((metric, index) => {
      const row = this.#rows.get(keys[index]) ?? this.#create(keys[index], metric);
      const list = $("metrics-list");
      if (list.children[index] !== row.item) list.insertBefore(row.item, list.children[index] ?? null);
      row.fresh.hidden = !metric.isNew;
      row.fresh.title = `First seen ${since(metric.firstSeen)}`;
      row.spark.draw(metric.series.map((count, place) => [place, count]).filter(([, count]) => count > 0));
      setText(row.events, compact(metric.events));
      row.events.title = plural(metric.events, "event");
      setText(row.sum, compact(metric.sum));
      row.sum.title = number(metric.sum);
      setText(row.last, ago(metric.lastSeen));
    });
    setText($("metrics-count"), metrics.length ? `${number(metrics.length)}${truncated ? "+" : ""}` : "");
    $("metrics-empty").hidden = shown.length > 0;
    setText($("metrics-empty"), metrics.length ? "None matches." : "No event was measured in the last 24 hours.");
  }

  #create(key, { name, source }) {
    const row = {
      spark: new Spark(BARS),
      fresh: h("span", { class: "badge new" }, "new today"),
      events: h("b", null),
      sum: h("b", null),
      last: h("b", null),
    };
    const figure = (label, value) => h("span", { class: "figure" }, value, h("span", null, label));
    row.item = h(
      "li",
      { "data-metric": name },
      h("span", { class: "name" }, h("b", { title: name }, name), row.fresh, h("span", { title: source }, source)),
      row.spark.element,
      figure("events", row.events),
      figure("sum", row.sum),
      figure("last seen", row.last),
    );
    this.#rows.set(key, row);
    return row;
  }
}

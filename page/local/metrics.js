import { $, animate, h, setText } from "../shared/dom.js";
import { ago, compact, number, plural } from "../shared/format.js";
import { Spark } from "../shared/spark.js";
import { bucketize } from "./buckets.js";
import { WINDOW } from "./series.js";

const FILTER_FROM = 8;
const ROWS = 500;
const SPARK_BARS = 40;
const SPARK_SECONDS = WINDOW / SPARK_BARS;
const SPARK_INTERVAL = 1500;

/** A metric may exist without a measurement. */
const age = ({ lastTime }) => (lastTime === null ? "" : ` · ${ago(lastTime)}`);

/** The list of metrics. Its rows live on while their numbers change, so focus and scroll position stay. */
export class MetricList {
  #root = $("metrics");
  #filter = $("metrics-filter");
  /** @type {Map<string, any>} */
  #rows = new Map();
  #metrics = [];
  #selected = null;
  #series;
  #visible;

  /**
   * @param {import("./series.js").SeriesCache} series
   * @param {(name: string) => void} select
   */
  constructor(series, select) {
    this.#series = series;
    this.#root.addEventListener("click", (event) => {
      const row = event.target.closest("[data-metric]");
      if (row) select(row.dataset.metric);
    });
    this.#filter.addEventListener("input", () => this.update(this.#metrics));
    // Only rows in view are worth asking the server for.
    this.#visible = new IntersectionObserver(
      (entries) => {
        for (const { target, isIntersecting } of entries) {
          const name = target.dataset.metric;
          if (isIntersecting) series.watch(name, "list", SPARK_INTERVAL);
          else series.unwatch(name, "list");
          const row = this.#rows.get(name);
          if (row) row.visible = isIntersecting;
        }
      },
      { root: this.#root, rootMargin: "40px" },
    );
    setInterval(() => this.#tick(), 1000);
  }

  set selected(name) {
    this.#selected = name;
    for (const [metric, row] of this.#rows) row.button.setAttribute("aria-pressed", String(metric === name));
    const item = this.#rows.get(name)?.item;
    if (!item) return;
    // Only within the list: the page must not move under the user.
    const { scrollTop, clientHeight } = this.#root;
    const bottom = item.offsetTop + item.offsetHeight;
    if (item.offsetTop < scrollTop) this.#root.scrollTop = item.offsetTop;
    else if (bottom > scrollTop + clientHeight) this.#root.scrollTop = bottom - clientHeight;
  }

  /** @param {any[]} metrics as in the server's state */
  update(metrics) {
    this.#metrics = metrics;
    const wanted = this.#filter.value.trim().toLowerCase();
    const matching = metrics
      .filter(({ name }) => name.toLowerCase().includes(wanted))
      .sort((a, b) => a.name.localeCompare(b.name));
    const shown = matching.slice(0, ROWS);

    const keep = new Set(shown.map(({ name }) => name));
    for (const [name, row] of this.#rows) {
      if (keep.has(name)) continue;
      this.#visible.unobserve(row.button);
      this.#series.unwatch(name, "list");
      row.item.remove();
      this.#rows.delete(name);
    }
    shown.forEach((metric, index) => {
      const row = this.#rows.get(metric.name) ?? this.#create(metric.name);
      if (this.#root.children[index] !== row.item)
        this.#root.insertBefore(row.item, this.#root.children[index] ?? null);
      setText(row.sum, compact(metric.sum));
      row.sum.title = number(metric.sum);
      setText(row.count, `${compact(metric.count)} ×`);
      row.count.title = plural(metric.count, "measurement");
      row.lastTime = metric.lastTime;
      setText(row.age, age(row));
    });

    setText($("metrics-count"), metrics.length ? number(metrics.length) : "");
    this.#filter.parentElement.hidden = metrics.length < FILTER_FROM && !wanted;
    let note = "";
    if (metrics.length === 0) note = "None yet. The first event creates one.";
    else if (matching.length === 0) note = "No name matches.";
    else if (matching.length > ROWS) note = `${plural(matching.length - ROWS, "more metric")}: use the filter.`;
    setText($("metrics-more"), note);
    $("metrics-more").hidden = note === "";
  }

  #create(name) {
    const row = {
      sum: h("b", null),
      count: h("span", null),
      age: h("span", { "aria-hidden": true }),
      spark: new Spark(SPARK_BARS),
      glow: h("i", { class: "glow" }),
      lastTime: null,
      visible: false,
    };
    row.button = h(
      "button",
      { type: "button", "data-metric": name },
      h("span", { class: "name", title: name }, name),
      row.sum,
      row.spark.element,
      h("span", { class: "meta" }, row.count, row.age),
    );
    row.button.setAttribute("aria-pressed", String(name === this.#selected));
    row.item = h("li", null, row.glow, row.button);
    animate(row.glow, [{ opacity: 1 }, { opacity: 0 }], 1200);
    this.#rows.set(name, row);
    this.#visible.observe(row.button);
    return row;
  }

  /** Shows that something has just arrived. */
  flash(names) {
    for (const name of names) {
      const row = this.#rows.get(name);
      if (row?.visible) animate(row.glow, [{ opacity: 1 }, { opacity: 0 }], 1200);
    }
  }

  /** Draws the sparkline of a metric again: sums over the last ten minutes. */
  changed(name) {
    const row = this.#rows.get(name);
    if (!row) return;
    const end = Math.ceil(Date.now() / 1000 / SPARK_SECONDS) * SPARK_SECONDS;
    const sums = bucketize(this.#series.get(name).values(), end - WINDOW, end, SPARK_SECONDS);
    row.spark.draw([...sums].map(([start, [sum]]) => [(start - end + WINDOW) / SPARK_SECONDS, sum]));
  }

  /** Time passes, even when nothing arrives. */
  #tick() {
    if (document.hidden) return;
    const oldest = Date.now() / 1000 - WINDOW - SPARK_SECONDS;
    for (const [name, row] of this.#rows) {
      setText(row.age, age(row));
      if (row.visible && row.lastTime > oldest) this.changed(name);
    }
  }
}

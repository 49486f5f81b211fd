import { $, h, setText, throttled } from "../shared/dom.js";
import { clock, compact, number, plural } from "../shared/format.js";
import { Plot, swatch, tip } from "../shared/plot.js";
import { bucketize, line } from "./buckets.js";
import { WINDOW } from "./series.js";

/** As many lines as there are colours; the smallest of more sources are drawn as one. */
const COLOURS = 10;
const SOURCE_ROWS = 50;

const UNIT = { 1: "second", 10: "10 s", 60: "minute" };

/** The line chart of one metric, split by source, with the table of its sources below. */
export class Chart {
  #root = $("chart");
  /** @type {Plot} */
  #plot;
  #metric = null;
  #sources = () => new Map();
  #measure = "sum";
  #size = 10;
  /** @type {Map<string, number>} which colour a source keeps for as long as its metric is shown */
  #colours = new Map();
  /** What the table says, so that it is left alone (a selection in it, too) while nothing changes. */
  #described = "";
  #drawn = { points: 0, sources: [] };
  #draw = throttled(() => this.#drawNow());

  /** @param {(name: string) => Map<string, import("./buckets.js").Series>} sources */
  constructor(sources) {
    this.#sources = sources;
    const { echarts } = globalThis;
    if (!echarts) {
      setText(
        $("chart-empty"),
        "The charting library could not be loaded from /vendor/echarts.js. Run “npm ci” and reload.",
      );
      return;
    }
    this.#plot = new Plot(echarts, this.#root, this.#draw);
    this.#plot.chart.on("finished", () => this.#publish());
    // The window moves on even when nothing arrives.
    setInterval(this.#draw, 1000);
  }

  /** @param {any} metric an entry of the server's state, or null */
  show(metric) {
    if (metric?.name !== this.#metric?.name) this.#colours.clear();
    this.#metric = metric;
    for (const { source } of metric?.sources ?? []) this.#colour(source);
    this.#describe();
    this.#draw();
  }

  set measure(measure) {
    this.#measure = measure;
    this.#draw();
  }

  set bucket(size) {
    this.#size = size;
    this.#draw();
  }

  changed() {
    this.#draw();
  }

  #colour(source) {
    if (!this.#colours.has(source)) this.#colours.set(source, this.#colours.size % COLOURS);
    return this.#colours.get(source);
  }

  /** Heading, settings and table of the metric. */
  #describe() {
    const metric = this.#metric;
    const described = JSON.stringify(metric);
    if (described === this.#described) return;
    this.#described = described;
    setText($("metric-title"), metric?.name ?? "No metric yet");
    setText($("metric-settings"), metric ? settings(metric) : "");
    const sources = [...(metric?.sources ?? [])].sort((a, b) => b.count - a.count);
    $("sources").hidden = sources.length === 0;
    const rows = sources
      .slice(0, SOURCE_ROWS)
      .map((source) =>
        h(
          "tr",
          null,
          h("th", { scope: "row" }, swatch(`line-${this.#colour(source.source)}`), source.source),
          ...[source.count, source.sum, source.min, source.max, source.lastValue].map((value) =>
            h("td", { title: number(value) }, compact(value)),
          ),
        ),
      );
    if (sources.length > SOURCE_ROWS)
      rows.push(h("tr", null, h("td", { colspan: 6 }, `and ${plural(sources.length - SOURCE_ROWS, "more source")}`)));
    $("sources")
      .querySelector("tbody")
      .replaceChildren(...rows);
  }

  /** The lines to draw: each source, or the largest ones and the rest together. */
  #lines(from, to) {
    const all = [...this.#sources(this.#metric.name)]
      .map(([source, series]) => ({
        name: source,
        series: [series],
        buckets: bucketize([series], from, to, this.#size),
      }))
      .filter(({ buckets }) => buckets.size > 0);
    if (all.length > COLOURS) {
      const weight = ({ buckets }) => [...buckets.values()].reduce((total, [, count]) => total + count, 0);
      all.sort((a, b) => weight(b) - weight(a));
      const rest = all.splice(COLOURS - 1).flatMap(({ series }) => series);
      // No source has this name, since sources have no spaces.
      all.push({ name: `${rest.length} others`, series: rest, buckets: bucketize(rest, from, to, this.#size) });
    }
    return all.sort((a, b) => a.name.localeCompare(b.name));
  }

  #drawNow() {
    if (!this.#plot || document.hidden) return;
    const size = this.#size;
    const now = Date.now() / 1000;
    // Up to the end of the bucket that is filling, so that a click shows at full width at once.
    const to = Math.floor(now) + size;
    const since = Math.floor(now) - WINDOW;
    const from = since - (since % size);
    const lines = this.#metric ? this.#lines(from, to) : [];
    const average = this.#measure === "average";

    const series = lines.map(({ name, buckets }) => {
      const own = this.#plot.colour(`line-${this.#colour(name)}`);
      // A dot for a single point; consecutive points are shown by the line.
      const alone = (start) => !buckets.has(start - size) && !buckets.has(start + size);
      return {
        id: name,
        name,
        type: "line",
        smooth: 0.3,
        smoothMonotone: "x",
        connectNulls: average,
        symbol: "circle",
        showAllSymbol: true,
        lineStyle: { width: 2, color: own },
        itemStyle: { color: own, borderColor: this.#plot.colour("card"), borderWidth: 1.5 },
        areaStyle: { color: fade(own), opacity: average ? 0 : 1 },
        emphasis: { disabled: true },
        data: line(buckets, from, to, size, this.#measure).map(({ start, value }) => ({
          value: [(start + size / 2) * 1000, value],
          filled: buckets.has(start),
          symbolSize: buckets.has(start) && (average || alone(start)) ? (size === 1 ? 6 : 8) : 0,
        })),
      };
    });

    this.#drawn = {
      metric: this.#metric?.name ?? "",
      points: lines.reduce((total, { buckets }) => total + buckets.size, 0),
      sources: lines.map(({ name }) => name),
    };
    $("chart-empty").hidden = this.#drawn.points > 0;
    setText(
      $("chart-empty"),
      this.#metric ? "Nothing in the last ten minutes." : "Click Track to send the first event.",
    );
    this.#plot.draw({
      series,
      tip: (entries) => this.#tooltip(entries),
      x: {
        min: since * 1000,
        max: to * 1000,
        axisLabel: { formatter: { minute: "{HH}:{mm}", second: "{HH}:{mm}:{ss}", hour: "{HH}:{mm}" } },
      },
      y: {
        min: this.#drawn.points ? null : 0,
        max: this.#drawn.points ? null : 1,
        minInterval: this.#measure === "count" ? 1 : 0,
        axisLabel: { show: this.#drawn.points > 0 },
      },
    });
  }

  #tooltip(entries) {
    const start = entries[0].value[0] - (this.#size / 2) * 1000;
    const time = this.#size === 1 ? clock(start) : `${clock(start)} to ${clock(start + this.#size * 1000)}`;
    const shown = entries.filter(({ data }) => data.filled);
    return tip(
      time,
      shown.map(({ seriesName: name, value }) => ({
        colour: `line-${this.#colour(name)}`,
        name,
        value: number(value[1]),
      })),
    );
  }

  /** Tells assistive technology and tests what is on the canvas now. */
  #publish() {
    const { metric, points, sources } = this.#drawn;
    this.#root.dataset.metric = metric;
    this.#root.dataset.points = String(points);
    this.#root.dataset.sources = sources.join(",");
    const drawn = `${plural(points, "point")} from ${plural(sources.length, "source")}`;
    const label = metric
      ? `${this.#measure} per ${UNIT[this.#size]} of ${metric} over the last ten minutes: ${drawn}`
      : "Chart, empty";
    if (this.#root.getAttribute("aria-label") !== label) this.#root.setAttribute("aria-label", label);
  }
}

/** A light tint that runs out towards the time axis. @param {string} colour as #rrggbb */
function fade(colour) {
  return {
    type: "linear",
    x: 0,
    y: 0,
    x2: 0,
    y2: 1,
    colorStops: [
      { offset: 0, color: `${colour}40` },
      { offset: 1, color: `${colour}00` },
    ],
  };
}

/** How the service treats a metric, in one line. */
function settings({ period, aggregate, summarizeFunction }) {
  return [
    period ? `period ${period} s` : "no period",
    aggregate ? "aggregated by the service" : "not aggregated: of one second the last counts",
    summarizeFunction,
  ].join(" · ");
}

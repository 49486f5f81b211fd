import { bucketize, line } from "./buckets.js";
import { $, h, setText, throttled } from "./dom.js";
import { clock, compact, number, plural } from "./format.js";
import { WINDOW } from "./series.js";

/** As many lines as there are colours; the smallest of more sources are drawn as one. */
const COLOURS = 10;
const SOURCE_ROWS = 50;

const UNIT = { 1: "second", 10: "10 s", 60: "minute" };

/** The line chart of one metric, split by source, with the table of its sources below. */
export class Chart {
  #root = $("chart");
  #echarts;
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
    this.#echarts = echarts.init(this.#root, null, { renderer: "canvas" });
    this.#echarts.on("finished", () => this.#publish());
    new ResizeObserver(() => this.#echarts.resize()).observe(this.#root);
    for (const query of ["(prefers-color-scheme: dark)", "(prefers-contrast: more)"])
      matchMedia(query).addEventListener("change", this.#draw);
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
          h(
            "th",
            { scope: "row" },
            h("i", { class: "swatch", style: `--colour: var(--line-${this.#colour(source.source)})` }),
            source.source,
          ),
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
    if (!this.#echarts || document.hidden) return;
    const size = this.#size;
    const now = Date.now() / 1000;
    // Up to the end of the bucket that is filling, so that a click shows at full width at once.
    const to = Math.floor(now) + size;
    const since = Math.floor(now) - WINDOW;
    const from = since - (since % size);
    const lines = this.#metric ? this.#lines(from, to) : [];
    const style = getComputedStyle(this.#root);
    const colour = (name) => style.getPropertyValue(`--${name}`).trim();
    const average = this.#measure === "average";

    const series = lines.map(({ name, buckets }) => {
      const own = colour(`line-${this.#colour(name)}`);
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
        itemStyle: { color: own, borderColor: colour("card"), borderWidth: 1.5 },
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
    this.#echarts.setOption(
      {
        animation: false,
        textStyle: { fontFamily: style.fontFamily, fontSize: 12, color: colour("muted") },
        grid: { left: 8, right: 16, top: 34, bottom: 8, outerBoundsMode: "same", outerBoundsContain: "axisLabel" },
        legend: {
          type: "scroll",
          top: 0,
          right: 8,
          left: 8,
          itemWidth: 14,
          itemHeight: 8,
          icon: "roundRect",
          textStyle: { color: colour("text") },
          inactiveColor: colour("faint"),
          pageTextStyle: { color: colour("muted") },
          pageIconColor: colour("muted"),
          pageIconInactiveColor: colour("border"),
        },
        tooltip: {
          trigger: "axis",
          confine: true,
          backgroundColor: colour("card"),
          borderColor: colour("border"),
          textStyle: { color: colour("text"), fontSize: 13 },
          axisPointer: { type: "line", lineStyle: { color: colour("faint"), type: "dashed" } },
          formatter: (entries) => this.#tooltip(entries),
        },
        xAxis: {
          type: "time",
          min: since * 1000,
          max: to * 1000,
          axisLine: { lineStyle: { color: colour("border") } },
          axisTick: { show: false },
          axisLabel: {
            color: colour("muted"),
            hideOverlap: true,
            formatter: { minute: "{HH}:{mm}", second: "{HH}:{mm}:{ss}", hour: "{HH}:{mm}" },
          },
          splitLine: { show: false },
        },
        yAxis: {
          type: "value",
          min: this.#drawn.points ? null : 0,
          max: this.#drawn.points ? null : 1,
          minInterval: this.#measure === "count" ? 1 : 0,
          splitNumber: 4,
          axisLabel: { show: this.#drawn.points > 0, color: colour("muted"), formatter: (value) => compact(value) },
          splitLine: { lineStyle: { color: colour("grid") } },
        },
        series,
      },
      { replaceMerge: ["series"] },
    );
  }

  /** Elements, not markup: ECharts would insert a string as HTML. */
  #tooltip(entries) {
    const shown = entries.filter(({ data }) => data.filled);
    const start = entries[0].value[0] - (this.#size / 2) * 1000;
    const time = this.#size === 1 ? clock(start) : `${clock(start)} to ${clock(start + this.#size * 1000)}`;
    return h(
      "div",
      { class: "tip" },
      h("b", null, time),
      ...shown.map(({ seriesName, value }) =>
        h(
          "div",
          null,
          h("i", { class: "swatch", style: `--colour: var(--line-${this.#colour(seriesName)})` }),
          h("span", null, seriesName),
          h("b", null, number(value[1])),
        ),
      ),
      shown.length === 0 && h("div", null, "nothing"),
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

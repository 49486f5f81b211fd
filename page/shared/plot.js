import { h } from "./dom.js";
import { compact } from "./format.js";

/** A chart of ECharts on a canvas, in the colours of the page and as large as its element. */
export class Plot {
  #root;
  #chart;

  /**
   * @param {any} echarts the library
   * @param {HTMLElement} root
   * @param {() => void} redraw called when the colours of the page have changed
   */
  constructor(echarts, root, redraw) {
    this.#root = root;
    this.#chart = echarts.init(root, null, { renderer: "canvas" });
    new ResizeObserver(() => this.#chart.resize()).observe(root);
    for (const query of ["(prefers-color-scheme: dark)", "(prefers-contrast: more)"])
      matchMedia(query).addEventListener("change", redraw);
  }

  /** The library's own object, for what only one chart needs. */
  get chart() {
    return this.#chart;
  }

  /** The value of a colour of the page. @param {string} name without its dashes */
  colour(name) {
    return getComputedStyle(this.#root).getPropertyValue(`--${name}`).trim();
  }

  /**
   * Draws lines or bars over time.
   * @param {object} drawing
   * @param {any[]} drawing.series as ECharts takes them
   * @param {(entries: any[]) => Node} drawing.tip what stands in the tooltip: elements, as a string would be markup
   * @param {object} drawing.x more of the time axis, which holds at least `min` and `max`
   * @param {object} [drawing.y] more of the other axis
   * @param {object} [drawing.legend] more of the legend
   */
  draw({ series, tip, x, y, legend }) {
    const colour = (name) => this.colour(name);
    const option = {
      animation: false,
      textStyle: { fontFamily: getComputedStyle(this.#root).fontFamily, fontSize: 12, color: colour("muted") },
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
        ...legend,
      },
      tooltip: {
        trigger: "axis",
        confine: true,
        backgroundColor: colour("card"),
        borderColor: colour("border"),
        textStyle: { color: colour("text"), fontSize: 13 },
        axisPointer: { type: "line", lineStyle: { color: colour("faint"), type: "dashed" } },
        formatter: tip,
      },
      xAxis: {
        type: "time",
        axisLine: { lineStyle: { color: colour("border") } },
        axisTick: { show: false },
        splitLine: { show: false },
        ...x,
        axisLabel: { color: colour("muted"), hideOverlap: true, ...x.axisLabel },
      },
      yAxis: {
        type: "value",
        splitNumber: 4,
        splitLine: { lineStyle: { color: colour("grid") } },
        ...y,
        axisLabel: { color: colour("muted"), formatter: (value) => compact(value), ...y?.axisLabel },
      },
      series,
    };
    this.#chart.setOption(option, { replaceMerge: ["series"] });
  }
}

/** The inside of a tooltip. @param {string} title @param {{colour: string, name: string, value: string}[]} rows */
export function tip(title, rows) {
  return h(
    "div",
    { class: "tip" },
    h("b", null, title),
    ...rows.map(({ colour, name, value }) =>
      h("div", null, swatch(colour), h("span", null, name), h("b", null, value)),
    ),
    rows.length === 0 && h("div", null, "nothing"),
  );
}

/** A small square of a colour of the page. @param {string} colour its name, without its dashes */
export const swatch = (colour) => h("i", { class: "swatch", style: `--colour: var(--${colour})` });

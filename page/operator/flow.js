import { $, h, renew, setText } from "../shared/dom.js";
import { ago, compact, duration, number, plural } from "../shared/format.js";
import { Plot, tip } from "../shared/plot.js";
import { outcomeName } from "./diagnosis.js";
import * as echarts from "./echarts.js";
import { ranked, sum, totals } from "./figures.js";
import { FAILED, NOT_MEASURED, REFUSED, reasonOf, SET_ASIDE } from "./reasons.js";

const RANGES = { hour: "the last hour", month: "the last 30 days" };

/** What each chart shows: the name, colour and value of each of its parts in a bucket. */
const PARTS = {
  arriving: [
    ["measured", "accent", ({ measured }) => measured],
    ["not measured", "line-9", ({ accepted, measured }) => Math.max(0, accepted - measured)],
    ["refused", "bad-fill", ({ refused }) => sum(refused)],
  ],
  leaving: [
    ["delivered", "line-2", ({ delivered }) => delivered],
    ["sent again later", "line-9", ({ kept }) => kept],
    ["set aside", "warn-fill", ({ setAside }) => sum(setAside)],
    ["points refused", "bad-fill", ({ refusedPoints }) => refusedPoints],
  ],
  latency: [
    ["p50", "accent", ({ upstream }) => upstream.p50],
    ["p99", "line-1", ({ upstream }) => upstream.p99],
  ],
};

const OUTCOME_COLOURS = { "2xx": "line-2", timeout: "line-3", network: "line-7", 429: "warn-fill", 400: "line-5" };

const day = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short", hour: "2-digit", minute: "2-digit" });
const minute = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit" });

/** The way of events as figures and charts, and what was lost on it. */
export class Flow {
  #flow = null;
  /** @type {Record<string, Plot>} */
  #plots = {};

  constructor() {
    for (const name of ["arriving", "leaving", "upstream", "latency"]) {
      const plot = new Plot(echarts, $(`chart-${name}`), () => this.#draw());
      plot.chart.group = "flow";
      this.#plots[name] = plot;
    }
    // One crosshair for all.
    echarts.connect("flow");
  }

  /** @param {any} flow @param {any[]} groups of what is set aside */
  show(flow, groups) {
    this.#flow = flow;
    const all = totals(flow.buckets);
    const range = RANGES[flow.range];
    setText($("way-range"), `In ${range}`);
    setText($("lost-range"), `In ${range}`);
    this.#way(all, flow.waiting, groups);
    this.#lost(all, groups);
    this.#draw();
  }

  #way(all, waiting, groups) {
    const failed = sum(all.failed);
    const letters = groups.reduce((total, { count }) => total + count, 0);
    const late = waiting.oldest ? ` for ${ago(waiting.oldest)}` : "";
    const stages = [
      [
        "Arrived",
        all.received,
        "",
        [failed > 0 && ["bad", `${plural(failed, "request")} refused whole`, "#live=refused"]],
      ],
      [
        "Accepted",
        all.accepted,
        "",
        [sum(all.refused) > 0 && ["bad", `${number(sum(all.refused))} refused`, "#live=refused"]],
      ],
      [
        "To be measured",
        all.measured,
        "",
        [all.accepted > all.measured && ["", `${number(all.accepted - all.measured)} not measured`, "#live=accepted"]],
      ],
      [
        "Delivered",
        all.delivered,
        all.delivered > 0 ? "good" : "",
        [
          waiting.events > 0 && ["warn", `${number(waiting.events)} waiting${late}`, "#upstream"],
          letters > 0 && ["bad", `${number(letters)} set aside`, "#set-aside"],
          all.refusedPoints > 0 && ["bad", `${plural(all.refusedPoints, "point")} refused`, "#upstream"],
        ],
      ],
    ];
    renew($("way"), stages, () =>
      stages.map(([name, count, tone, losses]) =>
        h(
          "li",
          { class: tone, "data-stage": name },
          h("span", { class: "stage" }, name),
          h("b", { title: number(count) }, compact(count)),
          h(
            "span",
            { class: "losses" },
            ...losses.filter(Boolean).map(([level, text, href]) => h("a", { class: `loss ${level}`, href }, text)),
          ),
        ),
      ),
    );
  }

  #lost(all, groups) {
    const rows = [
      ...ranked(all.refused).map(([code, count]) => [REFUSED, code, count, "event", "refused", `#live=${code}`]),
      ...ranked(all.failed).map(([code, count]) => [FAILED, code, count, "request", "refused whole", `#live=${code}`]),
      ...ranked(all.notMeasured).map(([code, count]) => [
        NOT_MEASURED,
        code,
        count,
        "event",
        "not measured",
        `#live=${code}`,
      ]),
      ...groups.map(({ reason, count }) => [
        SET_ASIDE,
        reason,
        count,
        "measurement",
        "set aside",
        `#set-aside=${reason}`,
      ]),
    ].sort((a, b) => b[2] - a[2]);
    const most = Math.max(1, ...rows.map(([, , count]) => count));
    $("lost-empty").hidden = rows.length > 0;
    renew($("lost"), rows, () =>
      rows.map(([reasons, code, count, noun, how, href]) => {
        const { what, isNormal } = reasonOf(reasons, code);
        const tone = isNormal ? "" : how === "not measured" ? "warn" : "bad";
        return h(
          "li",
          { class: tone, "data-code": code },
          h("a", { href }, h("b", null, number(count)), ` ${noun}${count === 1 ? "" : "s"} ${how}: ${what}`),
          h("code", null, code),
          h("i", { class: "share", style: `inline-size: ${(100 * count) / most}%`, "aria-hidden": true }),
        );
      }),
    );
  }

  #draw() {
    if (!this.#flow || document.hidden || $("overview").hidden) return;
    for (const [name, parts] of Object.entries({ ...PARTS, upstream: this.#outcomes() })) this.#drawOne(name, parts);
  }

  /** The outcomes that there were, success first. */
  #outcomes() {
    const all = ranked(totals(this.#flow.buckets).outcomes).map(([outcome]) => outcome);
    const sorted = all.filter((outcome) => outcome === "2xx").concat(all.filter((outcome) => outcome !== "2xx"));
    return sorted.map((outcome) => [
      outcomeName(outcome),
      OUTCOME_COLOURS[outcome] ?? "bad-fill",
      ({ upstream }) => upstream.outcomes?.[outcome] ?? 0,
    ]);
  }

  #drawOne(name, parts) {
    const { buckets, step, range } = this.#flow;
    const plot = this.#plots[name];
    const isLatency = name === "latency";
    const values = parts.map(([, , value]) => buckets.map(value));
    const totalOf = (list) => list.reduce((total, value) => total + (value ?? 0), 0);
    // A part that never occurs has no line in the legend, but for the first.
    const shown = parts
      .map(([label, colour], index) => ({ label, colour, values: values[index] }))
      .filter(({ values: list }, index) => index === 0 || totalOf(list) > 0);
    const isEmpty = shown.every(({ values: list }) => totalOf(list) === 0);
    plot.draw({
      series: shown.map(({ label, colour, values: list }) => ({
        id: label,
        name: label,
        data: list.map((value, index) => [(buckets[index].start + step / 2) * 1000, value]),
        emphasis: { disabled: true },
        itemStyle: { color: plot.colour(colour) },
        ...(isLatency
          ? { type: "line", connectNulls: true, symbolSize: 4, lineStyle: { width: 2 }, showSymbol: range === "hour" }
          : { type: "bar", stack: "all", barCategoryGap: range === "hour" ? "22%" : "0%", large: false }),
      })),
      tip: (entries) => {
        const at = buckets[entries[0].dataIndex];
        const rows = entries
          .filter(({ value }) => value[1] > 0)
          .map(({ seriesName, value }) => ({
            colour: shown.find(({ label }) => label === seriesName).colour,
            name: seriesName,
            value: isLatency ? duration(value[1]) : number(value[1]),
          }));
        return tip(spell(at.start, step), rows);
      },
      x: {
        min: buckets[0].start * 1000,
        max: (buckets.at(-1).start + step) * 1000,
        axisLabel: { formatter: { minute: "{HH}:{mm}", hour: "{HH}:{mm}", day: "{d} {MMM}", month: "{d} {MMM}" } },
      },
      y: {
        min: 0,
        max: isEmpty ? 1 : null,
        minInterval: isLatency ? 0 : 1,
        splitNumber: isEmpty ? 1 : 4,
        axisLabel: {
          show: !isEmpty,
          formatter: (value) => (isLatency && value > 0 ? duration(value) : compact(value)),
        },
      },
      legend: { left: 0, padding: [2, 0] },
    });
    const label = isLatency
      ? `${shown.map(({ label: part, values: list }) => `${part} ${last(list)}`).join(", ")}, in ${RANGES[range]}`
      : `${shown.map(({ label: part, values: list }) => `${number(totalOf(list))} ${part}`).join(", ")}, in ${RANGES[range]}`;
    const root = $(`chart-${name}`);
    if (root.getAttribute("aria-label") !== label) root.setAttribute("aria-label", label);
  }
}

/** The last latency that is known. */
function last(list) {
  const known = list.findLast((value) => value !== null);
  return known === undefined ? "not known" : duration(known);
}

const spell = (start, step) =>
  step < 3600
    ? `${minute.format(start * 1000)} to ${minute.format((start + step) * 1000)}`
    : `${day.format(start * 1000)} to ${minute.format((start + step) * 1000)}`;

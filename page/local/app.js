import { $, animate, h, setText, throttled } from "../shared/dom.js";
import { number } from "../shared/format.js";
import { Playground } from "../shared/playground.js";
import { follow, getConfig, getRequests, reset } from "./api.js";
import { Chart } from "./chart.js";
import { watchDelivery } from "./delivery.js";
import { FaultPanel } from "./faults.js";
import { MetricList } from "./metrics.js";
import { RequestLog } from "./requests.js";
import { SeriesCache } from "./series.js";

/** How often the server is asked for the points of the metric in the chart, in milliseconds. */
const CHART_INTERVAL = 150;

/** The server's state as it was last heard. */
let state = { requests: 0, metrics: [], faults: [] };
/** What the Worker has of them, in durable delivery: `backlog` and `setAside`. */
let delivery = {};
/** @type {Map<string, any>} its metrics by lower-case name: Librato's names ignore case */
let metrics = new Map();
/** Number of the newest request that is known. */
let newest = 0;
/** Name of the metric in the chart, and lower-case name of the one that is to be shown as soon as it exists. */
let selected = null;
let awaited = decodeURIComponent(location.hash.slice(1)).toLowerCase();

const series = new SeriesCache((name) => {
  list.changed(name);
  if (name === selected) chart.changed();
});
const chart = new Chart((name) => series.get(name));
const list = new MetricList(series, (name) => {
  awaited = "";
  select(name);
});
const log = new RequestLog();
const faults = new FaultPanel();

function select(name) {
  if (selected) series.unwatch(selected, "chart");
  selected = name;
  if (name) series.watch(name, "chart", CHART_INTERVAL);
  list.selected = name;
  chart.show(metrics.get(name?.toLowerCase()) ?? null);
  // The URL links to this metric.
  history.replaceState(null, "", name ? `#${encodeURIComponent(name)}` : location.pathname);
}

const showState = throttled(() => {
  setText($("count-requests"), number(state.requests));
  setText($("count-accepted"), number(state.accepted));
  setText($("count-refused"), number(state.refused));
  $("counter-refused").toggleAttribute("data-some", state.refused > 0);
  for (const counter of document.querySelectorAll("[data-optional]")) {
    const value = delivery[counter.dataset.optional];
    counter.hidden = value === undefined || value === null;
    if (!counter.hidden) setText(counter.querySelector("dd"), number(value));
  }
  faults.show(state.faults);
  list.update(state.metrics);

  const wanted = metrics.get(awaited) ?? metrics.get(selected?.toLowerCase()) ?? state.metrics[0] ?? null;
  if (wanted?.name.toLowerCase() === awaited) awaited = "";
  if ((wanted?.name ?? null) !== selected) select(wanted?.name ?? null);
  else chart.show(wanted);
});

function forget() {
  series.clear();
  log.clear();
  select(null);
  newest = 0;
}

let playing = false;
async function startPlayground() {
  const config = await getConfig();
  // Another call may have got this far in the meantime.
  if (playing) return;
  playing = true;
  setText($("version"), config.version);
  $("links").append(h("a", { href: `${config.worker}/health` }, "Worker health"));
  watchDelivery(config, (found) => {
    delivery = found;
    showState();
  });
  playground.start(config);
}

/**
 * Fetches what was missed: at the start, after a lost connection, or where requests came faster than the page could
 * take them.
 */
const catchUp = throttled(async () => {
  try {
    if (!playing) await startPlayground();
    const known = newest;
    const { requests, last } = await getRequests();
    // Sequence numbers that start again belong to a restarted server.
    if (last < known) forget();
    newest = Math.max(newest, last);
    log.add(requests);
    series.touchAll();
  } catch {
    // The stream is lost as well then, and this runs again when it reconnects.
  }
}, 500);

function hop(name, status, detail) {
  const element = $(`hop-${name}`);
  element.dataset.status = status;
  setText(element.querySelector("[data-detail]"), detail);
}

/** Sends a spark along the wire behind a hop. */
const sparkler = (name) =>
  throttled(() => {
    const wire = $(`hop-${name}`).querySelector(".wire");
    const way = [
      { left: "0", transform: "translateX(-100%)" },
      { left: "100%", transform: "translateX(0)" },
    ];
    animate(wire, way, { duration: 700, easing: "ease-in-out", pseudoElement: "::after" });
  }, 400);
const sparkBrowser = sparkler("browser");
const sparkWorker = sparkler("worker");

const playground = new Playground($("playground"), {
  clicked: (gauge) => {
    awaited = gauge.toLowerCase();
    showState();
  },
  sent: sparkBrowser,
  library: (status, detail) => hop("browser", status, detail),
  worker: (status, detail) => hop("worker", status, detail),
});

const fresh = new Set();
const flash = throttled(() => {
  list.flash(fresh);
  fresh.clear();
}, 500);

follow({
  open: () => {
    hop("librato", "up", location.host);
    catchUp();
  },
  lost: () => hop("librato", "down", "connection lost, trying again"),
  request: (request) => {
    if (newest > 0 && request.seq > newest + 1) catchUp();
    newest = Math.max(newest, request.seq);
    log.add([request]);
    sparkWorker();
    for (const { name, verdict, measure_time, time } of request.members) {
      const metric = verdict === "stored" && metrics.get(name.toLowerCase());
      if (!metric) continue;
      series.touch(metric.name, measure_time ?? time ?? Math.floor(request.at / 1000));
      fresh.add(metric.name);
    }
    flash();
  },
  state: (heard) => {
    // There are fewer requests than before: the server was reset.
    if (heard.requests < state.requests) {
      forget();
      catchUp();
    }
    state = heard;
    metrics = new Map(state.metrics.map((metric) => [metric.name.toLowerCase(), metric]));
    showState();
  },
});

for (const input of document.querySelectorAll("#measure input, #bucket input")) {
  input.addEventListener("change", () => {
    if (input.name === "measure") chart.measure = input.value;
    else chart.bucket = Number(input.value);
  });
}
$("reset").addEventListener("click", async () => {
  await reset();
  forget();
});

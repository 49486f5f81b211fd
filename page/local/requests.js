import { $, h, setText, throttled } from "../shared/dom.js";
import { clock, duration, number, plural } from "../shared/format.js";

const KEPT = 200;

/** A status of 0 stands for a connection that was cut. */
const failed = ({ status, members }) =>
  status < 200 || status >= 300 || members.some(({ verdict }) => verdict === "refused");

/** The last requests that reached the server, newest first. */
export class RequestLog {
  #root = $("requests");
  #failedOnly = $("requests-failed");
  /** @type {{seq: number, request: any, item: Element}[]} by number, oldest first */
  #shown = [];
  /** @type {Map<number, any>} requests that are not drawn yet, by number */
  #waiting = new Map();
  // Under load only requests that are still listed when the page is drawn become elements.
  #render = throttled(() => this.#renderNow(), 200);
  #announce = throttled(() => this.#announceNow(), 3000);

  constructor() {
    this.#failedOnly.addEventListener("change", () => this.#filter());
  }

  /** @param {any[]} requests in any order; what is known already is passed over */
  add(requests) {
    for (const request of requests) this.#waiting.set(request.seq, request);
    if (this.#waiting.size > 2 * KEPT) this.#waiting = new Map([...this.#waiting].slice(-KEPT));
    this.#render();
  }

  clear() {
    this.#waiting.clear();
    this.#shown = [];
    this.#root.replaceChildren();
    this.#render();
  }

  #renderNow() {
    const known = new Set(this.#shown.map(({ seq }) => seq));
    const fresh = [...this.#waiting.values()].filter(({ seq }) => !known.has(seq)).sort((a, b) => a.seq - b.seq);
    this.#waiting.clear();
    for (const request of fresh.slice(-KEPT)) {
      const { seq } = request;
      const index = this.#shown.findLastIndex((other) => other.seq < seq) + 1;
      const item = row(request);
      // Existing rows stay untouched: they may be open or have the focus.
      if (index > 0) this.#shown[index - 1].item.before(item);
      else this.#root.append(item);
      this.#shown.splice(index, 0, { seq, request, item });
    }
    for (const { item } of this.#shown.splice(0, Math.max(0, this.#shown.length - KEPT))) item.remove();
    this.#filter();
    if (fresh.length) this.#announce();
  }

  #filter() {
    const failedOnly = this.#failedOnly.checked;
    let visible = 0;
    for (const { request, item } of this.#shown) {
      item.hidden = failedOnly && !failed(request);
      if (!item.hidden) visible += 1;
    }
    $("requests-empty").hidden = visible > 0;
    setText($("requests-empty"), this.#shown.length ? "None of the last requests failed." : "No request yet.");
  }

  #announceNow() {
    if (this.#shown.length === 0) return;
    const { seq, status, gauges } = this.#shown.at(-1).request;
    setText($("announce"), `Request ${seq} at Librato: ${status || "no answer"}, ${plural(gauges, "gauge")}`);
  }
}

function row(request) {
  const { seq, at, method, path, status, ms, bytes, userAgent, fault, error, gauges } = request;
  const bad = failed(request);
  const names = [...new Set(request.members.map(({ name }) => text(name)))];
  const summary = h(
    "summary",
    null,
    h("time", { datetime: new Date(at).toISOString() }, clock(at)),
    h("span", { class: `badge ${bad ? "bad" : "good"}` }, status || "cut"),
    h(
      "span",
      { class: "what" },
      h("b", null, plural(gauges, "gauge")),
      fault && h("span", { class: "chip" }, `fault ${fault}`),
      h("span", { class: "names" }, names.join(", ")),
    ),
    h("span", { class: "took" }, duration(ms)),
    h("span", { class: "agent", title: userAgent }, userAgent || "none"),
    bad && h("span", { class: "reason" }, reason(request)),
  );
  const details = h("details", null, summary);
  // A request has up to 300 members, which become elements only when it is opened.
  details.addEventListener(
    "toggle",
    () => {
      details.append(h("p", { class: "line" }, `${method} ${path} · ${plural(bytes, "byte")} · request ${seq}`));
      if (error) details.append(h("pre", null, error));
      details.append(members(request));
    },
    { once: true },
  );
  return h("li", { "data-seq": seq, "data-status": status || "cut" }, details);
}

/** Why a request failed, in one line. */
function reason({ members: list, error, fault }) {
  const [first, ...others] = list.filter(({ verdict }) => verdict === "refused");
  if (!first) return error || (fault ? "the connection was cut" : "");
  const more = others.length ? ` (and ${others.length} more)` : "";
  return `${text(first.name) || "a gauge"}: ${first.reason}${more}`;
}

const COLUMNS = ["Name", "Source", "Value", "Time", "Created with", "Verdict"];

function members({ members: list, gauges }) {
  if (list.length === 0) return h("p", { class: "empty" }, "No gauge could be read from it.");
  const head = h("tr", null, ...COLUMNS.map((title) => h("th", { scope: "col" }, title)));
  const body = list.map((member) =>
    h(
      "tr",
      { "data-verdict": member.verdict },
      h("th", { scope: "row" }, text(member.name) || "none"),
      h("td", null, text(member.source ?? member.tags?.source) || "none"),
      h("td", null, value(member)),
      h("td", null, time(member.measure_time ?? member.time)),
      h("td", null, options(member)),
      h("td", null, h("b", { class: "verdict" }, member.verdict), member.reason && ` ${member.reason}`),
    ),
  );
  return h(
    "section",
    { class: "members", "aria-label": "Members", tabindex: 0 },
    h("table", null, h("thead", null, head), h("tbody", null, ...body)),
    gauges > list.length && h("p", { class: "empty" }, `and ${gauges - list.length} more`),
  );
}

const isGiven = (thing) => thing !== undefined && thing !== null;

/** What a member carried, whatever its type: a refused one may hold anything. */
function text(thing) {
  if (!isGiven(thing)) return "";
  if (typeof thing === "number") return number(thing);
  return typeof thing === "string" ? thing : JSON.stringify(thing);
}

const time = (seconds) => (Number.isFinite(seconds) ? clock(seconds * 1000) : text(seconds) || "receipt");

function value({ value: single, count, sum, min, max, sum_squares: squares }) {
  if (isGiven(single)) return text(single);
  const parts = Object.entries({ count, sum, min, max, squares }).filter(([, part]) => isGiven(part));
  return parts.map(([label, part]) => `${label} ${text(part)}`).join(" · ") || "none";
}

function options({ period, attributes }) {
  const given = Object.entries({ period, ...attributes }).filter(([, setting]) => isGiven(setting));
  return given.map(([key, setting]) => `${key} ${text(setting)}`).join(" · ");
}

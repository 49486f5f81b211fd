import { $, h, setText } from "./dom.js";
import { clock, duration } from "./format.js";

const LOG_ROWS = 50;

const nothing = () => {};

/** Names as the Worker derives them, to show beforehand which gauge a call becomes: the gauge itself is the Worker's. */
const trackGauge = (event) => event.replace(/[^A-Za-z0-9._-]/g, "-").slice(0, 255);
const pageGauge = (category, name) =>
  trackGauge(name ? `Viewed ${category ? `${category} ` : ""}${name} Page` : "Loaded a Page");

/** A value as typed: a number where it is one, else the text, so that the Worker's refusal can be seen too. */
const typedValue = (text) => (text !== "" && Number.isFinite(Number(text)) ? Number(text) : text);

/** Calls of the real analytics.js, served by the Worker and aimed at it, with the Worker's answers. */
export class Playground {
  #worker;
  #writeKey;
  #isConfined;
  #on;
  #log;
  #loaded = false;
  #probing = false;
  /** Clicks whose event has not been seen on the wire yet, oldest first. */
  #clicked = [];
  /** @type {Map<string, any>} rows of the log by messageId: a call sent again stays one row */
  #sent = new Map();

  /**
   * Builds the forms and the log. They are ready to look at; `start` makes them work.
   * @param {Element} root where they are appended
   * @param {object} on
   * @param {(gauge: string) => void} [on.clicked] a call is on its way, and will become this gauge
   * @param {() => void} [on.sent] an event has left for the Worker
   * @param {(status: string, detail: string) => void} [on.library] how analytics.js is doing
   * @param {(status: string, detail: string) => void} [on.worker] how the Worker is doing
   */
  constructor(root, { clicked = nothing, sent = nothing, library = nothing, worker = nothing }) {
    root.append(...parts());
    this.#log = $("pg-log").firstElementChild;
    this.#on = { clicked, sent, library, worker };
    for (const form of ["pg-track-form", "pg-page-form"]) $(form).addEventListener("input", () => this.#preview());
    $("pg-track-form").addEventListener("submit", (event) => {
      event.preventDefault();
      this.#track();
    });
    $("pg-page-form").addEventListener("submit", (event) => {
      event.preventDefault();
      this.#page();
    });
    this.#preview();
  }

  /**
   * Loads analytics.js from the Worker, once.
   * @param {{worker: string, writeKey: string, isConfined?: boolean}} config `isConfined` where the page may speak with
   *   no other host
   */
  start({ worker, writeKey, isConfined = false }) {
    this.#isConfined = isConfined;
    this.#worker = worker.replace(/\/$/, "");
    this.#writeKey = writeKey;
    this.#observe();
    this.#probe();
  }

  #preview() {
    setText($("pg-track-gauge"), trackGauge($("pg-event").value) || "nothing: an event needs a name");
    setText($("pg-page-gauge"), pageGauge($("pg-page-category").value, $("pg-page-name").value));
  }

  /** Properties and options as both calls take them. */
  #extras() {
    const value = $("pg-value").value.trim();
    const source = $("pg-source").value.trim();
    return [
      value === "" ? {} : { value: typedValue(value) },
      source === "" ? {} : { integrations: { Librato: { source } } },
    ];
  }

  #track() {
    const event = $("pg-event").value;
    this.#call("track", event, trackGauge(event), () => globalThis.analytics.track(event, ...this.#extras()));
  }

  #page() {
    const [category, name] = [$("pg-page-category").value, $("pg-page-name").value];
    const title = [category, name].filter(Boolean).join(" ") || "without a name";
    this.#call("page", title, pageGauge(category, name), () =>
      globalThis.analytics.page(category, name, ...this.#extras()),
    );
  }

  #call(type, title, gauge, send) {
    const row = this.#row(type, title);
    this.#clicked.push({ type, row });
    this.#on.clicked(gauge);
    // While the browser takes itself for offline, events are kept and not sent.
    if (!navigator.onLine) this.#answer(row, "waiting", "", "the browser is offline: analytics.js keeps it");
    send();
  }

  #row(type, title) {
    const [{ value }, { integrations }] = this.#extras();
    const row = {
      tries: 0,
      badge: h("span", { class: "badge" }, "…"),
      took: h("span", { class: "took" }),
      answer: h("code", null),
    };
    row.item = h(
      "li",
      { "data-type": type, "data-status": "pending" },
      h("div", null, row.badge, h("span", { class: "what" }, h("b", null, type), ` ${title}`), row.took),
      h(
        "div",
        null,
        value !== undefined && h("span", { class: "chip" }, `value ${value}`),
        integrations && h("span", { class: "chip" }, `source ${integrations.Librato.source}`),
        row.answer,
      ),
    );
    row.item.title = clock(Date.now());
    this.#log.prepend(row.item);
    while (this.#log.children.length > LOG_ROWS) this.#log.lastElementChild.remove();
    $("pg-log-empty").hidden = true;
    return row;
  }

  #answer(row, status, took, text) {
    const tone = status === 200 ? "good" : status === "waiting" ? "" : "bad";
    row.item.dataset.status = String(status);
    row.badge.className = `badge ${tone}`;
    setText(row.badge, String(status));
    setText(row.took, row.tries > 1 ? `try ${row.tries} · ${took}` : took);
    setText(row.answer, text);
  }

  /**
   * Looks on at what analytics.js sends. The library is left as it is: it calls the `fetch` that it finds, and this one
   * passes everything through.
   */
  #observe() {
    const { fetch } = globalThis;
    globalThis.fetch = async (input, init) => {
      const event =
        String(input).startsWith(this.#worker) && typeof init?.body === "string" ? JSON.parse(init.body) : null;
      if (!event?.messageId) return fetch(input, init);
      const row = this.#sending(event);
      const started = performance.now();
      const took = () => duration(performance.now() - started);
      try {
        const response = await fetch(input, init);
        this.#on.worker("up", this.#host);
        response
          .clone()
          .text()
          .then((text) => this.#answer(row, response.status, took(), explain(response, text)))
          .catch(() => this.#answer(row, response.status, took(), "the answer broke off"));
        return response;
      } catch (error) {
        this.#answer(row, "failed", took(), "no answer: analytics.js will send it again");
        this.#lost();
        throw error;
      }
    };
  }

  /** The row of an event that is being sent: the one it has, or that of the oldest click of its kind. */
  #sending({ messageId, type, event, name }) {
    let row = this.#sent.get(messageId);
    if (!row) {
      const index = this.#clicked.findIndex((click) => click.type === type);
      row = index < 0 ? this.#row(type, event ?? name ?? "") : this.#clicked.splice(index, 1)[0].row;
      this.#sent.set(messageId, row);
      if (this.#sent.size > 2 * LOG_ROWS) this.#sent.delete(this.#sent.keys().next().value);
    }
    row.tries += 1;
    this.#on.sent();
    return row;
  }

  /** An address at the Worker with the write key in it. */
  #url(before, after) {
    return `${this.#worker}/${before}/${encodeURIComponent(this.#writeKey)}/${after}`;
  }

  get #host() {
    return new URL(this.#worker).host;
  }

  #notice(text) {
    setText($("pg-notice"), text);
    $("pg-notice").hidden = text === "";
  }

  #lost() {
    this.#on.worker("down", `${this.#host} does not answer`);
    this.#notice(`The Worker at ${this.#worker} cannot be reached. Trying again every two seconds.`);
    if (this.#loaded) this.#probe();
  }

  /**
   * Waits for the Worker, then starts the library. The settings are asked for first: analytics.js would report a failure
   * to get them to Segment's own host, and this page speaks to nobody but the Worker.
   */
  async #probe() {
    if (this.#probing) return;
    this.#probing = true;
    for (;;) {
      try {
        const response = await fetch(this.#url("v1/projects", "settings"), { cache: "no-store" });
        const settings = response.ok ? await response.json() : null;
        const apiHost = settings?.integrations?.["Segment.io"]?.apiHost;
        if (apiHost && this.#isConfined && apiHost.split("/")[0] !== this.#host) {
          this.#notice(`Clients are told to send to ${apiHost} (PUBLIC_URL), and this page may not: open it there.`);
          return;
        }
        if (apiHost) break;
        this.#on.worker("failing", `${this.#host}, settings ${response.status}`);
        this.#notice(
          `The Worker at ${this.#worker} has no settings for the write key “${this.#writeKey}”: ` +
            `it answers ${response.status}. Trying again every two seconds.`,
        );
      } catch {
        this.#lost();
      }
      await new Promise((done) => setTimeout(done, 2000));
    }
    this.#probing = false;
    this.#on.worker("up", this.#host);
    this.#notice("");
    if (!this.#loaded) this.#load();
  }

  /** Segment's snippet, reduced to the calls made here: they queue until the script has arrived. */
  #load() {
    const queue = [];
    queue._writeKey = this.#writeKey;
    queue._cdn = this.#worker;
    for (const method of ["page", "track", "ready"]) queue[method] = (...args) => queue.push([method, ...args]);
    globalThis.analytics = queue;
    queue.ready(() => {
      this.#loaded = true;
      this.#on.library("up", "analytics.js");
      for (const button of ["pg-track", "pg-page"]) $(button).disabled = false;
    });
    const src = this.#url("analytics.js/v1", "analytics.min.js");
    const script = h("script", { src, async: true });
    script.addEventListener("error", () => {
      script.remove();
      this.#on.library("down", "analytics.js did not load");
      this.#notice(`analytics.js could not be loaded from ${src}. Trying again.`);
      setTimeout(() => this.#probe(), 2000);
    });
    document.head.append(script);
  }
}

function parts() {
  const field = (label, id, { wide = false, ...more }) =>
    h("label", { class: wide && "wide" }, label, h("input", { id, spellcheck: "false", ...more }));
  const form = (name, ...fields) =>
    h(
      "form",
      { id: `pg-${name}-form`, autocomplete: "off" },
      ...fields,
      h("p", { class: "becomes wide" }, "Becomes ", h("code", { id: `pg-${name}-gauge` })),
      h(
        "button",
        { id: `pg-${name}`, type: "submit", class: "primary wide", disabled: true },
        name === "track" ? "Track" : "Page",
      ),
    );
  return [
    h("p", { id: "pg-notice", class: "notice", role: "status", hidden: true }),
    form(
      "track",
      field("Event", "pg-event", { wide: true, value: "Order Completed", required: true }),
      field("Value", "pg-value", { inputmode: "decimal", placeholder: "1" }),
      field("Source", "pg-source", { placeholder: "event name" }),
    ),
    form(
      "page",
      field("Category", "pg-page-category", { placeholder: "none" }),
      field("Page name", "pg-page-name", { value: "Home", placeholder: "none" }),
    ),
    h("p", { class: "hint" }, "Value and source go along with both calls."),
    h("h3", null, "The Worker’s answers"),
    h(
      "div",
      {
        id: "pg-log",
        class: "answers",
        role: "log",
        "aria-live": "polite",
        "aria-label": "The Worker’s answers",
        tabindex: 0,
      },
      h("ol", null),
    ),
    h("p", { id: "pg-log-empty", class: "empty" }, "Click Track: the answer appears here."),
  ];
}

/** The Worker's answer in one line. */
function explain(response, text) {
  const retryAfter = response.headers.get("retry-after");
  try {
    const { success, code, message } = JSON.parse(text);
    const outcome = success ? '{"success":true}' : [code, message].filter(Boolean).join(": ");
    return retryAfter ? `${outcome} (Retry-After ${retryAfter} s)` : outcome;
  } catch {
    return text.slice(0, 200);
  }
}

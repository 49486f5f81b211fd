// A customer's web site: pages with a library for browsers, on a host of their own.

import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer } from "node:http";
import { build } from "esbuild";
import { projectPath } from "../lib/project.mjs";
import { waitFor } from "../lib/wait.mjs";

/** A page and what it loads; with an icon, or the browser would ask for one. */
export const html = (...elements) => `<!doctype html><link rel="icon" href="data:,">${elements.join("")}`;

/**
 * Makes one script of a program and the packages that it uses.
 *
 * @param {{ program?: string, code?: string, alias?: Record<string, string> }} source a file of `pages/`, or code; and
 *   which package stands behind a name
 */
export async function bundle({ program, code, alias }) {
  const { outputFiles } = await build({
    ...(program
      ? { entryPoints: [projectPath(`tests/e2e/clients/pages/${program}.js`)] }
      : { stdin: { contents: code, resolveDir: projectPath(".") } }),
    bundle: true,
    write: false,
    format: "iife",
    alias,
    // The older packages were written for bundlers that had this.
    define: { global: "window" },
  });
  return outputFiles[0].text;
}

/** Serves pages, all of one origin. */
export class Site {
  #files = new Map();
  #server = createServer(({ url }, response) => {
    const file = this.#files.get(new URL(url, this.url).pathname);
    response.writeHead(file ? 200 : 404, { "content-type": "text/plain", ...file?.headers }).end(file?.text);
  });

  async start() {
    this.#server.listen(0, "127.0.0.1");
    await once(this.#server, "listening");
    this.url = `http://localhost:${this.#server.address().port}`;
    return this;
  }

  /** Puts a page there, with these headers, and its script beside it. Returns the URL of the page. */
  put(name, document, script = "", headers = {}) {
    const file = (type, text) => ({ headers: { "content-type": `${type}; charset=utf-8`, ...headers }, text });
    this.#files.set(`/${name}/`, file("text/html", document));
    this.#files.set(`/${name}/script.js`, file("text/javascript", script));
    return `${this.url}/${name}/`;
  }

  async stop() {
    this.#server.close();
    this.#server.closeAllConnections();
    await once(this.#server, "close");
  }
}

/** One visitor, with a storage of his own. */
export class Visit {
  /** What his pages asked for: the URL, what they posted, and the status once there is one. */
  requests = [];
  #context;
  #errors = [];
  #origins = new Set(["null"]);

  static async by(browser) {
    const visit = new Visit();
    visit.#context = await browser.newContext();
    visit.#context.on("weberror", (error) => visit.#errors.push(String(error.error())));
    visit.#context.on("request", (request) => visit.#asked(request));
    return visit;
  }

  #asked(request) {
    const asked = { method: request.method(), url: new URL(request.url()), body: request.postData() };
    this.requests.push(asked);
    const answered = (response) => {
      asked.status = response?.status();
    };
    // A page that is left hears of no answer.
    request.response().then(answered, () => {});
  }

  /** Has `filter` see to every page of his, which gets a context of Playwright's. */
  filtered(filter) {
    return filter(this.#context);
  }

  /** Opens a page in a tab of its own, and waits until its scripts have run. It may ask its own origin, and `edge`. */
  async open(url, edge) {
    this.#origins.add(new URL(url).origin).add(edge);
    this.page = await this.#context.newPage();
    this.page.setDefaultTimeout(10_000);
    await this.page.goto(url);
  }

  /** Waits until the library has its settings. */
  async loaded(edge) {
    const settings = ({ url, status }) => url.origin === edge && url.pathname.endsWith("/settings") && status;
    await waitFor("the settings", () => this.requests.some(settings));
  }

  /** Has the page make these calls. */
  async make(calls) {
    await this.page.evaluate((all) => {
      window.made = all.map((call) => window.make(call));
    }, calls);
  }

  /** Waits until analytics.js has done with the calls what it does at once: send them, or lay them by. */
  async settled() {
    await this.page.evaluate(() => Promise.all(window.made).then(() => {}));
  }

  /** The calls that went to the Worker, as `path status`, sorted. */
  sent(edge) {
    return this.requests
      .filter(({ method, url }) => method === "POST" && url.origin === edge)
      .map(({ url, status }) => `${url.pathname} ${status}`)
      .sort();
  }

  /** Leaves the site. Asserts that nobody else was asked for anything, and that no script has failed. */
  async finish() {
    await this.#context.close();
    const elsewhere = this.requests.filter(({ url }) => !this.#origins.has(url.origin));
    assert.deepEqual(
      elsewhere.map(({ url }) => url.href),
      [],
    );
    assert.deepEqual(this.#errors, []);
  }
}

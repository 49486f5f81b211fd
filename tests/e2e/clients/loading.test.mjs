// analytics.js from the Worker in pages of every kind, in Chromium: it knows where it came from, brings its lazy parts, and
// asks nobody but the Worker. The Worker stands behind a reverse proxy, under a path of the shop's own host.

import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { pathToFileURL } from "node:url";
import { startChromium } from "../lib/chromium.mjs";
import { startLibrato } from "../lib/librato.mjs";
import { base64url } from "../lib/plain.mjs";
import { waitFor } from "../lib/wait.mjs";
import { startWorker, writeKey } from "../lib/worker.mjs";
import { block, isBlocked } from "./filters.mjs";
import { forms, loaders, ownLoaders, pageWith } from "./loading.mjs";
import { publicAddress, startProxy } from "./proxy.mjs";
import { html, Site, Visit } from "./site.mjs";

const PATH = "/collect";
const PREFIX = "/in";
const FILE = "shop.js";

let librato;
let browser;
/** The shop's pages, which the proxies have under their own host, and which are also a host of their own. */
let site;
/** A Worker behind a proxy each, by scheme: where it is reached. */
const edges = {};
const running = [];

before(async () => {
  librato = await startLibrato();
  [browser, site] = await Promise.all([startChromium(), new Site().start()]);
  for (const tls of [true, false]) {
    const edge = await publicAddress({ tls, path: PATH });
    const settings = { PUBLIC_URL: edge.url, PATH_PREFIX: PREFIX, LIBRARY_FILE: FILE };
    const worker = await startWorker({ librato: librato.url, settings });
    running.push(worker, await startProxy(edge, worker.url, site.url));
    edges[tls ? "https" : "http"] = edge;
  }
});
after(async () => {
  await browser?.close();
  await Promise.all(running.map((one) => one.stop()));
  await site?.stop();
  await librato?.stop();
});

let visits = 0;

/** A page's call that is told apart from all others: by its source. */
function aCall() {
  const source = `visit-${++visits}`;
  const options = JSON.stringify({ integrations: { Librato: { source } } });
  return { source, code: `analytics.track("Looked Around", { value: 2 }, ${options});` };
}

/** Waits until the call has been measured, once. */
const measured = (source) =>
  waitFor(`a gauge with the source ${source}`, async () => {
    const { count, sum } = (await librato.totals())[`Looked-Around ${source}`] ?? {};
    if (count !== undefined) assert.deepEqual({ count, sum }, { count: 1, sum: 2 });
    return count;
  });

/** Where a visit's requests to the Worker went, without their hosts; a preflight is none of the page's. */
const asked = (visit, edge) =>
  visit.requests
    .filter(
      ({ method, url }) => url.origin === edge.origin && url.pathname.startsWith(edge.path) && method !== "OPTIONS",
    )
    .map(({ url }) => url.pathname.slice(edge.path.length));

/** Opens a page, waits for its call, and leaves: nobody but the page's host and the Worker was asked for anything. */
async function look(url, edge, source, prefix = "") {
  const visit = await Visit.by(browser);
  await visit.open(url, edge.origin);
  await measured(source);
  // Once the page has its answer, it has told of all that it asked for before.
  const answered = ({ method, url, status }) =>
    method === "POST" && url.pathname === `${edge.path}${prefix}/v1/t` && status;
  await waitFor("the answer in the page", () => visit.requests.some(answered));
  const settings = `${prefix}/v1/projects/${writeKey}/settings`;
  assert.ok(asked(visit, edge).includes(settings), `${settings} is not among ${asked(visit, edge)}`);
  await visit.finish();
}

/** What stands before the paths of the Worker's that a page loaded so asks for. */
const prefixOf = (how) => (how.endsWith("below the prefix") ? PREFIX : "");

for (const scheme of ["https", "http"]) {
  describe(`a page of the shop's own host, by ${scheme}`, () => {
    for (const [how, loader] of Object.entries({ ...loaders, ...ownLoaders(PREFIX, FILE) })) {
      for (const form of ["absolute", "without a scheme", "from the root", "from the page"]) {
        it(`${how}, address ${form}`, async () => {
          const edge = edges[scheme];
          const { source, code } = aCall();
          // In a folder of a folder, so that an address from the page is one.
          site.put(`shop/${source}`, pageWith(loader, forms(edge)[form], code));
          await look(`${edge.origin}/shop/${source}/`, edge, source, prefixOf(how));
        });
      }
    }
  });

  describe(`a page of another host, with the Worker by ${scheme}`, () => {
    for (const [how, loader] of Object.entries({ ...loaders, ...ownLoaders(PREFIX, FILE) })) {
      it(how, async () => {
        const { source, code } = aCall();
        await look(site.put(source, pageWith(loader, edges[scheme].url, code)), edges[scheme], source, prefixOf(how));
      });
    }

    it("a page from a file", async () => {
      const folder = mkdtempSync(join(tmpdir(), "page-"));
      try {
        const { source, code } = aCall();
        const file = join(folder, "page.html");
        writeFileSync(file, pageWith(loaders["snippet 5"], edges[scheme].url, code));
        await look(pathToFileURL(file).href, edges[scheme], source);
      } finally {
        rmSync(folder, { recursive: true });
      }
    });
  });
}

describe("a page on which somebody else's script looks like the library", () => {
  // Segment's own, say, for as long as both are in use. It does not load here: the tests reach no other host.
  const other = '<script async src="https://localhost:1/analytics.js/v1/other/analytics.min.js"></script>';

  for (const place of ["before", "after"]) {
    it(`${place} it`, async () => {
      const edge = edges.https;
      const { source, code } = aCall();
      const own = pageWith(loaders["our snippet"], edge.url, code);
      const visit = await Visit.by(browser);
      const url = site.put(source, place === "before" ? html(other) + own : own + other);
      // That script is the page's own wish: its host may be asked, for nothing but this.
      await visit.open(url, edge.origin);
      await measured(source);
      const elsewhere = visit.requests.filter(({ url }) => url.port === "1").map(({ url }) => url.pathname);
      assert.deepEqual(elsewhere, ["/analytics.js/v1/other/analytics.min.js"]);
    });
  }
});

describe("an unknown write key", () => {
  for (const scheme of ["https", "http"]) {
    it(`${scheme}: the library does not start, and tells nobody else`, async () => {
      const edge = edges[scheme];
      const { source, code } = aCall();
      const own = pageWith(loaders["snippet 5"], edge.url, code);
      const visit = await Visit.by(browser);
      // The snippet says it before the library looks at its own address.
      await visit.open(site.put(source, own.replace(`_writeKey="${writeKey}"`, '_writeKey="other"')), edge.origin);
      await waitFor("the settings", () => asked(visit, edge).includes("/v1/projects/other/settings"));
      await visit.page.waitForLoadState("networkidle");
      assert.ok(!asked(visit, edge).includes("/v1/t"));
      await visit.finish();
    });
  }
});

describe("what the library loads only when a page needs it", () => {
  const { "our snippet": _, ...segments } = loaders;
  const wants = {
    "?ajs_event=…&ajs_aid=…": { query: "?ajs_event=Opened&ajs_aid=a1&ajs_prop_value=3" },
    trackLink: { code: 'analytics.trackLink(document.querySelector("a"), "Followed", { value: 3 });', click: "a" },
    trackClick: { code: 'analytics.trackClick(document.querySelector("a"), "Clicked", { value: 3 });', click: "a" },
    trackForm: { code: 'analytics.trackForm(document.querySelector("form"), "Sent", { value: 3 });', click: "button" },
    trackSubmit: {
      code: 'analytics.trackSubmit(document.querySelector("form"), "Handed In", { value: 3 });',
      click: "button",
    },
  };
  const chunk = /^\/analytics-next\/bundles\/[\w-]+\.bundle\.[0-9a-f]+\.js$/;

  for (const scheme of ["https", "http"]) {
    for (const [how, loader] of Object.entries(segments)) {
      for (const [what, { query = "", code = "", click }] of Object.entries(wants)) {
        it(`${what}, ${how}, by ${scheme}`, async () => {
          const edge = edges[scheme];
          const name = `${what.replaceAll(/\W/g, "")}-${how.replaceAll(/\W/g, "")}-${scheme}`;
          const own = (text) => text.replace(/(?<=ajs_event=|, ")[A-Z][\w ]+/, name);
          const form = '<a href="../there/">There</a><form action="../there/"><button>Send</button></form>';
          site.put(`shop/there`, html("There"));
          site.put(`shop/${name}`, form + pageWith(loader, edge.url, own(code)));

          const visit = await Visit.by(browser);
          await visit.open(`${edge.origin}/shop/${name}/${own(query)}`, edge.origin);
          const parts = () => visit.requests.filter(({ url }) => chunk.test(url.pathname.slice(edge.path.length)));
          if (click) {
            // Until then nobody listens to links: the snippet only keeps the calls.
            await waitFor("the lazy part", () => parts().some(({ status }) => status === 200));
            await visit.page.waitForFunction(() => window.analytics.initialized);
            await visit.page.click(click);
            await visit.page.waitForURL("**/shop/there/**");
          }
          await librato.counted(name, 1);

          assert.deepEqual((await librato.totals())[`${name} ${name}`], { count: 1, sum: 3 });
          assert.ok(parts().length > 0 && parts().every(({ status }) => status === 200));
          if (query) assert.equal(JSON.parse(visit.requests.find(({ body }) => body).body).anonymousId, "a1");
          await visit.finish();
        });
      }
    }
  }
});

describe("a page that requires leave of whatever it embeds", () => {
  const leave = { "cross-origin-embedder-policy": "require-corp", "cross-origin-opener-policy": "same-origin" };

  for (const [how, loader] of Object.entries({ ...loaders, ...ownLoaders(PREFIX, FILE) })) {
    it(`${how}, of another host, with its lazy parts`, async () => {
      const edge = edges.https;
      const { source, code } = aCall();
      const url = site.put(source, pageWith(loader, edge.url, code), "", leave);
      const visit = await Visit.by(browser);
      await visit.open(`${url}?ajs_event=${source}-asked`, edge.origin);
      assert.equal(await visit.page.evaluate(() => window.crossOriginIsolated), true);
      await measured(source);
      await librato.counted(`${source}-asked`, 1);
      await visit.finish();
    });
  }

  it("pixel and script", async () => {
    const edge = edges.https;
    const visit = await Visit.by(browser);
    await visit.open(site.put("isolated", html(), "", leave), edge.origin);
    const event = (name) => base64url({ event: name, userId: "u", writeKey });
    const seen = await visit.page.evaluate(
      async ([picture, script]) => {
        const image = Object.assign(new Image(), { src: picture });
        await image.decode();
        const body = await new Promise((resolve, reject) => {
          window.__jp0 = resolve;
          document.head.append(Object.assign(document.createElement("script"), { src: script, onerror: reject }));
        });
        return [image.naturalWidth, body];
      },
      [
        `${edge.url}/v1/pixel/track?data=${event("Isolated Pixel")}`,
        `${edge.url}/v1/t?data=${event("Isolated Script")}&callback=__jp0`,
      ],
    );
    assert.deepEqual(seen, [1, { success: true }]);
    await librato.counted("Isolated-Pixel", 1);
    await librato.counted("Isolated-Script", 1);
    await visit.finish();
  });
});

describe("a visitor with a blocker", () => {
  /** Opens a page with a blocker in it. */
  async function behindBlocker(url, edge) {
    const visit = await Visit.by(browser);
    const blocked = await visit.filtered(block);
    await visit.open(url, edge.origin);
    return { visit, blocked };
  }

  it("knows the usual address of the library, so that nothing comes", async () => {
    const edge = edges.https;
    const { source, code } = aCall();
    const page = pageWith(loaders["snippet 5"], edge.url, code);
    const { visit, blocked } = await behindBlocker(site.put(source, page), edge);
    await waitFor("the blocker", () => blocked.length > 0);
    assert.deepEqual(blocked, [`${edge.url}/analytics.js/v1/${writeKey}/analytics.min.js`]);
    assert.equal((await librato.totals())[`Looked-Around ${source}`], undefined);
    await visit.finish();
  });

  for (const how of ["our snippet below the prefix", "our snippet with a chosen file below the prefix"]) {
    it(`does not know ${how}: script, settings, lazy parts and events all come`, async () => {
      const edge = edges.https;
      const { source, code } = aCall();
      const page = pageWith(ownLoaders(PREFIX, FILE)[how], edge.url, code);
      const { visit, blocked } = await behindBlocker(`${site.put(source, page)}?ajs_event=${source}-asked`, edge);
      await measured(source);
      await librato.counted(`${source}-asked`, 1);
      assert.deepEqual(blocked, []);
      await visit.finish();
    });
  }

  const page = { sourceUrl: "https://shop.example/" };
  const addresses = [
    // The README names these, to be avoided.
    ["https://segment-api.shop.example/v1/t", true],
    ["https://segment-cdn.shop.example/in/KEY.js", true, "script"],
    ["https://analytics.shop.example/v1/track", true],
    ["https://analytics.other.example/in/KEY.js", true, "script"],
    ["https://metrics.other.example/in/KEY.js", true, "script"],
    ["https://tracking.other.example/v1/t", true],
    ["https://edge.shop.example/analytics.js/v1/KEY/analytics.min.js", true, "script"],
    ["https://edge.shop.example/in/analytics.js/v1/KEY/analytics.min.js", true, "script"],
    // And these not.
    ["https://edge.shop.example/in/KEY.js", false, "script"],
    ["https://edge.shop.example/in/analytics-next/bundles/queryString.bundle.0123abcd.js", false, "script"],
    ["https://edge.shop.example/in/v1/projects/KEY/settings", false],
    ["https://edge.shop.example/in/v1/t", false],
    ["https://edge.shop.example/in/v1/p", false],
    ["https://edge.shop.example/in/v1/b", false],
    ["https://shop.example/collect/v1/t", false],
    ["https://analytics.shop.example/v1/t", false],
    ["https://edge.shop.example/v1/pixel/track?event=X", false, "image"],
  ];
  for (const [url, expected, type] of addresses) {
    it(`${expected ? "stops" : "lets pass"} ${type ?? "a post to"} ${url}`, () => {
      assert.equal(isBlocked(url, { ...page, type }), expected);
    });
  }
});

// What the README shows of the clients: its examples are run as they stand there, but for host and write key, and its
// table is compared with what the tests beside this one test.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { createHmac } from "node:crypto";
import { once } from "node:events";
import { text } from "node:stream/consumers";
import { after, before, beforeEach, describe, it } from "node:test";
import { pythonEnvironment } from "../../../scripts/lib/python.mjs";
import { startChromium } from "../lib/chromium.mjs";
import { track } from "../lib/events.mjs";
import { startLibrato } from "../lib/librato.mjs";
import { projectPath } from "../lib/project.mjs";
import { startWorker, writeKey } from "../lib/worker.mjs";
import { fixtures, recordings } from "./fixtures.mjs";
import { filledIn as filled, HOST, KEY, readme, snippets } from "./readme.mjs";
import { ADDRESSES } from "./servers.mjs";
import { bundle, html, Site, Visit } from "./site.mjs";
import { tested } from "./tested.mjs";

const WEBHOOK_SECRET = "shared-with-segment";

let librato;
let worker;
let browser;
let site;

before(async () => {
  librato = await startLibrato();
  worker = await startWorker({
    librato: librato.url,
    settings: { WEBHOOK_SECRET },
    https: true,
  });
  [browser, site] = await Promise.all([startChromium(), new Site().start()]);
});
beforeEach(() => librato.reset());
after(async () => {
  await browser?.close();
  await site?.stop();
  await librato?.stop();
  await worker?.stop();
});

/** An example with the host and the write key of the test in it. */
const filledIn = (name, host) => filled(name, host, writeKey);

/** Runs a program to its end. Returns what it has printed. */
async function run([command, ...args], env = process.env) {
  const child = spawn(command, args, { cwd: projectPath("."), env, stdio: ["ignore", "pipe", "pipe"] });
  const [out, err, [code]] = await Promise.all([text(child.stdout), text(child.stderr), once(child, "exit")]);
  assert.equal(code, 0, err);
  return out;
}

const asPage = async (code) => ({ document: html(code) });
const asScript = async (code) => ({
  document: html('<script src="script.js"></script>'),
  script: await bundle({ code }),
});

const inBrowser = {
  browser: asPage,
  pixel: asPage,
  "analytics-next": asScript,
  "rudderstack-js": asScript,
  "customerio-js": asScript,
  "hightouch-js": asScript,
};
const onServer = {
  node: (code) => run(["node", "--input-type=module", "--eval", code]),
  "customerio-node": (code) => run(["node", "--input-type=module", "--eval", code]),
  "rudderstack-node": (code) => run(["node", "--input-type=module", "--eval", code]),
  python: (code) => run(["python3", "-c", code], pythonEnvironment("segment-2.4.0")),
  "rudderstack-python": (code) => run(["python3", "-c", code], pythonEnvironment("rudderstack-2.1.9")),
  curl: async (code) => assert.equal(await run(["sh", "-c", code]), '{"success":true}'),
};

/** What an example for a language that is not here sets, and what its library makes a URL of it by. */
const configured = {
  ruby: { set: /host: "(.+)"/, url: (host) => `https://${host}/v1/import`, client: "Segment, Ruby" },
  php: {
    set: /'host' => '(.+)'\]\)/,
    url: (host) => `https://${host}/v1/batch`,
    client: "Segment, PHP, consumer lib_curl",
  },
  net: { set: /SetHost\("(.+)"\)/, url: (host) => `${host}/v1/import`, client: "Analytics.NET" },
  swift: { set: /\.apiHost\("(.+)"\)/, url: (host) => `https://${host}/b`, client: "analytics-swift" },
  csharp: { set: /apiHost: "(.+)",/, url: (host) => `https://${host}/b`, client: "Analytics-CSharp" },
  "react-native": { set: /\bproxy: "(.+)"/, url: (proxy) => `${proxy}/b`, client: "analytics-react-native" },
};

/** What an example sets whose library is executed, with an address of this form, by `npm test -- compiled`. */
const compiled = {
  go: /Endpoint: "https:\/\/(.+)"/,
  java: /\.endpoint\("https:\/\/(.+)"\)/,
  kotlin: /apiHost = "(.+)"/,
  rust: /Client::new\(\), "https:\/\/(.+)"\.to_owned/,
};

/** Where the examples for apps have the library ask for its settings. */
const asking = {
  kotlin: /cdnHost = "(.+)"/,
  swift: /\.cdnHost\("(.+)"\)/,
  csharp: /cdnHost: "(.+)"\)/,
  "react-native": /cdnProxy: "https:\/\/(.+)"/,
};

describe("the examples of the README", () => {
  for (const [name, make] of Object.entries(inBrowser)) {
    it(`${name}, in Chromium`, async () => {
      const { document, script } = await make(filledIn(name, worker.entry));
      const visit = await Visit.by(browser);
      await visit.open(site.put(name, document, script), worker.entry);
      await librato.counted("Order-Completed", 1);
      await visit.finish();
      assert.deepEqual(await librato.totals(), { "Order-Completed Order-Completed": { count: 1, sum: 49.9 } });
    });
  }

  for (const [name, execute] of Object.entries(onServer)) {
    it(name, async () => {
      await execute(filledIn(name, worker.url));
      assert.deepEqual(await librato.totals(), { "Order-Completed Order-Completed": { count: 1, sum: 49.9 } });
    });
  }

  for (const [name, { set, url, client }] of Object.entries(configured)) {
    it(`${name} is told where ${client} has to send`, () => {
      const code = snippets.get(name);
      assert.ok(code.includes(KEY));
      const { target } = [...recordings, ...fixtures].find((fixture) => fixture.client === client);
      assert.equal(url(set.exec(code)[1]), HOST + target);
    });
  }

  for (const [name, set] of Object.entries(compiled)) {
    it(`${name} is told an address as its library is tested with`, () => {
      const code = snippets.get(name);
      assert.ok(code.includes(KEY));
      assert.ok(ADDRESSES.map((address) => HOST + address).includes(`https://${set.exec(code)[1]}`));
    });
  }

  for (const [name, set] of Object.entries(asking)) {
    it(`${name} is told whom to ask for its settings`, () => {
      assert.equal(`https://${set.exec(snippets.get(name))[1]}/projects`, `${HOST}/v1/projects`);
    });
  }

  it("browser: what the page calls later arrives too, and by plain http nobody else is asked once it has _cdn", async () => {
    const visit = await Visit.by(browser);
    const cdn = `<script>analytics._cdn = "${worker.url}"</script>`;
    await visit.open(site.put("http", html(filledIn("browser", worker.url), cdn)), worker.url);
    await librato.counted("Order-Completed", 1);
    await visit.page.evaluate('void analytics.track("Called Later")');
    await librato.counted("Called-Later", 1);
    await visit.finish();
  });

  it("webhook, as Segment calls it", async () => {
    const url = new URL(snippets.get("webhook"));
    assert.equal(url.origin, HOST);
    const body = JSON.stringify(track("Order Completed", { properties: { value: 49.9 } }));
    const signature = createHmac("sha1", WEBHOOK_SECRET).update(body).digest("hex");
    const answer = await worker.post(url.pathname, body, { authorization: null, "x-signature": signature });
    assert.equal(answer.status, 200);
    assert.deepEqual(await librato.totals(), { "Order-Completed Order-Completed": { count: 1, sum: 49.9 } });
  });

  it("there are no others", () => {
    const known = [inBrowser, onServer, configured, compiled].flatMap(Object.keys);
    assert.deepEqual([...snippets.keys()].sort(), [...known, "webhook"].sort());
  });
});

describe("the table of the README", () => {
  const rows = [...readme.matchAll(/^\| ([^|]+) \| ([^|]+) \| ([^|]+) \| [^|]+ \|$/gm)].map((match) => match.slice(1));
  const distinct = (clients) => [...new Set(clients)].sort();

  for (const [how, clients] of Object.entries(tested)) {
    it(`has each client that is "${how}", in this version`, () => {
      const told = rows.filter(([, , tested]) => tested === how).map(([client, version]) => `${client} ${version}`);
      assert.deepEqual(told.sort(), distinct(clients.map(({ name, version }) => `${name} ${version}`)));
    });
  }
});

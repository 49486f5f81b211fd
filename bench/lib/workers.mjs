// Runs the compared Workers in one workerd process: the artefact in `build/`, its peer in JavaScript, and the floor.
//
// Without Miniflare, which would add Workers of its own.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join, relative } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { unstable_readConfig } from "wrangler";

const root = fileURLToPath(new URL("../..", import.meta.url));

/** The path of workerd itself. */
export const workerd = createRequire(import.meta.url)("workerd").default;

/** Settings of all Workers. */
export const settings = {
  LIBRATO_EMAIL: "metrics@example.com",
  LIBRATO_TOKEN: "a-token-of-the-usual-length-0123456789abcdef0123456789abcdef01234",
  WRITE_KEYS: "fj8Ts0Dk6cVrXuYdhGq3Lm2nWb7pZaKe",
};

/** A queue that discards everything. */
const NULL_QUEUE = `
  import { WorkerEntrypoint } from "cloudflare:workers";
  export class Queue extends WorkerEntrypoint {
    send() {}
    sendBatch() {}
  }
  export default {};
`;

/** The folder of each Worker, whose main module is `index.js`. */
export const folders = {
  rust: "build",
  peer: "bench/peer",
  floor: "bench/floor",
  bare: "bench/bare/build",
};

const { compatibility_date: compatibilityDate, compatibility_flags: flags } = unstable_readConfig(
  { config: join(root, "wrangler.toml") },
  { hideWarnings: true },
);

/** A Worker that loads another one, or nothing. */
const loader = (name) => `
  export default {
    async fetch() {
      ${name === "nothing" ? "" : 'await import("index.js");'}
      return new Response('{"success":true}');
    },
  };
`;

/** Returns a text as a Cap'n Proto literal, whose escapes include JSON's. */
const quoted = (text) => JSON.stringify(text);
const list = (items) => `[${items.join(", ")}]`;

/** Returns a Worker in workerd's configuration. */
function worker(modules, bindings = [], more = "", moreFlags = []) {
  return `(
    modules = ${list(modules)},
    compatibilityDate = ${quoted(compatibilityDate)},
    compatibilityFlags = ${list(moreFlags.concat(flags).map(quoted))},
    bindings = ${list(bindings)}${more})`;
}

/** Lets a Worker hand another one the messages of a queue; workerd wants `--experimental` for it. */
const HANDS_OVER = "service_binding_extra_handlers";

/** The ledger's objects, on disk. */
const LEDGER = `,
    durableObjectNamespaces = [(className = "Once", uniqueKey = "once", enableSql = true)],
    durableObjectStorage = (localDisk = "storage")`;

/** Returns the modules of a folder, `index.js` first. workerd embeds files relative to the configuration. */
function modulesOf(folder, from) {
  const files = readdirSync(join(root, folder)).filter((file) => file !== "index.js" && /\.(js|wasm)$/.test(file));
  return ["index.js", ...files].map((file) => {
    const kind = file.endsWith(".wasm") ? "wasm" : "esModule";
    return `(name = ${quoted(file)}, ${kind} = embed ${quoted(relative(from, join(root, folder, file)))})`;
  });
}

/**
 * Starts Workers in one process.
 *
 * @param {object} options
 * @param {string | ((name: string) => string)} options.librato base URL of the Librato that they send to, or each
 * @param {(keyof typeof folders)[]} [options.names]
 * @param {boolean} [options.durable] binds a queue, so that delivery is durable
 * @param {string} [options.queue] the module that makes the queue, with the class `Queue`; it finds the Worker's
 *   Librato in its `props`
 * @param {boolean} [options.consumed] lets the module of the queue hand messages to the Worker of the first name, its
 *   `CONSUMER`, and ask that one's ledger, its `ONCE`; its own URL is `urls.queue`
 * @param {string} [options.storage] folder of the ledger, which otherwise ends with the Workers
 * @param {Record<string, string>} [options.more] further variables
 * @param {string[]} [options.v8Flags] for the engine, such as `--trace-gc`
 * @param {boolean} [options.inspected] starts an inspector
 * @param {boolean} [options.lazily] loads the Worker in the first request, which does nothing else with it, like
 *   `wrangler check startup`
 * @param {(line: string) => void} [options.onLog] receives each line of output
 */
export async function startWorkers({
  librato,
  names = ["rust", "peer", "floor"],
  durable = false,
  queue = NULL_QUEUE,
  consumed = false,
  storage,
  more = {},
  v8Flags = [],
  inspected = false,
  lazily = false,
  onLog,
}) {
  const folder = mkdtempSync(join(tmpdir(), "librato-edge-"));
  const services = names.map((name) => {
    const url = typeof librato === "string" ? librato : librato(name);
    const texts = Object.entries({ ...settings, LIBRATO_URL: url, ...more });
    const bindings = texts.map(([key, text]) => `(name = ${quoted(key)}, text = ${quoted(text)})`);
    if (durable) {
      const props = quoted(JSON.stringify({ librato: url }));
      bindings.push(
        `(name = "MEASUREMENTS", service = (name = "queue", entrypoint = "Queue", props = (json = ${props})))`,
      );
    }
    const hasLedger = consumed && name === names[0];
    if (hasLedger) bindings.push('(name = "ONCE", durableObjectNamespace = "Once")');
    const modules = name === "nothing" ? [] : modulesOf(folders[name], folder);
    if (lazily) modules.unshift(`(name = "startup.js", esModule = ${quoted(loader(name))})`);
    return `(name = ${quoted(name)}, worker = ${worker(modules, bindings, hasLedger ? LEDGER : "")})`;
  });
  if (durable) {
    const modules = [`(name = "queue.js", esModule = ${quoted(queue)})`];
    const once = `(className = "Once", serviceName = ${quoted(names[0])})`;
    const bindings = [
      `(name = "CONSUMER", service = ${quoted(names[0])})`,
      `(name = "ONCE", durableObjectNamespace = ${once})`,
    ];
    services.push(`(name = "queue", worker = ${worker(modules, ...(consumed ? [bindings, "", [HANDS_OVER]] : []))})`);
  }
  if (consumed) services.push(`(name = "storage", disk = (path = ${quoted(storage ?? folder)}, writable = true))`);
  services.push('(name = "internet", network = (allow = ["public", "private"]))');
  const listening = consumed ? [...names, "queue"] : names;
  const sockets = listening.map(
    (name) => `(name = "${name}", address = "127.0.0.1:0", http = (), service = "${name}")`,
  );
  const file = join(folder, "config.capnp");
  writeFileSync(
    file,
    `using Workerd = import "/workerd/workerd.capnp";
const config :Workerd.Config = (services = ${list(services)}, sockets = ${list(sockets)}, v8Flags = ${list(v8Flags.map(quoted))});
`,
  );

  const flagsOfServe = ["--control-fd=3"];
  if (consumed) flagsOfServe.push("--experimental");
  if (inspected) flagsOfServe.push("--inspector-addr=127.0.0.1:0");
  const running = spawn(workerd, ["serve", ...flagsOfServe, file], {
    stdio: ["ignore", onLog ? "pipe" : "ignore", "pipe", "pipe"],
  });
  const kill = () => running.kill("SIGKILL");
  process.once("exit", kill);
  const stop = async () => {
    process.off("exit", kill);
    rmSync(folder, { recursive: true, force: true });
    if (running.exitCode !== null || running.signalCode !== null) return;
    kill();
    await once(running, "exit");
  };
  if (onLog) createInterface({ input: running.stdout }).on("line", onLog);
  let said = "";
  running.stderr.setEncoding("utf8").on("data", (text) => {
    said += text;
  });
  const ports = new Map();
  const awaited = new Set([...listening, ...(inspected ? ["inspector"] : [])]);
  await new Promise((resolve, reject) => {
    running.once("error", reject);
    running.once("exit", () => reject(new Error(`workerd ended:\n${said}`)));
    createInterface({ input: running.stdio[3] }).on("line", (line) => {
      const { event, socket, port } = JSON.parse(line);
      if (event === "listen") ports.set(socket, port);
      if (event === "listen-inspector") ports.set("inspector", port);
      if ([...awaited].every((name) => ports.has(name))) resolve();
    });
  });
  const urls = Object.fromEntries(listening.map((name) => [name, `http://127.0.0.1:${ports.get(name)}`]));
  return { urls, pid: running.pid, inspector: `127.0.0.1:${ports.get("inspector")}`, stop };
}

// Real receivers of OTLP, and a proxy before them that fails on demand.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pythonEnvironment, pythonPackages } from "../../../scripts/lib/python.mjs";
import { Service } from "../../../scripts/lib/services.mjs";
import { findVictoriaMetrics, PATHS, victoriaMetricsCommand } from "../../../scripts/lib/victoria-metrics.mjs";
import { freePort } from "./net.mjs";
import { sums } from "./otlp.mjs";
import { projectPath } from "./project.mjs";
import { recipe } from "./recipe.mjs";
import { waitFor } from "./wait.mjs";

/**
 * Returns what a store that speaks PromQL has, by metric and source, of the last hour.
 *
 * @param {string} url of its API
 * @param {(metric: string) => string} query of a metric's sums by source
 * @param {string[]} names of metrics, as the Worker sends them
 * @param {(name: string) => string} [stored] how such a name is stored
 */
export async function askedSums(url, query, names, stored = (name) => name) {
  const all = [];
  for (const name of names) {
    const time = String(Math.ceil(Date.now() / 1000) + 1);
    const body = new URLSearchParams({ query: query(stored(name)), time, nocache: "1" });
    const response = await fetch(`${url}/api/v1/query`, { method: "POST", body });
    const { status, error, data } = await response.json();
    if (status !== "success") throw new Error(`${body}: ${error}`);
    for (const { metric, value } of data.result) all.push({ name, source: metric.source, value: Number(value[1]) });
  }
  return sums(all);
}

/** Starts an empty VictoriaMetrics, with the flags of its recipe. */
export async function startVictoriaMetrics(program = findVictoriaMetrics()) {
  const folder = await mkdtemp(join(tmpdir(), "librato-edge-vm-"));
  const port = await freePort();
  const url = `http://127.0.0.1:${port}`;
  const how = recipe("victoriametrics");
  const command = victoriaMetricsCommand(program, port, folder);
  for (const flag of how.commands("victoria-metrics")[0]) assert.ok(command.includes(flag), `the recipe's ${flag}`);
  const service = new Service("VictoriaMetrics", command);
  await service.answers(`${url}/health`);
  return {
    url: url + PATHS.otlp,

    /** Returns sums by metric and source. */
    async sums(names) {
      await (await fetch(`${url}/internal/force_flush`)).text();
      return askedSums(url, how.query, names);
    },

    async stop() {
      await service.stop();
      await rm(folder, { recursive: true, force: true });
    },
  };
}

/** Starts rotel, a collector, which prints every point that it receives. */
export async function startRotel() {
  const program = join(pythonPackages("rotel-0.0.1a15"), "rotel", "rotel-agent");
  const [http, grpc] = [await freePort(), await freePort()];
  const flags = ["--otlp-http-endpoint", `127.0.0.1:${http}`, "--otlp-grpc-endpoint", `127.0.0.1:${grpc}`];
  flags.push("--exporter", "blackhole", "--debug-log", "metrics", "--debug-log-verbosity", "detailed");
  const service = new Service("rotel", [program, "start", ...flags]);
  const url = `http://127.0.0.1:${http}/v1/metrics`;
  const points = () => printed(service.log);
  await waitFor("rotel", () =>
    fetch(url, { method: "POST", headers: { "content-type": "application/x-protobuf" } }).then(
      (response) => response.ok,
      () => false,
    ),
  );
  return { url, points, stop: () => service.stop() };
}

/** Parses the output of rotel, point by point. */
function printed(log) {
  const points = [];
  let resource = {};
  let metric = {};
  let attributes = resource;
  for (const line of log.split("\n")) {
    const [, key, value] = /^\s*(?:-> )?([\w. -]+?): ?(.*)$/.exec(line) ?? [];
    if (/^ResourceMetrics/.test(line)) resource = {};
    else if (/^Resource attributes/.test(line)) attributes = resource;
    else if (/^Metric #/.test(line)) metric = {};
    else if (/^(Number)?DataPoints? #|^NumberDataPoints/.test(line)) {
      attributes = {};
      points.push({ ...metric, resource, attributes });
    } else if (key === "Value" || key === "Timestamp" || key === "StartTimestamp") points.at(-1)[key] = value;
    else if (/^(Name|Unit|DataType|IsMonotonic|AggregationTemporality)$/.test(key ?? "")) metric[key] = value;
    else if (/^\s+-> /.test(line) && /^Str\(/.test(value ?? "")) attributes[key] = value.slice(4, -1);
  }
  return points;
}

/** Decodes requests with the official protobuf messages. */
export function decoded(bodies) {
  const output = execFileSync("python3", [projectPath("tests/e2e/clients/python/otlp.py")], {
    env: pythonEnvironment("opentelemetry-proto-1.45.2"),
    input: bodies.map((body) => `${body.toString("base64")}\n`).join(""),
    encoding: "utf8",
    maxBuffer: 256 * 1024 * 1024,
  });
  return output
    .split("\n")
    .filter(Boolean)
    .map((line) => JSON.parse(line));
}

/**
 * Starts a proxy before a receiver: it records requests, and handles each by a script.
 *
 * @typedef {object} Turn
 * @property {number} [status] answers with this, without forwarding the request
 * @property {Record<string, string>} [headers]
 * @property {string | Buffer} [body]
 * @property {'before' | 'after'} [cut] resets the connection before the request is forwarded, or after the receiver has
 *   answered
 */
export async function startWay(target) {
  const way = new Way(target);
  await way.start();
  return way;
}

class Way {
  /** @type {{ body: Buffer, headers: Record<string, string>, path: string, turn: Turn, status?: number }[]} */
  requests = [];
  #script = [];
  #then = () => ({});
  #server = createServer((request, response) => this.#answer(request, response));

  constructor(target) {
    this.target = target;
  }

  async start() {
    this.#server.listen(0, "127.0.0.1");
    await once(this.#server, "listening");
    this.url = `http://127.0.0.1:${this.#server.address().port}/v1/metrics`;
  }

  /** @param {Turn[]} script @param {(request: object) => Turn} [then] */
  play(script, then = () => ({})) {
    this.requests = [];
    this.#script = [...script];
    this.#then = then;
  }

  async #answer(request, response) {
    request.on("error", () => {});
    response.on("error", () => {});
    const chunks = [];
    for await (const chunk of request) chunks.push(chunk);
    const body = Buffer.concat(chunks);
    const recorded = { body, headers: request.headers, path: request.url, at: Date.now() };
    this.requests.push(recorded);
    const turn = this.#script.shift() ?? this.#then(recorded);
    recorded.turn = turn;
    if (turn.cut === "before") return request.socket.resetAndDestroy();
    if (turn.status || !this.target) {
      response.writeHead(turn.status ?? 200, turn.headers);
      return response.end(turn.body);
    }
    const forwarded = ["content-type", "content-encoding", "authorization"];
    const headers = Object.fromEntries(Object.entries(request.headers).filter(([name]) => forwarded.includes(name)));
    const answer = await fetch(this.target, { method: "POST", headers, body });
    const bytes = Buffer.from(await answer.arrayBuffer());
    recorded.status = answer.status;
    if (turn.cut === "after") return request.socket.resetAndDestroy();
    response.writeHead(answer.status, { "content-type": answer.headers.get("content-type") ?? "text/plain" });
    response.end(bytes);
  }

  async stop() {
    this.#server.close();
    this.#server.closeAllConnections();
    if (this.#server.listening) await once(this.#server, "close");
  }
}

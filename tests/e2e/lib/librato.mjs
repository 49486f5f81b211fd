// The local Librato as a process.

import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { projectPath } from "./project.mjs";
import { waitFor } from "./wait.mjs";
import { basic, secrets } from "./worker.mjs";

/** Returns the binary: `$LIBRATO_BIN`, or that of `cargo build`. */
function binary() {
  if (process.env.LIBRATO_BIN) return process.env.LIBRATO_BIN;
  const metadata = execFileSync("cargo", ["metadata", "--no-deps", "--offline", "--format-version", "1"], {
    cwd: projectPath("."),
    encoding: "utf8",
    maxBuffer: 64 * 1024 * 1024,
  });
  const built = join(JSON.parse(metadata).target_directory, "debug", "local-librato");
  assert.ok(existsSync(built), 'there is no local Librato: run "cargo build -p local-librato" first');
  return built;
}

/**
 * Starts a local Librato, which ends with this process in any case.
 *
 * @param {object} [options]
 * @param {number} [options.port] a free one by default
 * @param {string} [options.worker] URL of the Worker that its page talks to
 * @param {string} [options.writeKey] the write key that its page uses
 */
export async function startLibrato({ port = 0, worker, writeKey } = {}) {
  const { LIBRATO_EMAIL: user, LIBRATO_TOKEN: token } = secrets;
  const flags = ["--port", String(port), "--user", user, "--token", token, "--exit-with-stdin"];
  if (worker) flags.push("--worker", worker);
  if (writeKey) flags.push("--write-key", writeKey);
  flags.push("--vendor", projectPath("node_modules"));
  const child = spawn(binary(), flags, { stdio: ["pipe", "pipe", "inherit"] });
  const exited = once(child, "exit");
  for await (const line of createInterface({ input: child.stdout })) {
    const ready = /^local Librato listening on (http:\/\/localhost:\d+)$/.exec(line);
    if (ready) return new Librato(ready[1], child, exited);
  }
  throw new Error(`the local Librato ended before it was ready: ${await exited}`);
}

class Librato {
  #child;
  #exited;

  constructor(url, child, exited) {
    this.url = url;
    this.#child = child;
    this.#exited = exited;
  }

  /** Sends a request to its API, with the credentials. */
  async api(path, { method = "GET", body } = {}) {
    const { LIBRATO_EMAIL: user, LIBRATO_TOKEN: token } = secrets;
    const response = await fetch(this.url + path, {
      method,
      headers: { authorization: basic(user, token), "content-type": "application/json" },
      body: body && JSON.stringify(body),
    });
    const text = await response.text();
    return { status: response.status, body: text === "" ? null : JSON.parse(text) };
  }

  async #local(path, { method = "GET", body } = {}) {
    const response = await fetch(`${this.url}/local${path}`, {
      method,
      headers: { "content-type": "application/json" },
      body: body && JSON.stringify(body),
    });
    const text = await response.text();
    assert.ok(response.ok, `${method} /local${path}: ${response.status} ${text}`);
    return text === "" ? null : JSON.parse(text);
  }

  /** Returns the totals, and every metric with its sources. */
  state() {
    return this.#local("/state");
  }

  /** Returns a metric of the state, or undefined. */
  async metric(name) {
    return (await this.state()).metrics.find((metric) => metric.name === name);
  }

  /** Returns `{ "metric source": { count, sum } }` of all stored measurements. */
  async totals() {
    const { metrics } = await this.state();
    return Object.fromEntries(
      metrics.flatMap(({ name, sources }) =>
        sources.map(({ source, count, sum }) => [`${name} ${source}`, { count, sum }]),
      ),
    );
  }

  /** Returns the measurement requests since the last reset, oldest first: the last 200, or those after a number. */
  async requests({ after = 0 } = {}) {
    return (await this.#local(`/requests?after=${after}&limit=200`)).requests;
  }

  /** Injects a fault into the next measurement requests. */
  fault(fault) {
    return this.#local("/faults", { method: "POST", body: fault });
  }

  /** Removes all metrics, requests and faults. */
  reset() {
    return this.#local("/reset", { method: "POST" });
  }

  /** Returns the points of a metric by source, as the chart shows them. */
  series(metric, seconds = 600) {
    return this.#local(`/series?metric=${encodeURIComponent(metric)}&seconds=${seconds}`);
  }

  /** Waits until a metric has a number of samples. */
  counted(name, count, options) {
    return waitFor(
      `${count} of ${name}`,
      async () => {
        const metric = await this.metric(name);
        return metric?.count >= count && metric;
      },
      options,
    );
  }

  async stop() {
    this.#child.stdin.end();
    await this.#exited;
  }
}

// Programs that run side by side until one of them ends or the user ends them all.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { createServer } from "node:net";
import { createInterface } from "node:readline";
import { setTimeout as sleep } from "node:timers/promises";
import { dim, Problem } from "./console.mjs";
import { ending, environment, root } from "./process.mjs";

/** How long a program may take to end by itself before it is killed. */
const PATIENCE = 5_000;

/** A port number from the environment. */
export function portFrom(name, fallback) {
  const text = process.env[name] || fallback;
  const port = Number(text);
  if (Number.isInteger(port) && port > 0 && port < 65_536) return port;
  throw new Problem(`${name} must be a port number from 1 to 65535; it is "${text}".`);
}

/** Makes sure that nobody listens on a port of this machine's own addresses yet. */
export async function checkFree(port, name) {
  for (const host of ["127.0.0.1", "::1"]) {
    const server = createServer().listen({ port, host, exclusive: true });
    try {
      await once(server, "listening");
    } catch (error) {
      // A machine without IPv6 has no such address to listen on.
      if (error.code === "EADDRNOTAVAIL" || error.code === "EAFNOSUPPORT") continue;
      const reason = error.code === "EADDRINUSE" ? "is in use already" : `cannot be used (${error.code})`;
      throw new Problem(`Port ${port} ${reason}. Choose another: ${name}=${port + 10} npm start`);
    }
    server.close();
    await once(server, "close");
  }
}

/** One running program. It is a process group of its own, so that whatever it started ends with it. */
export class Service {
  #child;
  #lines = [];
  #ended = false;

  /**
   * @param {string} name how it is called in what is printed
   * @param {string[]} commandLine
   * @param {Record<string, string>} [env]
   */
  constructor(name, [command, ...args], env = {}) {
    this.name = name;
    // Its standard input is a pipe that closes with this process, which programs that watch for it take as the end.
    this.#child = spawn(command, args, { cwd: root, env: environment(env), detached: true, stdio: "pipe" });
    this.#child.stdin.on("error", () => {});
    const prefix = dim(`${name.padEnd(13)} │`);
    for (const stream of [this.#child.stdout, this.#child.stderr]) {
      createInterface({ input: stream }).on("line", (line) => {
        if (this.quiet) this.#lines.push(line);
        else console.log(`${prefix} ${line}`);
      });
    }
    /** Fulfilled with how it ended, in words. */
    this.ended = new Promise((resolve) => {
      this.#child.once("error", (error) => resolve(`could not be started: ${error.message}`));
      this.#child.once("exit", (code, signal) => resolve(ending(code, signal)));
    }).finally(() => {
      this.#ended = true;
    });
  }

  /** While true, what it prints is kept instead of shown. */
  quiet = true;

  /** What it has printed while it was quiet. */
  get log() {
    return this.#lines.join("\n");
  }

  /** Waits until a URL answers with success. */
  async answers(url, within = 60_000) {
    const deadline = Date.now() + within;
    let last = "no answer";
    while (!this.#ended && Date.now() < deadline) {
      try {
        const response = await fetch(url, { signal: AbortSignal.timeout(5_000) });
        last = `${response.status} ${(await response.text()).slice(0, 500)}`;
        if (response.ok) return;
      } catch (error) {
        last = error.cause?.message ?? error.message;
      }
      await Promise.race([sleep(100), this.ended]);
    }
    const what = this.#ended ? await this.ended : `did not become ready; ${url} said: ${last}`;
    throw new Problem(`The ${this.name} ${what}\n\n${this.log}`);
  }

  /** Signals the whole group; false if nothing of it is left. */
  #signal(signal) {
    try {
      return process.kill(-this.#child.pid, signal);
    } catch {
      return false;
    }
  }

  /** Ends it and everything that it started. */
  async stop() {
    if (this.#child.pid === undefined) return;
    this.#child.stdin.end();
    // The program itself knows best in which order to end its own.
    if (this.#ended) this.#signal("SIGTERM");
    else this.#child.kill("SIGTERM");
    const deadline = Date.now() + PATIENCE;
    while (Date.now() < deadline && this.#signal(0)) await sleep(20);
    this.#signal("SIGKILL");
    await this.ended;
  }
}

/** Fulfilled when the user, the system or the end of npm asks this process to end. */
export function askedToEnd() {
  return new Promise((resolve) => {
    for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) process.on(signal, resolve);
    if (process.env.npm_lifecycle_event === undefined) return;
    // npm passes signals on, but cannot when it is killed itself.
    const parent = process.ppid;
    setInterval(() => process.ppid !== parent && resolve(), 500).unref();
  });
}

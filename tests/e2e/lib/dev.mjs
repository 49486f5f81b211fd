// The Worker as `wrangler dev` runs it, from a configuration: for what hangs on the configuration and on the server in
// front of the Worker, which are the rate-limiting binding, TLS and the names of hosts.

import { createTestHarness, unstable_readConfig } from "wrangler";
import { projectPath } from "./project.mjs";
import { secrets } from "./worker.mjs";

// A placeholder does for `request.cf`: nobody is asked for a real one.
process.env.CLOUDFLARE_CF_FETCH_ENABLED = "false";
// Wrangler's own log of what it does would hold the settings.
process.env.WRANGLER_WRITE_LOGS = "false";

/**
 * Starts the built Worker with the project's `wrangler.toml`.
 *
 * @param {object} options
 * @param {string} [options.librato] base URL of the Librato that it sends to
 * @param {Record<string, string>} [options.settings] variables and secrets
 * @param {object} [options.config] further entries of the configuration
 */
export async function startDev({ librato, settings = {}, config = {} } = {}) {
  const known = unstable_readConfig({ config: projectPath("wrangler.toml") }, { hideWarnings: true });
  const { name, main, base_dir, rules, no_bundle, find_additional_modules, compatibility_date, assets } = known;
  const vars = { ...known.vars, ...(librato && { LIBRATO_URL: librato }), ...secrets, ...settings };
  // Without `[build]`, since what is tested is built already, and without the queue: delivery is direct.
  const built = { name, main, base_dir, rules, no_bundle, find_additional_modules, compatibility_date, assets };
  const harness = createTestHarness({ root: projectPath("."), workers: [{ config: { ...built, vars, ...config } }] });
  const { url } = await harness.listen();
  return {
    url: url.origin,
    /** A request to a path, or to a whole URL: the host in it is the one that the Worker sees. */
    fetch: (path, init) => harness.fetch(path, init),
    logs: () => harness.getLogs().map(({ message }) => message),
    stop: () => harness.close(),
  };
}

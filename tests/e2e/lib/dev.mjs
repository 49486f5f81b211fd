// The Worker as `wrangler dev` runs it, for tests that depend on its configuration or on the server before the Worker:
// the rate-limiting binding, TLS and host names.

import { createTestHarness, unstable_readConfig } from "wrangler";
import { projectPath } from "./project.mjs";
import { secrets } from "./worker.mjs";

// A placeholder suffices for `request.cf`: wrangler does not fetch a real one.
process.env.CLOUDFLARE_CF_FETCH_ENABLED = "false";
// Wrangler's own log would contain the settings.
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
  // Without `[build]`, since the artefact exists, and without the queue, so that delivery is direct.
  const built = { name, main, base_dir, rules, no_bundle, find_additional_modules, compatibility_date, assets };
  const harness = createTestHarness({ root: projectPath("."), workers: [{ config: { ...built, vars, ...config } }] });
  const { url } = await harness.listen();
  return {
    url: url.origin,
    /** Sends a request to a path, or to a whole URL, whose host is the one that the Worker sees. */
    fetch: (path, init) => harness.fetch(path, init),
    logs: () => harness.getLogs().map(({ message }) => message),
    stop: () => harness.close(),
  };
}

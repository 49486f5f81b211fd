// `npm start`: the Worker in workerd and the local Librato side by side, with nothing to configure. `npm start -- otlp`:
// the Worker and VictoriaMetrics, to which it sends by OTLP.

import { mkdtemp, rm } from "node:fs/promises";
import { devNull, tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { buildLocalLibrato, buildWorker } from "./lib/build.mjs";
import { bold, main, Problem, step } from "./lib/console.mjs";
import { inProject, root } from "./lib/process.mjs";
import { askedToEnd, checkFree, portFrom, Service } from "./lib/services.mjs";
import { setup } from "./lib/setup.mjs";
import { PATHS, victoriaMetrics, victoriaMetricsCommand } from "./lib/victoria-metrics.mjs";

/** The values with which all run, whatever the `.dev.vars` of the user says. */
const LOCAL = { user: "local", token: "local", writeKey: "local", operator: "local" };

/** Wrangler asks nobody and tells nobody anything: it works without a network. */
const OFFLINE = {
  CLOUDFLARE_CF_FETCH_ENABLED: "false",
  WRANGLER_HIDE_BANNER: "true",
  WRANGLER_SEND_ERROR_REPORTS: "false",
  WRANGLER_SEND_METRICS: "false",
  WRANGLER_WRITE_LOGS: "false",
};

const EVENT = '{"type":"track","event":"Order Completed","userId":"u1","properties":{"value":2}}';

/**
 * @typedef {object} Backend what the Worker sends to
 * @property {() => Service} start
 * @property {string} ready answers with success when it is ready
 * @property {Record<string, string>} settings the Worker's settings for it
 * @property {string} page where to look first
 * @property {string} introduction where it is
 * @property {string} look how to look at what has come of an event
 * @property {() => Promise<void>} [end] takes away what it leaves behind
 */

/** The local Librato. @returns {Promise<Backend>} */
async function librato(port, worker) {
  const program = await buildLocalLibrato();
  const flags = ["--port", String(port), "--worker", worker, "--exit-with-stdin"];
  flags.push("--user", LOCAL.user, "--token", LOCAL.token, "--write-key", LOCAL.writeKey);
  const url = `http://localhost:${port}`;
  return {
    start: () => new Service("local Librato", [program, ...flags]),
    ready: `${url}/`,
    settings: { LIBRATO_URL: url, LIBRATO_EMAIL: LOCAL.user, LIBRATO_TOKEN: LOCAL.token },
    page: `${bold("Open the live page:")}  ${url}`,
    introduction: `local Librato  ${url}    user "${LOCAL.user}", token "${LOCAL.token}"`,
    look: `curl -u ${LOCAL.user}:${LOCAL.token} '${url}/v1/metrics/Order-Completed?resolution=1&count=60'`,
  };
}

/** VictoriaMetrics, which takes OTLP: no delta sums, so gauges. @returns {Promise<Backend>} */
async function otlp(port) {
  const program = await victoriaMetrics();
  const folder = await mkdtemp(join(tmpdir(), "librato-edge-"));
  // It ends with its standard input, as the others do.
  const leash =
    'exec 3<&0; "$@" & child=$!; exec 2>/dev/null; trap "kill $child" TERM; (cat <&3 >/dev/null; kill $child) & wait $child; wait $child';
  const command = ["sh", "-c", leash, "sh", ...victoriaMetricsCommand(program, port, folder)];
  const url = `http://localhost:${port}`;
  const query = (metric) => `sum(sum_over_time({__name__="${metric}"}[1m])) by (source)`;
  const chart = `g0.expr=${encodeURIComponent(query("Order-Completed.count"))}&g0.range_input=15m`;
  return {
    start: () => new Service("VictoriaMetrics", command),
    ready: `${url}/health`,
    settings: { DESTINATION: "otlp", OTLP_URL: `http://127.0.0.1:${port}${PATHS.otlp}`, OTLP_PROFILE: "gauge" },
    page: `${bold("Events per minute by source:")}  ${url}${PATHS.page}?#/?${chart}`,
    introduction: `VictoriaMetrics  ${url}${PATHS.page}`,
    look: `curl '${url}/api/v1/query' --data-urlencode 'query=${query("Order-Completed")}'`,
    end: () => rm(folder, { recursive: true, force: true }),
  };
}

const BACKENDS = { librato, otlp };

function startWorker(port, backend) {
  const leash = pathToFileURL(inProject("scripts", "lib", "leash.mjs")).href;
  const wrangler = ["node", "--import", leash, inProject("node_modules", "wrangler", "bin", "wrangler.js")];
  const flags = ["--local", "--port", String(port), "--inspector-port", "0", "--show-interactive-dev-session=false"];
  // An empty file in the place of `.dev.vars` and `.env`.
  flags.push("--env-file", devNull);
  const settings = { ...backend.settings, WRITE_KEYS: LOCAL.writeKey, OPERATOR_TOKEN: LOCAL.operator };
  for (const [name, value] of Object.entries(settings)) flags.push("--var", `${name}:${value}`);
  return new Service("Worker", [...wrangler, "dev", ...flags], OFFLINE);
}

function introduction(worker, backend) {
  return `
${backend.page}
${bold("Open the operator's page:")}  ${worker}/operator    token "${LOCAL.operator}"

  Worker         ${worker}    write key "${LOCAL.writeKey}"
  ${backend.introduction}

Send an event, and look at its gauge:

  curl -u ${LOCAL.writeKey}: -d '${EVENT}' ${worker}/v1/track
  ${backend.look}

Ctrl-C stops both.
`;
}

await main(async () => {
  process.chdir(root);
  const [chosen = "librato", ...more] = process.argv.slice(2);
  if (!Object.hasOwn(BACKENDS, chosen) || more.length > 0) {
    throw new Problem(`There is "npm start", with the local Librato, and "npm start -- otlp", with VictoriaMetrics.`);
  }
  const port = portFrom("PORT", 8787);
  const backendPort = portFrom("LIBRATO_PORT", 8788);
  if (port === backendPort) throw new Problem(`PORT and LIBRATO_PORT are both ${port}. They must differ.`);
  await checkFree(port, "PORT");
  await checkFree(backendPort, "LIBRATO_PORT");

  const tools = await setup();
  const worker = `http://localhost:${port}`;
  const backend = await BACKENDS[chosen](backendPort, worker);
  await buildWorker(tools);

  const asked = askedToEnd();
  const services = [backend.start(), startWorker(port, backend)];
  try {
    const ready = step("starting", () =>
      Promise.all([services[0].answers(backend.ready), services[1].answers(`${worker}/health`)]),
    );
    const wanted = await Promise.race([ready.then(() => true), asked.then(() => false)]);
    if (!wanted) return;
    console.log(introduction(worker, backend));
    for (const service of services) service.quiet = false;

    const dead = services.map(async (service) => {
      throw new Problem(`The ${service.name} ${await service.ended}.`);
    });
    await Promise.race([asked, ...dead]);
  } finally {
    await step("stopping", () => Promise.all(services.map((service) => service.stop())));
    await backend.end?.();
  }
});

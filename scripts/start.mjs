// `npm start`: the Worker in workerd and the local Librato side by side, with nothing to configure.

import { devNull } from "node:os";
import { pathToFileURL } from "node:url";
import { buildLocalLibrato, buildWorker } from "./lib/build.mjs";
import { bold, main, Problem, step } from "./lib/console.mjs";
import { inProject, root } from "./lib/process.mjs";
import { askedToEnd, checkFree, portFrom, Service } from "./lib/services.mjs";
import { setup } from "./lib/setup.mjs";

/** The values with which both run, whatever the `.dev.vars` of the user says. */
const LOCAL = { user: "local", token: "local", writeKey: "local", operator: "local" };

/** Wrangler asks nobody and tells nobody anything: it works without a network. */
const OFFLINE = {
  CLOUDFLARE_CF_FETCH_ENABLED: "false",
  WRANGLER_HIDE_BANNER: "true",
  WRANGLER_SEND_ERROR_REPORTS: "false",
  WRANGLER_SEND_METRICS: "false",
  WRANGLER_WRITE_LOGS: "false",
};

function startLibrato(program, port, worker) {
  const flags = ["--port", String(port), "--worker", worker, "--exit-with-stdin"];
  flags.push("--user", LOCAL.user, "--token", LOCAL.token, "--write-key", LOCAL.writeKey);
  return new Service("local Librato", [program, ...flags]);
}

function startWorker(port, librato) {
  const leash = pathToFileURL(inProject("scripts", "lib", "leash.mjs")).href;
  const wrangler = ["node", "--import", leash, inProject("node_modules", "wrangler", "bin", "wrangler.js")];
  const flags = ["--local", "--port", String(port), "--inspector-port", "0", "--show-interactive-dev-session=false"];
  // An empty file in the place of `.dev.vars` and `.env`.
  flags.push("--env-file", devNull);
  const settings = {
    LIBRATO_URL: librato,
    LIBRATO_EMAIL: LOCAL.user,
    LIBRATO_TOKEN: LOCAL.token,
    WRITE_KEYS: LOCAL.writeKey,
    OPERATOR_TOKEN: LOCAL.operator,
  };
  for (const [name, value] of Object.entries(settings)) flags.push("--var", `${name}:${value}`);
  return new Service("Worker", [...wrangler, "dev", ...flags], OFFLINE);
}

function introduction(worker, librato) {
  const event = '{"type":"track","event":"Order Completed","userId":"u1","properties":{"value":2}}';
  return `
${bold("Open the live page:")}  ${librato}

  Worker         ${worker}    write key "${LOCAL.writeKey}"
  local Librato  ${librato}    user "${LOCAL.user}", token "${LOCAL.token}"

Send an event, and look at its gauge:

  curl -u ${LOCAL.writeKey}: -d '${event}' ${worker}/v1/track
  curl -u ${LOCAL.user}:${LOCAL.token} '${librato}/v1/metrics/Order-Completed?resolution=1&count=60'

What was set aside, and sending it again:

  curl -H 'Authorization: Bearer ${LOCAL.operator}' ${worker}/set-aside
  curl -H 'Authorization: Bearer ${LOCAL.operator}' -d '{"all":true}' ${worker}/set-aside/replay

Ctrl-C stops both.
`;
}

await main(async () => {
  process.chdir(root);
  const port = portFrom("PORT", 8787);
  const libratoPort = portFrom("LIBRATO_PORT", 8788);
  if (port === libratoPort) throw new Problem(`PORT and LIBRATO_PORT are both ${port}. They must differ.`);
  await checkFree(port, "PORT");
  await checkFree(libratoPort, "LIBRATO_PORT");

  const tools = await setup();
  const program = await buildLocalLibrato();
  await buildWorker(tools);

  const worker = `http://localhost:${port}`;
  const librato = `http://localhost:${libratoPort}`;
  const asked = askedToEnd();
  const services = [startLibrato(program, libratoPort, worker), startWorker(port, librato)];
  try {
    const ready = step("starting", () =>
      Promise.all([services[0].answers(`${librato}/`), services[1].answers(`${worker}/health`)]),
    );
    const wanted = await Promise.race([ready.then(() => true), asked.then(() => false)]);
    if (!wanted) return;
    console.log(introduction(worker, librato));
    for (const service of services) service.quiet = false;

    const dead = services.map(async (service) => {
      throw new Problem(`The ${service.name} ${await service.ended}.`);
    });
    await Promise.race([asked, ...dead]);
  } finally {
    await step("stopping", () => Promise.all(services.map((service) => service.stop())));
  }
});

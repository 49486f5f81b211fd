// VictoriaMetrics: a backend that takes OTLP, stores it and answers queries. From Debian's archive, unpacked and not
// installed, since the package of the release that has it wants newer libraries of the system than it needs.

import { existsSync, mkdirSync, readdirSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Problem, step } from "./console.mjs";
import { ask, run, toolsDirectory } from "./process.mjs";

const RELEASE = "trixie";
const PACKAGE = "victoria-metrics";
/**
 * The newest of the release: the archive keeps no other. That it is Debian's own is what apt checks, by the archive's
 * signature.
 */
const FOLDER = join(toolsDirectory, `${PACKAGE}-${RELEASE}`);
const PROGRAM = join(FOLDER, "usr", "bin", PACKAGE);

/** With its own page, and where it takes OTLP. */
export const PATHS = { page: "/vmui/", otlp: "/opentelemetry/v1/metrics" };

const HOW =
  "It is had from Debian's archive by apt, on Debian; elsewhere set VICTORIA_METRICS_BIN to the path of one, for example after \"brew " +
  'install victoriametrics".';

// Debian's prints nothing, and ends well.
const works = (path) => ask(path, "-version") !== undefined;

/** The URL of Debian's archive that this machine uses, as its own apt names it. */
function archive() {
  const targets = ask(
    "apt-get",
    "indextargets",
    "--format",
    "$(REPO_URI) $(RELEASE) $(COMPONENT)",
    "Created-By: Packages",
  );
  const debian = (targets ?? "").split("\n").map((line) => line.split(" "));
  return debian.find(
    ([, release, component]) => /^(bookworm|trixie|stable)$/.test(release) && component === "main",
  )?.[0];
}

/** Options with which apt looks at one release alone, and leaves what the machine knows of others as it is. */
function aptOptions(folder, source) {
  for (const name of ["lists/partial", "cache/archives/partial"]) mkdirSync(join(folder, name), { recursive: true });
  const list = join(folder, "sources.list");
  writeFileSync(list, source);
  const options = {
    "Dir::Etc::SourceList": list,
    "Dir::Etc::SourceParts": "/dev/null",
    "Dir::State::Lists": join(folder, "lists"),
    "Dir::Cache": join(folder, "cache"),
    "Acquire::IndexTargets::deb::DEP-11::DefaultEnabled": "false",
    "Acquire::Languages": "none",
    "APT::Sandbox::User": "",
  };
  return Object.entries(options).flatMap(([name, value]) => ["-o", `${name}=${value}`]);
}

async function download(into, show) {
  const url = archive();
  if (!url) throw new Problem("This machine's apt knows no archive of Debian's.");
  const keyring = "/usr/share/keyrings/debian-archive-keyring.gpg";
  const folder = `${into}.part`;
  rmSync(folder, { recursive: true, force: true });
  const options = aptOptions(folder, `deb [signed-by=${keyring}] ${url} ${RELEASE} main\n`);
  await run(["apt-get", ...options, "update"], { show });
  // It is put where the command runs.
  await run(["sh", "-c", 'cd "$0" && exec apt-get "$@"', folder, ...options, "download", PACKAGE], { show });
  const file = readdirSync(folder).find((name) => name.endsWith(".deb"));
  // Of its ten programs, one.
  mkdirSync(join(folder, "root"));
  const unpack = 'dpkg-deb --fsys-tarfile "$0" | tar -x -C "$1" "./usr/bin/$2"';
  await run(["sh", "-c", unpack, join(folder, file), join(folder, "root"), PACKAGE], { show });
  renameSync(join(folder, "root"), into);
  rmSync(folder, { recursive: true, force: true });
}

/** The path of the program that is there, if one is. */
function find() {
  const chosen = process.env.VICTORIA_METRICS_BIN;
  if (!chosen) return existsSync(PROGRAM) && works(PROGRAM) ? PROGRAM : undefined;
  if (!works(chosen)) throw new Problem(`VICTORIA_METRICS_BIN is "${chosen}", which does not run.`);
  return chosen;
}

/** The path of the program that is there already: a test downloads nothing and says nothing. */
export function findVictoriaMetrics() {
  const path = find();
  if (!path) throw new Problem(`VictoriaMetrics is missing; "npm test" and "npm start -- otlp" fetch it. ${HOW}`);
  return path;
}

/** The path of the program, downloaded unless it is there. */
export async function victoriaMetrics() {
  const found = find();
  if (found) return found;
  rmSync(FOLDER, { recursive: true, force: true });
  await step("VictoriaMetrics, from Debian's archive", async (show) => {
    try {
      await download(FOLDER, show);
    } catch (error) {
      throw new Problem(`VictoriaMetrics could not be had. ${HOW}\n\n${error.message}`);
    }
  });
  if (!works(PROGRAM)) throw new Problem(`${PROGRAM} does not run on this machine. ${HOW}`);
  return PROGRAM;
}

/** The command line of one that keeps what it stores in a folder, each point at once. */
export function victoriaMetricsCommand(program, port, folder) {
  return [
    program,
    `-httpListenAddr=127.0.0.1:${port}`,
    `-storageDataPath=${folder}`,
    "-retentionPeriod=1y",
    // A point that is sent again is kept once.
    "-dedup.minScrapeInterval=1ms",
    // What has come is to be seen at once.
    "-search.latencyOffset=0s",
    "-search.disableCache",
    "-loggerLevel=WARN",
  ];
}

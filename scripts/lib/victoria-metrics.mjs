// VictoriaMetrics: a backend that takes OTLP, stores it and answers queries. Built where Go is there, and otherwise from
// Debian's archive: unpacked and not installed, since the package of the release that has it wants newer libraries of the
// system than it needs.

import { existsSync, mkdirSync, readdirSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { buildCompiled, compiledCommand } from "./compiled.mjs";
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
  "It is built where Go is (https://go.dev/dl), or had from Debian's archive by apt, on Debian; elsewhere set VICTORIA_METRICS_BIN to " +
  'the path of one, for example after "brew install victoriametrics".';

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

/** The path of the program that the user names, if they name one. */
function chosen() {
  const path = process.env.VICTORIA_METRICS_BIN;
  if (path && !works(path)) throw new Problem(`VICTORIA_METRICS_BIN is "${path}", which does not run.`);
  return path;
}

/** The path of the program that is built, if it is. */
function built() {
  try {
    return compiledCommand(PACKAGE)[0];
  } catch {
    return undefined;
  }
}

const unpacked = () => (existsSync(PROGRAM) && works(PROGRAM) ? PROGRAM : undefined);

/** The path of the program that is there already: a test downloads nothing and says nothing. */
export function findVictoriaMetrics() {
  const path = chosen() || built() || unpacked();
  if (!path) throw new Problem(`VictoriaMetrics is missing; "npm test" and "npm start -- otlp" fetch it. ${HOW}`);
  return path;
}

/** Builds it, if that can be done here. */
async function build() {
  try {
    return await buildCompiled(PACKAGE);
  } catch (error) {
    if (!(error instanceof Problem)) throw error;
    // The modules may be out of reach.
    console.error(`\n${error.message}\n\nDebian's will do.\n`);
    return false;
  }
}

/** The path of the program, built or downloaded unless it is there. */
export async function victoriaMetrics() {
  const named = chosen();
  if (named) return named;
  if (await build()) return built();
  if (unpacked()) return PROGRAM;
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

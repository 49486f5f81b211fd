// VictoriaMetrics: a backend that takes OTLP, stores it and answers queries. From Debian's archive, unpacked and not
// installed, since the package of the release that has it wants newer libraries of the system than it needs.

import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Problem, step } from "./console.mjs";
import { ask, run, toolsDirectory } from "./process.mjs";

const RELEASE = "trixie";
const PACKAGE = "victoria-metrics";
const VERSION = "1.112.0+ds1-2";
/** What apt's own check of the archive's signature is not asked for: that it is still the same file. */
const SHA256 = { amd64: "1d3717f1a8ab5bf690271095dd286730f6fb0761cc8c09c0fc8f529c9838f346" };

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
  if (!url) throw new Problem(`VictoriaMetrics is missing. ${HOW}`);
  const keyring = "/usr/share/keyrings/debian-archive-keyring.gpg";
  const folder = `${into}.part`;
  rmSync(folder, { recursive: true, force: true });
  const options = aptOptions(folder, `deb [signed-by=${keyring}] ${url} ${RELEASE} main\n`);
  await run(["apt-get", ...options, "update"], { show });
  // It is put where the command runs.
  await run(["sh", "-c", 'cd "$0" && exec apt-get "$@"', folder, ...options, "download", `${PACKAGE}=${VERSION}`], {
    show,
  });
  const architecture = ask("dpkg", "--print-architecture");
  const file = join(folder, `${PACKAGE}_${VERSION}_${architecture}.deb`);
  const sum = createHash("sha256").update(readFileSync(file)).digest("hex");
  if (SHA256[architecture] && sum !== SHA256[architecture]) {
    throw new Problem(`${PACKAGE} ${VERSION} is another file than it was: ${sum}`);
  }
  // Of its ten programs, one.
  mkdirSync(join(folder, "root"));
  const unpack = 'dpkg-deb --fsys-tarfile "$0" | tar -x -C "$1" "./usr/bin/$2"';
  await run(["sh", "-c", unpack, file, join(folder, "root"), PACKAGE], { show });
  renameSync(join(folder, "root"), into);
  rmSync(folder, { recursive: true, force: true });
}

/** The path of the program, downloaded unless it is there. */
export async function victoriaMetrics() {
  const chosen = process.env.VICTORIA_METRICS_BIN;
  if (chosen) {
    if (works(chosen)) return chosen;
    throw new Problem(`VICTORIA_METRICS_BIN is "${chosen}", which does not run.`);
  }
  const folder = join(toolsDirectory, `${PACKAGE}-${VERSION}`);
  const path = join(folder, "usr", "bin", PACKAGE);
  if (existsSync(path) && works(path)) return path;
  rmSync(folder, { recursive: true, force: true });
  await step(`VictoriaMetrics ${VERSION}, from Debian's archive`, async (show) => {
    try {
      await download(folder, show);
    } catch (error) {
      throw new Problem(`VictoriaMetrics could not be had. ${HOW}\n\n${error.message}`);
    }
  });
  if (!works(path)) throw new Problem(`${path} does not run on this machine. ${HOW}`);
  return path;
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

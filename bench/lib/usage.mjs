// CPU time and memory of a process.

import { execFileSync } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";

/** Returns the CPU time of a process and all its threads so far, user and system, in milliseconds. */
export function cpuOf(pid) {
  if (process.platform !== "linux") return fromPs(pid);
  try {
    // In nanoseconds, while `stat` counts hundredths of a second. workerd's threads live as long as it does.
    const threads = readdirSync(`/proc/${pid}/task`);
    return threads.reduce((sum, thread) => sum + nanoseconds(`/proc/${pid}/task/${thread}/schedstat`) / 1e6, 0);
  } catch {
    const [, ...fields] = readFileSync(`/proc/${pid}/stat`, "utf8").split(") ");
    const [user, system] = fields.join(") ").split(" ").slice(11, 13);
    return (Number(user) + Number(system)) * 10;
  }
}

const nanoseconds = (file) => Number(readFileSync(file, "utf8").split(" ")[0]);

function fromPs(pid) {
  const time = execFileSync("ps", ["-o", "time=", "-p", String(pid)], { encoding: "utf8" }).trim();
  return time.split(/[-:]/).reduce((sum, part) => sum * 60 + Number(part), 0) * 1000;
}

/** Returns the resident memory of a process, in kilobytes. */
export function memoryOf(pid) {
  return Number(execFileSync("ps", ["-o", "rss=", "-p", String(pid)], { encoding: "utf8" }));
}

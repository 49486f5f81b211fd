// The libraries for Python.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { text } from "node:stream/consumers";
import { pythonEnvironment } from "../../../scripts/lib/python.mjs";
import { projectPath } from "../lib/project.mjs";
import { writeKey } from "../lib/worker.mjs";
import { GaveUp } from "./calls.mjs";

function inPython(id, name, requirements, settings = {}) {
  const [library, version] = requirements.split("-");
  return {
    id,
    name,
    version,
    retries: "all",
    async send({ host }, calls) {
      const program = projectPath("tests/e2e/clients/python/client.py");
      const child = spawn("python3", [program], {
        env: pythonEnvironment(requirements),
        stdio: ["pipe", "pipe", "inherit"],
      });
      const said = Promise.all([text(child.stdout), once(child, "exit")]);
      child.stdin.end(JSON.stringify({ module: `${library}.analytics`, host, writeKey, calls, settings }));
      return {
        async finish() {
          const [errors, [code]] = await said;
          if (code !== 0) throw new Error(`${program} has ended with exit code ${code}`);
          if (JSON.parse(errors).length > 0) throw new GaveUp(JSON.parse(errors));
        },
      };
    },
  };
}

export const pythonClients = [
  inPython("python-2-4", "analytics-python", "segment-2.4.0"),
  inPython("python-2-4-gzip", "analytics-python", "segment-2.4.0", { gzip: true }),
  inPython("python-2-2", "analytics-python", "segment-2.2.3"),
  inPython("python-rudderstack", "RudderStack, Python", "rudderstack-2.1.9"),
];

// The libraries for Python.

import { pythonEnvironment } from "../../../scripts/lib/python.mjs";
import { projectPath } from "../lib/project.mjs";
import { makeCalls } from "./program.mjs";

function inPython(id, name, requirements, { settings = {}, ...more }) {
  const [library, version] = requirements.split("-");
  return {
    id,
    name,
    version,
    retries: "all",
    ...more,
    send({ host }, calls) {
      const command = ["python3", projectPath("tests/e2e/clients/python/client.py")];
      const task = { module: `${library}.analytics`, host, calls, settings };
      return makeCalls(command, task, pythonEnvironment(requirements));
    },
  };
}

export const pythonClients = [
  inPython("python-2-4", "analytics-python", "segment-2.4.0", { heeds: true }),
  inPython("python-2-4-gzip", "analytics-python", "segment-2.4.0", { heeds: true, settings: { gzip: true } }),
  inPython("python-2-2", "analytics-python", "segment-2.2.3", { meets: 3 }),
  inPython("python-rudderstack", "RudderStack, Python", "rudderstack-2.1.9", { meets: 3 }),
];

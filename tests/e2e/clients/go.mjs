// The libraries for Go.

import { byCompiled } from "./program.mjs";
import { goVersion } from "./versions.mjs";

const PROGRAM = "clients-go";

const inGo = (id, name, module, library, { settings, ...more }) => ({
  id,
  name,
  version: goVersion(PROGRAM, module),
  send: byCompiled(PROGRAM, library, settings),
  ...more,
});

const segment = ["analytics-go", "github.com/segmentio/analytics-go/v3", "segment"];
const rudderstack = ["RudderStack, Go", "github.com/rudderlabs/analytics-go/v4", "rudderstack"];
/** Closed at once, a library sends what it has, but nothing again. */
const hasty = { retries: "told", settings: { hasty: true } };

export const goClients = [
  inGo("go-segment", ...segment, { retries: "all", meets: 4 }),
  inGo("go-segment-hasty", ...segment, hasty),
  inGo("go-rudderstack", ...rudderstack, { retries: "all", meets: 3 }),
  inGo("go-rudderstack-hasty", ...rudderstack, hasty),
];

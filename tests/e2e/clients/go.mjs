// The libraries for Go.

import { byCompiled } from "./program.mjs";
import { goVersion } from "./versions.mjs";

const PROGRAM = "clients-go";

const inGo = (id, name, module, library) => ({
  id,
  name,
  version: goVersion(PROGRAM, module),
  send: byCompiled(PROGRAM, library),
  retries: "all",
});

export const goClients = [
  inGo("go-segment", "analytics-go", "github.com/segmentio/analytics-go/v3", "segment"),
  inGo("go-rudderstack", "RudderStack, Go", "github.com/rudderlabs/analytics-go/v4", "rudderstack"),
];

// The libraries for Rust.

import { byCompiled } from "./program.mjs";
import { crateVersion } from "./versions.mjs";

const PROGRAM = "clients-rust";

const inRust = (id, name, crate, library, more) => ({
  id,
  name,
  version: crateVersion(PROGRAM, crate),
  send: byCompiled(PROGRAM, library, more?.settings),
  ...more,
});

const segment = ["segment, Rust", "segment", "segment"];
const rudderstack = ["RudderStack, Rust", "rudderanalytics", "rudderstack"];
const batch = { settings: { batch: true } };

export const rustClients = [
  inRust("rust-segment", ...segment, { retries: "told" }),
  inRust("rust-segment-batch", ...segment, { retries: "told", ...batch }),
  inRust("rust-rudderstack", ...rudderstack, { retries: "all", heeds: true }),
  // It gives each event of a batch the batch's own time.
  inRust("rust-rudderstack-batch", ...rudderstack, { retries: "all", heeds: true, ownTime: false, ...batch }),
];

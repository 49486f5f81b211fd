// The machine's own Chromium, without access to other machines.

import { chromium } from "playwright-core";
import { findChromium } from "../../../scripts/lib/chromium.mjs";

/** Starts it headless. It only reaches this machine, so that a Worker's certificate may be self-signed. */
export async function startChromium() {
  return chromium.launch({
    executablePath: findChromium(),
    args: [
      "--no-sandbox",
      "--ignore-certificate-errors",
      "--disable-gpu",
      "--disable-quic",
      "--no-first-run",
      "--disable-background-networking",
      "--disable-component-update",
      "--disable-sync",
      "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE localhost, EXCLUDE 127.0.0.1",
    ],
  });
}

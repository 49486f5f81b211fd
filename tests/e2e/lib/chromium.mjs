// A Chromium that this machine has, without a way to any other machine.

import { chromium } from "playwright-core";
import { findChromium } from "../../../scripts/lib/chromium.mjs";

/** Starts it without a window. It can reach nothing but this machine, so the certificate of a Worker need not be signed. */
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

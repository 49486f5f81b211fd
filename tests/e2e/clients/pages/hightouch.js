// Hightouch's library: Segment's, which asks for no settings and is told where to send.

import { HtEventsBrowser } from "@ht-sdks/events-sdk-js-browser";
import { maker } from "./make.js";

window.start = ({ edge, writeKey, options }) => {
  const events = HtEventsBrowser.load({ writeKey }, { apiHost: new URL(edge).host, ...options });
  window.make = maker(() => events);
};

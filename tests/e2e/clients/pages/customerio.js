// Customer.io's library: Segment's, which reads an entry of its own name in the settings.

import { AnalyticsBrowser } from "@customerio/cdp-analytics-browser";
import { maker } from "./make.js";

window.start = ({ edge, writeKey, options }) => {
  const analytics = AnalyticsBrowser.load({ writeKey, cdnURL: edge }, options);
  window.make = maker(() => analytics);
};

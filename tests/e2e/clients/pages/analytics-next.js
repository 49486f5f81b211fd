// analytics.js as an application has it from npm. Which version this is, the bundler is told.

import { AnalyticsBrowser } from "analytics-next";
import { maker } from "./make.js";

window.start = ({ edge, writeKey, options }) => {
  const analytics = AnalyticsBrowser.load({ writeKey, cdnURL: edge }, options);
  window.make = maker(() => analytics);
};

// RudderStack's library. What it would ask RudderStack for, the page tells it.

import { RudderAnalytics } from "@rudderstack/analytics-js/bundled";
import { maker, rudderstackSettings } from "./make.js";

const source = {
  id: "edge",
  name: "edge",
  enabled: true,
  workspaceId: "edge",
  destinations: [],
  config: { statsCollection: { errors: { enabled: false }, metrics: { enabled: false } } },
};

window.start = ({ edge, writeKey, options }) => {
  const analytics = new RudderAnalytics();
  analytics.load(writeKey, edge, { getSourceConfig: () => ({ source: { ...source, writeKey } }), ...options });
  window.make = maker(() => analytics, rudderstackSettings);
};

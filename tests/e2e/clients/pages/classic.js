// The classic analytics.js, from before it was rewritten: its core, and its integration with Segment. It asks for no
// settings, and knows https only.

import analytics from "@segment/analytics.js-core";
import segment from "@segment/analytics.js-integration-segmentio";
import { maker } from "./make.js";

window.start = ({ edge, writeKey }) => {
  analytics.use(segment);
  analytics.initialize({ "Segment.io": { apiKey: writeKey, apiHost: `${new URL(edge).host}/v1` } });
  window.make = maker(() => analytics);
};

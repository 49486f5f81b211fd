// The mapping of the original server-side Librato destination, on the library that it was built on: `@segment/facade`
// finds the fields of an event, this file maps them.

import { Page, Track } from "@segment/facade";

const clean = (text) => text.replace(/[^A-Za-z0-9._-]/g, "-").slice(0, 255);

const fromTrack = (track) => {
  if (!track.enabled("Librato")) return null;
  const name = clean(track.event());
  return {
    name,
    value: track.value() ?? 1,
    source: track.options("Librato").source || track.proxy("options.source") || name,
    measure_time: Math.floor(track.timestamp().getTime() / 1000),
  };
};

/**
 * Returns the gauge that the original sent for `event`, or null if the destination was switched off. It throws where
 * the original did, which lost the event.
 */
export function original(event, receivedAt) {
  // Segment set the time of receipt before an event reached a destination.
  const dated = { timestamp: new Date(receivedAt), ...event };
  if (event.type === "track") return fromTrack(new Track(dated));
  const page = new Page(dated);
  return fromTrack(page.track(page.fullName()));
}

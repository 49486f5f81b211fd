// What the original server-side Librato destination made of an event, on the library that it was
// built on: `@segment/facade` decides what is read from where, this file what becomes of it.

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
 * The one gauge that the original sent for `event`, or null where it was switched off.
 * It throws where the original did, and so lost the event.
 */
export function original(event, receivedAt) {
  // Before an event reached a destination, Segment had filled in the time of receipt.
  const dated = { timestamp: new Date(receivedAt), ...event };
  if (event.type === "track") return fromTrack(new Track(dated));
  const page = new Page(dated);
  return fromTrack(page.track(page.fullName()));
}

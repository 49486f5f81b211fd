// Deliberate deviations from the original. Events that show one are left out of the recording;
// `../fixtures/mapping` has cases for them.

import { allOff, integrations, librato, options, time } from "./shape.mjs";

const spelledOtherwise = ([key]) => key !== "Librato";
const LEGAL_SOURCE = /^(?!all$)[A-Za-z0-9.:_-]{1,255}$/i;

/** Deviations, each with a predicate of the event and of the original's result: a gauge, or null. */
export const DEVIATIONS = {
  // The original honoured the switch under `Librato` only, though it found options under any case.
  "Librato false under another spelling": (event) =>
    librato(integrations(event))
      .filter(spelledOtherwise)
      .some(([, value]) => value === false),

  // Likewise for the override of `All`.
  "All false, Librato listed under another spelling": (event) =>
    librato(integrations(event)).some(spelledOtherwise) &&
    [integrations(event), options(event), options(event).providers].some(allOff),

  // In the original `options` and `context` had precedence over `integrations`.
  "All false in integrations, but true in options or context": (event, gauge) =>
    gauge && allOff(event.integrations) && librato(event.integrations).length === 0,

  // The original passed on any value, for Librato to refuse.
  "value not a number, or beyond Librato's range": (_, gauge) =>
    gauge && !(typeof gauge.value === "number" && Math.abs(gauge.value) < 1e127),

  // The original passed on any source, and rewrote text in it that it could read as a date.
  "source not as Librato takes it": (_, gauge) =>
    gauge && !(typeof gauge.source === "string" && LEGAL_SOURCE.test(gauge.source)),

  // The original ignored such a zone, and took the time for UTC.
  "zone after a date with a space for its T": (event) => /^[\d-]+ [\d:.,]+[+-](?!00)/.test(time(event)),

  // The original passed on any time: null, true and false as the epoch, anything else as NaN.
  "time invalid or empty, or not in the two hours before receipt": (_, gauge, receivedAt) =>
    gauge && !(gauge.measure_time * 1000 >= receivedAt - 7_200_000 && gauge.measure_time * 1000 <= receivedAt),
};

// How the original looked at an event: where its options are, and which key goes for which.

import { Track } from "@segment/facade";

export const isObject = (value) => typeof value === "object" && value !== null;
export const isNoObject = (value) => Boolean(value) && (!isObject(value) || Array.isArray(value));

export const options = (event) => event.options || event.context || {};
export const integrations = (event) => new Track(event).integrations();

const squeeze = (key) => key.replace(/[^A-Za-z0-9]/g, "").toLowerCase();

/** The members of `object` whose key reads `key`, whatever its case and the signs in between. */
export const members = (object, key) =>
  isObject(object) ? Object.entries(object).filter(([name]) => squeeze(name) === key) : [];

export const librato = (object) => members(object, "librato");
export const allOff = (object) => members(object, "all").some(([, value]) => value === false);
/** A timestamp that is text, else empty text. */
export const time = ({ timestamp }) => (typeof timestamp === "string" ? timestamp : "");

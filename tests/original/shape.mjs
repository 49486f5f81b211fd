// The original's lookup of fields: the place of the options, and the loose comparison of keys.

import { Track } from "@segment/facade";

export const isObject = (value) => typeof value === "object" && value !== null;
export const isNoObject = (value) => Boolean(value) && (!isObject(value) || Array.isArray(value));

export const options = (event) => event.options || event.context || {};
export const integrations = (event) => new Track(event).integrations();

const squeeze = (key) => key.replace(/[^A-Za-z0-9]/g, "").toLowerCase();

/** Returns the members of `object` whose key is `key` but for case and punctuation. */
export const members = (object, key) =>
  isObject(object) ? Object.entries(object).filter(([name]) => squeeze(name) === key) : [];

export const librato = (object) => members(object, "librato");
export const allOff = (object) => members(object, "all").some(([, value]) => value === false);
/** Returns a timestamp that is a string, else an empty one. */
export const time = ({ timestamp }) => (typeof timestamp === "string" ? timestamp : "");

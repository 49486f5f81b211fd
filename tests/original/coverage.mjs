// Rules that the recording must cover: every way to a name, a value, a source, a switch and a time.

import { allOff, isNoObject, isObject, librato, members, options, time } from "./shape.mjs";

const own = (event) => event.integrations?.Librato;
const has = (object, key) => isObject(object) && Object.hasOwn(object, key);
const given = (value) => isObject(value) && Boolean(value.source);
const gives = (object) => librato(object).some(([, value]) => given(value));
const sources = (object) => members(object, "source").length;
const values = (event) => members(event.properties, "value");
/** Counts the keys in a JSON text, repeated ones included. */
const keys = (json) => [...json.matchAll(/"(?:[^"\\]|\\.)*"(:?)/g)].filter(([, colon]) => colon).length;

const ISO = /^\d{4}-?\d\d-?\d\d[ T][\d:.,]+(Z|[+-][\d:]+)?$/;
const ROLLED = /^\d{4}-(1[3-9]|2\d|\d\d-(3[2-9]|[4-9]\d)|\d\d-\d\dT(2[4-9]|[3-9]\d|\d\d:[6-9]|\d\d:\d\d:[6-9]))/;

/** Returns whether only JavaScript's own `Date.parse` reads this timestamp. */
export const isNative = (event) => time(event) !== "" && !ISO.test(time(event)) && !/\d{10}/.test(time(event));

/** Rules, each with a predicate of the event, of the original's result, and of the event's JSON text. */
export const RULES = {
  "source: integrations.Librato.source": (e) => given(own(e)),
  "source: the same under another spelling of Librato": (e) => !has(e.integrations, "Librato") && gives(e.integrations),
  "source: Librato beside another spelling": (e) => given(own(e)) && librato(e.integrations).length > 1,
  "source: integrations.Librato.Source is not looked at": (e) =>
    isObject(own(e)) && !has(own(e), "source") && sources(own(e)) > 0,
  "source: integrations.Librato without one hides Librato in context and options": (e) =>
    isObject(own(e)) && !own(e).source && gives(options(e)),
  "source: context.Librato.source without integrations": (e) => !e.integrations && !e.options && gives(e.context),
  "source: context.Librato.source, nothing of Librato in integrations": (e) =>
    isObject(e.integrations) && librato(e.integrations).length === 0 && !e.options && gives(e.context),
  "source: context.Librato.source, integrations.Librato true": (e) => own(e) === true && !e.options && gives(e.context),
  "source: options.Librato.source without integrations": (e) => !e.integrations && gives(e.options),
  "source: options.Librato.source with integrations": (e) => e.integrations && gives(e.options),
  "source: context.source": (e) => !e.options && has(e.context, "source"),
  "source: context.source under another spelling": (e) =>
    !e.options && !has(e.context, "source") && sources(e.context) > 0,
  "source: options.source": (e) => sources(e.options) > 0,
  "source: two spellings of context.source or options.source": (e) => sources(options(e)) > 1,
  "source: campaign.source and the like are not looked at": (e) =>
    ["campaign", "page", "app"].some((key) => given(options(e)[key])),
  "source: Librato.source before context.source and options.source": (e) =>
    [own(e), options(e).Librato].some(given) && sources(options(e)) > 0,
  "source: an empty or zero Librato.source gives way to them": (e) =>
    [own(e), options(e).Librato].some((v) => has(v, "source") && !v.source) && sources(options(e)) > 0,
  "source: options hide context": (e) => isObject(e.options) && (gives(e.context) || sources(e.context) > 0),
  "source: options null, false, 0 or empty text do not": (e) => "options" in e && !e.options,
  "source: options or context are no object": (e) => isNoObject(options(e)),
  "source: integrations null, false, 0 or empty text count as none": (e) => "integrations" in e && !e.integrations,
  "source: integrations are no object": (e) => isNoObject(e.integrations),
  "source: providers stand in for integrations": (e) => !e.integrations && librato(options(e).providers).length > 0,
  "source: none but the name": (e, gauge) =>
    gauge !== null && !("integrations" in e || "context" in e || "options" in e),
  "switch: integrations.Librato false": (e) => own(e) === false,
  "switch: integrations.Librato text or a number": (e) => ["string", "number"].includes(typeof own(e)),
  "switch: integrations.All false": (e) => allOff(e.integrations) && librato(e.integrations).length === 0,
  "switch: integrations.All false, Librato listed": (e) => allOff(e.integrations) && has(e.integrations, "Librato"),
  "switch: integrations.All neither true nor false": (e) =>
    members(e.integrations, "all").some(([, v]) => typeof v !== "boolean"),
  "switch: All false in context or options": (e) => allOff(options(e)),
  "switch: All false in providers": (e) => allOff(options(e).providers),
  "switch: Librato false in context or options without integrations": (e) =>
    !e.integrations && !options(e).providers && options(e).Librato === false,
  "switch: Librato false in context or options with integrations": (e) =>
    isObject(e.integrations) && options(e).Librato === false,
  "name: not ASCII": (e) => /[^\0-\x7f]/.test(e.event),
  "name: cut at 255": (e, gauge) => e.event?.length > 255 && gauge !== null,
  "name: page without a name": (e) => e.type === "page" && !e.name,
  "name: page with a name": (e) => e.type === "page" && e.name && !e.category,
  "name: page with a category and a name": (e) => e.type === "page" && e.name && e.category,
  "name: page with a name or category that is no text": (e) =>
    e.type === "page" && [e.name, e.category].some((v) => v && typeof v !== "string"),
  "value: value": (e) => typeof e.properties?.value === "number",
  "value: another spelling": (e) => !has(e.properties, "value") && values(e).length > 0,
  "value: two spellings": (e) => values(e).length > 1,
  "value: null": (e) => values(e).some(([, v]) => v === null),
  "value: 0": (e) => values(e).some(([, v]) => v === 0),
  "value: properties are no object": (e) => isNoObject(e.properties) || ("properties" in e && !e.properties),
  "keys: one given twice": (e, _, json) => keys(json) > keys(JSON.stringify(e)),
  "time: none": (e) => !("timestamp" in e),
  "time: number of seconds": (e) => typeof e.timestamp === "number" && e.timestamp < 31_557_600_000,
  "time: number of milliseconds": (e) => typeof e.timestamp === "number" && e.timestamp >= 31_557_600_000,
  "time: 10 to 12 digits": (e) => /^\d{10,12}$/.test(time(e)),
  "time: 13 digits": (e) => /^\d{13}$/.test(time(e)),
  "time: digits and what follows them": (e) => /^\d{10,}[^\dT]/.test(time(e)),
  "time: ISO with Z": (e) => /T.*Z$/.test(time(e)),
  "time: ISO without a zone": (e) => /T[\d:.,]+$/.test(time(e)),
  "time: ISO with an offset": (e) => /T.*[+-]\d\d:\d\d$/.test(time(e)),
  "time: ISO with an offset without a colon": (e) => /T.*[+-]\d\d(\d\d)?$/.test(time(e)),
  "time: ISO with a space for its T": (e) => /^[\d-]+ [\d:.,]+(Z|[+-]00:?(00)?)?$/.test(time(e)),
  "time: ISO without dashes": (e) => /^\d{8}[ T]/.test(time(e)),
  "time: ISO without colons": (e) => /[ T]\d{4}/.test(time(e)),
  "time: ISO without seconds": (e) => /[ T]\d\d:?\d\d(Z|[+-].*)?$/.test(time(e)),
  "time: ISO with a comma": (e) => ISO.test(time(e)) && time(e).includes(","),
  "time: ISO with more than milliseconds": (e) => /T.*[.,]\d{4,}/.test(time(e)),
  "time: rolled over": (e) => ROLLED.test(time(e)),
  "time: read by JavaScript only": isNative,
};

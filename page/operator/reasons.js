/**
 * What the codes of the Worker mean to its operator.
 * @typedef {object} Reason
 * @property {string} what why events are missing, after "120 events were refused: "
 * @property {string} fix what he can do about it
 * @property {string} [code] a line for `wrangler.toml` or the shell
 */

/** @type {Record<string, Reason>} events that were refused */
export const REFUSED = {
  event_not_allowed: {
    what: "ALLOWED_EVENTS does not list their names",
    fix: "Add the names in wrangler.toml and deploy, or stop sending them.",
  },
  timestamp_out_of_range: {
    what: "their time is too old or in the future",
    fix: "The sender’s clock is wrong, or the events waited too long. To count them at the time of receipt:",
    code: 'LATE_EVENTS = "now"',
  },
  invalid_timestamp: {
    what: "their timestamp is no date",
    fix: "Mend it in the sender, or count such events at the time of receipt:",
    code: 'LATE_EVENTS = "now"',
  },
  invalid_value: {
    what: "properties.value is not a number that the destination takes",
    fix: "Send a number, not a text with a currency or nothing at all.",
  },
  missing_event: { what: "a track call has no event name", fix: "Name the event in the sender." },
  missing_identity: {
    what: "they have neither userId nor anonymousId",
    fix: "Segment’s protocol wants one of the two: send it along.",
  },
  missing_type: { what: "they have no type", fix: "In a batch each event needs one, such as “track”." },
  unsupported_type: { what: "their type is not one of Segment’s", fix: "Send track or page." },
  invalid_source: { what: "their source is neither a text nor a number", fix: "Mend it in the sender." },
  event_too_large: { what: "they have more than 65,536 bytes", fix: "Send less along with the event." },
  invalid_event: { what: "they are not objects", fix: "Mend it in the sender." },
  refused_by_librato: {
    what: "the destination refuses the measurement",
    fix: "Its own words say why. Mend the metric there.",
  },
};

/** @type {Record<string, Reason>} requests that were refused as a whole */
export const FAILED = {
  invalid_write_key: {
    what: "their write key is not one of WRITE_KEYS",
    fix: "Give the client the right one, or add it:",
    code: "npx wrangler secret put WRITE_KEYS",
  },
  origin_not_allowed: {
    what: "they came from a page that ALLOWED_ORIGINS does not list",
    fix: "Add the page’s origin in wrangler.toml and deploy.",
  },
  rate_limited: { what: "they were too many at once", fix: "Clients send them again. RATE_LIMITER sets the limit." },
  misconfigured: {
    what: "a setting is missing or wrong",
    fix: "Clients send them again. Health names the setting.",
  },
  upstream_unavailable: {
    what: "the destination or the queue did not take them",
    fix: "Clients send them again.",
  },
  malformed_json: { what: "they were not JSON", fix: "Mend the sender." },
  invalid_event: { what: "they had another shape than events have", fix: "Mend the sender." },
  payload_too_large: {
    what: "they were too large",
    fix: "Send smaller batches: a request may have 1 MB and 2,500 events.",
  },
  unsupported_encoding: {
    what: "they were packed in a way that is not understood",
    fix: "Send them as gzip or plain.",
  },
  invalid_signature: {
    what: "the signature of a webhook was wrong",
    fix: "Segment and this Worker need the same secret:",
    code: "npx wrangler secret put WEBHOOK_SECRET",
  },
};

/** @type {Record<string, Reason & { isNormal?: boolean }>} events that were accepted and became no measurement */
export const NOT_MEASURED = {
  switched_off: {
    what: "they are switched off by their own integrations",
    fix: "The sender says integrations: { Librato: false } or { All: false }. Take that out where they should count.",
  },
  no_consent: {
    what: "the visitor has not consented to CONSENT_CATEGORIES",
    fix: "As it should be, unless every visitor is meant: then look at what your consent manager sends.",
  },
  duplicate: {
    what: "they had been sent before",
    fix: "As it should be: an event that its client sends again counts once.",
    isNormal: true,
  },
  not_measured: {
    what: "calls of their type are not measured",
    fix: "As it should be: only Track and Page become measurements.",
    isNormal: true,
  },
};

/** @type {Record<string, Reason>} measurements that were set aside */
export const SET_ASIDE = {
  refused_by_librato: {
    what: "the destination refused them for good",
    fix: "Mend the metric there by its words, then replay them.",
  },
  timestamp_out_of_range: {
    what: "they waited longer than the destination takes",
    fix: "Replay them at the present time.",
  },
};

/** @param {Record<string, Reason>} reasons @param {string} code @returns {Reason} */
export const reasonOf = (reasons, code) => reasons[code] ?? { what: code.replaceAll("_", " "), fix: "" };

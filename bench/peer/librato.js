// Rolls up measurements of one metric, source and interval, and sends them to Librato.

import { Failure } from "./answer.js";
import { inRange } from "./mapping.js";

const MAX_AGE_SECONDS = 7_200;
const MAX_GAUGES = 300;
const MAX_BYTES = 1_000_000;
const MAX_AT_ONCE = 6;
const TIMEOUT = 3_000;
const PAUSE = 150;
/** Time-outs of the whole delivery, from its own beginning and from that of the request, in milliseconds. */
const DEADLINE = 6_000;
const REQUEST_DEADLINE = 6_800;
const SHORTEST_TRY = 250;

/** Several samples of one metric, source and interval. */
class Gauge {
  constructor({ name, source, value }, time, measurement) {
    this.name = name;
    this.source = source;
    this.time = time;
    this.count = 1;
    this.sum = value;
    this.min = value;
    this.max = value;
    this.sumSquares = value * value;
    this.members = [measurement];
  }

  /** Adds a value and returns whether that was possible: a sum out of range would be refused as a whole. */
  takes(measurement) {
    const { value } = measurement;
    const sum = this.sum + value;
    if (!inRange(sum)) return false;
    this.count += 1;
    this.sum = sum;
    if (value < this.min) this.min = value;
    if (value > this.max) this.max = value;
    this.sumSquares += value * value;
    this.members.push(measurement);
    return true;
  }

  /** Returns the gauge as JSON. Metrics and sources need no escapes. */
  toText(creation) {
    const { count, sum } = this;
    const values = count === 1 ? `"value":${sum}` : `"count":${count},"sum":${sum},"min":${this.min},"max":${this.max}`;
    const squares = count > 1 && inRange(this.sumSquares) ? `,"sum_squares":${this.sumSquares}` : "";
    const { metric, json } = this.name;
    return `{"name":"${metric}",${values},"display_name":${json}${creation}${squares},"source":"${this.source}","measure_time":${this.time}}`;
  }
}

/** Rolls up measurements. Librato ignores the case of names and sources; the first spelling is sent. */
export function rollUp(measured, interval, oldest) {
  const gauges = [];
  const places = new Map();
  for (const measurement of measured) {
    const { name, source, time } = measurement;
    const begin = time - (time % interval);
    const key = `${name.metric} ${source} ${begin}`.toLowerCase();
    const held = places.get(key);
    if (held?.takes(measurement)) continue;
    const gauge = new Gauge(measurement, Math.max(begin, Math.min(oldest, time)), measurement);
    places.set(key, gauge);
    gauges.push(gauge);
  }
  return gauges;
}

/**
 * Delivers a request's measurements while its client waits.
 *
 * @param {import("./ingest.js").Intake} intake learns what Librato refused
 * @param {object} settings
 * @param {number} startedAt
 * @param {object} line the log line
 * @throws {Failure} when something could not be delivered now
 */
export async function deliver(intake, settings, startedAt, line) {
  const oldest = Math.floor(startedAt / 1000) - MAX_AGE_SECONDS;
  const gauges = rollUp(intake.measured, settings.rollupSeconds, oldest);
  line.gauges = gauges.length;
  const deadline = Math.min(Date.now() + DEADLINE, startedAt + REQUEST_DEADLINE);
  const delivery = { settings, deadline, line, failure: undefined, refused: [] };
  if (gauges.length <= MAX_GAUGES) {
    await post(gauges, delivery);
  } else {
    const waiting = [];
    for (let at = 0; at < gauges.length; at += MAX_GAUGES) waiting.push(gauges.slice(at, at + MAX_GAUGES));
    const lanes = Array.from({ length: MAX_AT_ONCE }, async () => {
      for (let batch = waiting.shift(); batch !== undefined; batch = waiting.shift()) await post(batch, delivery);
    });
    await Promise.all(lanes);
  }
  if (delivery.failure !== undefined) throw delivery.failure;
  for (const { members, reason } of delivery.refused) intake.refuse(members, reason);
}

/** Sends a request. Once one has failed, no other begins: the client will send all of them again. */
async function post(gauges, delivery) {
  if (delivery.failure !== undefined) return;
  const { settings, deadline, line } = delivery;
  let body = `{"gauges":[${gauges[0].toText(settings.creation)}`;
  let extraBytes = gauges[0].name.extraBytes;
  for (let at = 1; at < gauges.length; at += 1) {
    body += `,${gauges[at].toText(settings.creation)}`;
    extraBytes += gauges[at].name.extraBytes;
  }
  body += "]}";
  if (body.length + extraBytes > MAX_BYTES && gauges.length > 1) return halve(gauges, delivery);
  for (let tries = 1; ; tries += 1) {
    line.libratoRequests += 1;
    const timeLeft = deadline - Date.now();
    const reply = await exchange(settings, body, Math.min(TIMEOUT, timeLeft), line);
    if (reply === DELIVERED) return;
    if (reply.isTooLarge && gauges.length > 1) return halve(gauges, delivery);
    if (reply.refusal !== undefined) {
      if (reply.isSearched && gauges.length > 1) return halve(gauges, delivery);
      delivery.refused.push({ members: gauges.flatMap(({ members }) => members), reason: reply.refusal });
      return;
    }
    const pause = reply.retryAfter === undefined ? PAUSE * (1 + Math.random()) : reply.retryAfter * 1000;
    line.trouble = reply.detail;
    if (tries === 2 || Date.now() + pause + SHORTEST_TRY > deadline) {
      if (isWorse(reply.failure, delivery.failure)) delivery.failure = reply.failure;
      return;
    }
    await new Promise((resolve) => setTimeout(resolve, pause));
  }
}

/** Codes in order of severity. */
const SEVERITY = ["upstream_unavailable", "rate_limited", "misconfigured"];
const isWorse = (one, other) => other === undefined || SEVERITY.indexOf(one.code) > SEVERITY.indexOf(other.code);

async function halve(gauges, delivery) {
  const half = gauges.length >> 1;
  await post(gauges.slice(0, half), delivery);
  await post(gauges.slice(half), delivery);
}

const DELIVERED = {};

/** Sends a request, reads the whole answer, and classifies it. */
async function exchange(settings, body, timeout, line) {
  let response;
  let text;
  try {
    const signal = AbortSignal.timeout(timeout);
    // Followed, a redirect would turn a POST into a GET of some page that answers 200.
    const init = { method: "POST", headers: settings.headers, body, redirect: "manual", signal };
    response = await fetch(settings.url, init);
    text = await response.text();
  } catch {
    return unavailable("no answer in time, or the connection failed");
  }
  if (!response.ok) {
    line.answers ??= {};
    line.answers[response.status] = (line.answers[response.status] ?? 0) + 1;
  }
  return judge(response, text);
}

function judge(response, text) {
  const { status, ok, headers } = response;
  const answer = text === "" ? undefined : parsed(text);
  if (ok) return hasErrors(answer) ? refused(text, true) : DELIVERED;
  const detail = `Librato answered ${status}`;
  if (status === 400) {
    // Gateways before Librato answer 400 in other forms.
    return hasErrors(answer) || answer?.code === 400 ? refused(text, true) : unavailable(detail, retryAfter(headers));
  }
  if (status === 413) return { isTooLarge: true, refusal: "it is too large" };
  if (status === 429 || (status === 403 && /api limit/i.test(text))) {
    return trouble("rate_limited", "Librato limits the account: send again later", detail, retryAfter(headers));
  }
  if (status === 401 || status === 403) {
    return misconfigured("LIBRATO_EMAIL and LIBRATO_TOKEN: expected credentials that Librato accepts", detail);
  }
  if (status === 404 || status === 405) {
    return misconfigured("LIBRATO_URL: expected a URL at which Librato takes measurements, found none there", detail);
  }
  if (status >= 402 && status < 500 && status !== 408) return { refusal: detail, isSearched: false };
  return unavailable(detail, retryAfter(headers));
}

function parsed(text) {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function hasErrors(answer) {
  const errors = answer?.errors;
  return Boolean(errors) && (typeof errors !== "object" || Object.keys(errors).length > 0);
}

const LIMIT_HEADERS = ["x-librato-ratelimit-agg", "x-librato-ratelimit-std"];

/** Returns the seconds until a retry: by `Retry-After`, or by the latest reset of an exhausted limit. */
function retryAfter(headers) {
  const text = headers.get("retry-after")?.trim() ?? "";
  if (/^\d+(\.\d*)?$/.test(text)) return Math.ceil(Number(text));
  if (text.endsWith("GMT")) return secondsUntil(Date.parse(text));
  const resets = LIMIT_HEADERS.flatMap((name) => {
    const parts = (headers.get(name) ?? "").split(",").map((part) => part.trim().split("="));
    const { remaining = "0", reset = "" } = Object.fromEntries(parts);
    return Number(remaining) <= 0 && reset !== "" ? Number(reset) * 1000 : [];
  });
  return resets.length > 0 ? secondsUntil(Math.max(...resets)) : undefined;
}

const secondsUntil = (moment) =>
  Number.isNaN(moment) ? undefined : Math.max(1, Math.ceil((moment - Date.now()) / 1000));

const refused = (text, isSearched) => ({ refusal: `Librato refused it: ${text.slice(0, 300)}`, isSearched });

const unavailable = (detail, pause) =>
  trouble("upstream_unavailable", "Librato does not take measurements now: send again later", detail, pause);

const misconfigured = (message, detail) => ({
  detail,
  failure: new Failure("misconfigured", message, { retryAfter: 60 }),
});

const trouble = (code, message, detail, retryAfter) => ({
  detail,
  retryAfter,
  failure: new Failure(code, message, { retryAfter }),
});

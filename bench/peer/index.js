// The Worker's hot path in JavaScript, with which `npm run bench` compares the one in Rust: the same routes for events,
// rules, limits and answers (`tests/e2e/peer.test.mjs` compares them), written for speed. Only the limit on nesting is
// missing, since `JSON.parse` does not recurse.

import { Failure, failure } from "./answer.js";
import { take } from "./ingest.js";
import { deliver } from "./librato.js";
import { store } from "./parcel.js";
import { settingsOf } from "./settings.js";
import { within } from "./within.js";

const MAX_REQUEST = 1_048_576;
/** Longest body that is read to its end, so that the sender of one that is too large gets the answer. */
const MAX_READ = 8_000_000;
const BODY_TIMEOUT = 5_000;

const POST = ["POST"];
const BATCH = { type: undefined, label: "batch", methods: ["POST", "PUT", "PATCH"] };
/** Routes by name, with the type of their events; batches have none. */
const NAMES = new Map();
for (const name of ["batch", "b", "import", "beacon/v1/batch"]) NAMES.set(name, BATCH);
for (const [type, names] of [
  ["track", ["track", "t"]],
  ["page", ["page", "p"]],
  ["identify", ["identify", "i"]],
  ["other", ["group", "g", "alias", "a", "screen", "s"]],
]) {
  for (const name of names) NAMES.set(name, { type, label: type, methods: POST });
}
/** Routes by the usual spellings of their paths, which need not be split. */
const PATHS = new Map();
for (const [name, route] of NAMES) PATHS.set(`/v1/${name}`, route).set(`/${name}`, route);

export default {
  fetch(request, env, context) {
    const answer = handle(request, env);
    // A page that closes does not wait for the answer to its beacon.
    context.waitUntil(answer);
    return answer;
  },
};

async function handle(request, env) {
  const startedAt = Date.now();
  const settings = settingsOf(env);
  const { url, headers } = request;
  const pathAt = url.indexOf("/", 8);
  const queryAt = url.indexOf("?", pathAt);
  const route = routeOf(url.slice(pathAt, queryAt < 0 ? undefined : queryAt), settings);
  const origin = headers.get("Origin");
  const isAllowed = origin === null || settings.allowsOrigin(origin);
  if (request.method === "OPTIONS") return preflight(headers, origin, isAllowed);

  const line = {
    event: "request",
    route: route?.label ?? "unknown",
    status: 200,
    code: undefined,
    events: 0,
    accepted: 0,
    measured: 0,
    rejected: {},
    rejectedLibrary: undefined,
    illegibleNames: undefined,
    messages: 0,
    gauges: 0,
    libratoRequests: 0,
    answers: undefined,
    trouble: undefined,
    ms: 0,
  };
  let answer;
  try {
    answer = await visit(request, env, { settings, route, isAllowed, startedAt, line, url, queryAt });
  } catch (error) {
    answer = failure(error instanceof Failure ? error : new Failure("upstream_unavailable", "something failed"));
  }
  line.status = answer.status;
  line.code = answer.code;
  line.ms = Date.now() - startedAt;
  console.log(JSON.stringify(line));
  return respond(answer, origin, isAllowed);
}

/**
 * Finds the route of a path. Clients disagree about slashes and about `/v1`: repeated slashes count as one, one at the
 * end as none, and `/v1` may be missing or be repeated.
 */
function routeOf(path, { prefix }) {
  const usual = PATHS.get(path);
  if (usual !== undefined) return usual;
  let segments = path.split("/").filter((segment) => segment !== "");
  if (prefix.length > 0 && prefix.every((segment, place) => segment === segments[place])) {
    segments = segments.slice(prefix.length);
  }
  const versions = segments.findIndex((segment) => segment !== "v1");
  // React Native's `proxy` is a whole URL, to which batches are posted.
  if (versions < 0) return segments.length > 0 ? BATCH : undefined;
  return NAMES.get(segments.slice(versions).join("/"));
}

async function visit(request, env, { settings, route, isAllowed, startedAt, line, url, queryAt }) {
  if (route === undefined) throw new Failure("not_found", "path: unknown route");
  if (!route.methods.includes(request.method)) {
    const methods = [...route.methods, "OPTIONS"].join(", ");
    throw new Failure("method_not_allowed", `method: expected one of ${methods}`, { methods });
  }
  if (!isAllowed) throw new Failure("origin_not_allowed", "Origin: expected one that ALLOWED_ORIGINS lists");
  if (settings.missing) throw new Failure("misconfigured", `${settings.missing}: expected a setting`);
  const { headers } = request;
  const body = await bodyOf(request);
  const intake = take(body, route.type, {
    settings,
    receivedAt: startedAt,
    headerKey: basicUser(headers.get("Authorization")),
    queryKey: () => (queryAt < 0 ? undefined : queryParameter(url.slice(queryAt + 1), "writeKey")),
  });
  if (env.RATE_LIMITER) await limit(env.RATE_LIMITER, `${intake.writeKey} ${headers.get("CF-Connecting-IP") ?? ""}`);
  if (intake.measured.length > 0) {
    try {
      if (env.MEASUREMENTS) line.messages = await store(env.MEASUREMENTS, intake, startedAt);
      else await deliver(intake, settings, startedAt, line);
    } catch (error) {
      intake.count(line, false);
      if (intake.isBatch && error instanceof Failure) error.rejected = intake.rejected;
      throw error;
    }
  }
  intake.count(line, true);
  return intake.answer();
}

/** Asks the rate limiter, if one is bound. One that fails limits nobody. */
async function limit(limiter, key) {
  const outcome = await limiter.limit({ key }).catch(() => undefined);
  if (outcome?.success === false) throw new Failure("rate_limited", "there are too many requests");
}

/** Returns the user name of HTTP Basic. */
function basicUser(authorization) {
  const encoded = authorization && /^\s*basic\s+(\S+)\s*$/i.exec(authorization)?.[1];
  if (!encoded) return undefined;
  try {
    const decoded = atob(encoded);
    const colon = decoded.indexOf(":");
    const user = colon < 0 ? decoded : decoded.slice(0, colon);
    if (/^[\x20-\x7e]*$/.test(user)) return user === "" ? undefined : user;
    return utf8.decode(Uint8Array.from(user, (char) => char.charCodeAt(0)));
  } catch {
    return undefined;
  }
}

function queryParameter(query, name) {
  return new URLSearchParams(query.split("#", 1)[0]).get(name) ?? undefined;
}

const utf8 = new TextDecoder("utf-8", { fatal: true });
const tooLarge = () => new Failure("payload_too_large", `body: expected at most ${MAX_REQUEST} bytes`);

/** Returns the bytes of a body and their text. */
async function bodyOf(request) {
  let bytes = await received(request);
  if (bytes[0] === 0x1f && bytes[1] === 0x8b) bytes = await unzip(bytes);
  try {
    return { bytes, text: utf8.decode(bytes) };
  } catch {
    const encoding = request.headers.get("Content-Encoding");
    if (encoding && !/^(identity|x-gzip|gzip)$/.test(encoding)) {
      throw new Failure("unsupported_encoding", "Content-Encoding: expected gzip or none");
    }
    throw new Failure("malformed_json", "body: expected JSON in UTF-8");
  }
}

/** Returns the bytes as they were sent. Nothing is kept of a body that is too large. */
async function received(request) {
  if (request.body === null) return new Uint8Array();
  const length = request.headers.get("Content-Length");
  if (Number(length) > MAX_READ) throw tooLarge();
  const isWhole = length !== null && Number(length) <= MAX_REQUEST;
  try {
    return await within(BODY_TIMEOUT, isWhole ? all(request) : read(request.body, MAX_READ));
  } catch (error) {
    if (error instanceof Failure) throw error;
    if (Number(length) > MAX_REQUEST) throw tooLarge();
    throw new Failure("upstream_unavailable", "body: upload stalled before the end");
  }
}

const all = async (request) => new Uint8Array(await request.arrayBuffer());

/** Reads a stream up to the limit. Beyond it, up to `most`, chunks are read and discarded. */
async function read(stream, most) {
  const parts = [];
  let length = 0;
  for await (const part of stream) {
    length += part.length;
    if (length > most) break;
    if (length > MAX_REQUEST) parts.length = 0;
    else parts.push(part);
  }
  if (length > MAX_REQUEST) throw tooLarge();
  const bytes = new Uint8Array(length);
  let at = 0;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.length;
  }
  return bytes;
}

async function unzip(bytes) {
  try {
    return await read(new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip")), MAX_REQUEST);
  } catch (error) {
    if (error instanceof Failure) throw error;
    throw new Failure("unsupported_encoding", "body: expected gzip, found a damaged one");
  }
}

function respond({ status, body, headers }, origin, isAllowed) {
  const all = { "Content-Type": "application/json", Vary: "Origin", ...headers };
  if (origin !== null) {
    all["Access-Control-Allow-Origin"] = origin;
    all["Access-Control-Expose-Headers"] = "Retry-After, X-RateLimit-Reset";
    if (isAllowed) all["Access-Control-Allow-Credentials"] = "true";
  }
  return new Response(body, { status, headers: all });
}

/** A token of RFC 9110. */
const HEADER_NAME = /^[A-Za-z0-9!#$%&'*+.^_`|~-]+$/;

function preflight(headers, origin, isAllowed) {
  const allowed = ["Authorization", "Content-Type", "X-Retry-Count"];
  const requested = headers.get("Access-Control-Request-Headers") ?? "";
  if (requested.length <= 1_024) {
    for (const name of requested.split(",").map((name) => name.trim())) {
      const isListed = allowed.some((listed) => listed.toLowerCase() === name.toLowerCase());
      if (name !== "*" && HEADER_NAME.test(name) && !isListed) allowed.push(name);
    }
  }
  const own = {
    "Access-Control-Allow-Methods": "GET, POST, OPTIONS",
    "Access-Control-Allow-Headers": allowed.join(", "),
    "Access-Control-Max-Age": "86400",
  };
  const answer = respond({ status: 204, body: null, headers: own }, origin, isAllowed);
  answer.headers.delete("Content-Type");
  return answer;
}

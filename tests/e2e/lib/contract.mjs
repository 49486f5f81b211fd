// Invariants of every answer of the Worker. The harness checks each answer that it returns, so that no test has to.

import assert from "node:assert/strict";

/** Codes of each status other than 200; a 400 may also have the code of a single event. */
export const eventCodes = [
  "missing_type",
  "unsupported_type",
  "missing_event",
  "missing_identity",
  "invalid_value",
  "invalid_timestamp",
  "timestamp_out_of_range",
  "event_not_allowed",
  "event_too_large",
  "invalid_source",
  "refused_by_librato",
];

const codes = {
  400: [
    "malformed_json",
    "invalid_event",
    "invalid_write_key",
    "payload_too_large",
    "unsupported_encoding",
    ...eventCodes,
  ],
  401: ["invalid_signature", "invalid_token"],
  403: ["origin_not_allowed"],
  404: ["not_found"],
  405: ["method_not_allowed"],
  429: ["rate_limited"],
  503: ["misconfigured", "upstream_unavailable"],
};

/** Longest time until an answer, in milliseconds. */
const slowest = 7_000;

/**
 * @param {{ method: string, path: string, origin?: string | null }} request
 * @param {{ status: number, headers: Headers, text: string, ms: number }} answer
 */
export function checkAnswer(request, answer) {
  const where = `${request.method} ${request.path} → ${answer.status} ${answer.text.slice(0, 300)}`;
  assert.ok(answer.ms < slowest, `${where}: took ${Math.round(answer.ms)} ms`);
  if (request.origin) checkCors(request.origin, answer, where);
  if (request.method === "OPTIONS") return;
  if (request.method === "HEAD") return assert.notEqual(answer.status, 500, where);
  if (isHealth(request.path)) return assert.ok([200, 405, 503].includes(answer.status), where);

  assert.match(answer.headers.get("content-type") ?? "", /^application\/json\b/, where);
  const body = JSON.parse(answer.text);
  if (answer.status === 200 && isOperators(request.path)) return;
  if (answer.status === 200) {
    assert.equal(body.success, true, where);
    if ("accepted" in body || "rejected" in body) {
      assert.deepEqual(Object.keys(body).sort(), ["accepted", "rejected", "success"], where);
      assert.ok(Number.isInteger(body.accepted) && body.accepted >= 0, where);
      checkRejected(body.rejected, where);
    } else {
      assert.equal(answer.text, '{"success":true}', where);
    }
    return;
  }

  assert.ok(answer.status in codes, `${where}: a status that the contract does not have`);
  assert.equal(body.success, false, where);
  assert.ok(codes[answer.status].includes(body.code), `${where}: a code that the contract does not have`);
  assert.ok(typeof body.message === "string" && body.message !== "", where);
  assert.equal(body.error, body.message, where);
  const keys = new Set(["success", "code", "message", "error", "rejected"]);
  for (const key of Object.keys(body)) assert.ok(keys.has(key), `${where}: "${key}" is not in the contract`);
  if ("rejected" in body) checkRejected(body.rejected, where);

  if (answer.status === 405) assert.ok(answer.headers.get("allow"), where);
  if (answer.status === 429 || answer.status === 503) {
    const seconds = answer.headers.get("retry-after");
    assert.match(seconds ?? "", /^\d+$/, `${where}: Retry-After`);
    assert.ok(Number(seconds) >= 1 && Number(seconds) <= 300, `${where}: Retry-After: ${seconds}`);
    if (answer.status === 429) assert.equal(answer.headers.get("x-ratelimit-reset"), seconds, where);
  }
}

function isHealth(path) {
  return /(?<!\/operator\/api)\/health\/?(\?|$)/.test(path);
}

/** Checks answers to an operator, which have a shape of their own. */
function isOperators(path) {
  return /\/(set-aside(\/replay)?|operator\/api\/.*)\/?(\?|$)/.test(path);
}

function checkRejected(rejected, where) {
  assert.ok(Array.isArray(rejected) && rejected.length > 0, where);
  for (const one of rejected) {
    assert.ok(Number.isInteger(one.index) && one.index >= 0, where);
    assert.ok(typeof one.message === "string" && one.message !== "", where);
    assert.equal(typeof one.code, "string", where);
    for (const key of Object.keys(one)) {
      assert.ok(["index", "messageId", "code", "message"].includes(key), `${where}: "${key}"`);
    }
  }
}

function checkCors(origin, { status, headers, text }, where) {
  assert.equal(headers.get("access-control-allow-origin"), origin, where);
  assert.ok(list(headers.get("vary")).includes("origin"), `${where}: Vary: ${headers.get("vary")}`);
  if (status === 204) return;
  const exposed = list(headers.get("access-control-expose-headers"));
  for (const name of ["retry-after", "x-ratelimit-reset"]) {
    assert.ok(exposed.includes(name), `${where}: Access-Control-Expose-Headers: ${exposed}`);
  }
  const credentials = headers.get("access-control-allow-credentials");
  // A list that cannot be read allows nobody.
  const nobody = status === 403 || (status === 503 && text.includes("ALLOWED_ORIGINS"));
  assert.equal(credentials, nobody ? null : "true", `${where}: Access-Control-Allow-Credentials`);
}

/**
 * The answer to RudderStack's libraries about their source. Each member is needed by some of them, and there is no
 * `dataplanes`, which would lead them elsewhere. Of `id`, `name`, `workspaceId` and `updatedAt` only the type is
 * checked.
 */
function sourceConfig(writeKey) {
  const silent = { enabled: false };
  const config = { statsCollection: { errors: silent, metrics: silent } };
  return { source: { writeKey, enabled: true, config, destinations: [] } };
}

/** The members of `sourceConfig`, and no others but the ones whose contents are the Worker's own business. */
export function checkSourceConfig(told, writeKey) {
  assert.deepEqual(Object.keys(told), ["source"]);
  const { id, name, workspaceId, updatedAt, ...rest } = told.source;
  for (const text of [id, name, workspaceId]) assert.ok(typeof text === "string" && text !== "", `${text}`);
  assert.ok(!Number.isNaN(Date.parse(updatedAt)), `updatedAt: ${updatedAt}`);
  assert.deepEqual({ source: rest }, sourceConfig(writeKey));
}

/** Returns the items of a comma-separated header, in lower case. */
export function list(header) {
  return (header ?? "")
    .split(",")
    .map((name) => name.trim().toLowerCase())
    .filter((name) => name !== "");
}

// Answers to clients.

const STATUS = {
  not_found: 404,
  method_not_allowed: 405,
  origin_not_allowed: 403,
  rate_limited: 429,
  misconfigured: 503,
  upstream_unavailable: 503,
};

/** Failure of a whole request. */
export class Failure {
  constructor(code, message, { retryAfter = 10, rejected = [], methods } = {}) {
    this.code = code;
    this.message = message;
    this.retryAfter = retryAfter;
    this.rejected = rejected;
    this.methods = methods;
  }
}

/** Returns the answer to a failure: 400 for refused events, 429 or 503 for requests that should be sent again. */
export function failure({ code, message, retryAfter, rejected, methods }) {
  const status = STATUS[code] ?? 400;
  const answer = { success: false, code, message, error: message };
  if (rejected.length > 0) answer.rejected = rejected;
  let headers;
  if (status === 429 || status === 503) {
    const seconds = String(Math.min(300, Math.max(1, retryAfter)));
    headers = status === 429 ? { "Retry-After": seconds, "X-RateLimit-Reset": seconds } : { "Retry-After": seconds };
  }
  if (status === 405) headers = { Allow: methods };
  return { status, code, headers, body: JSON.stringify(answer) };
}

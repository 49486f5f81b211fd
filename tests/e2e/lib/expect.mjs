// Common assertions about answers.

import assert from "node:assert/strict";

/** Asserts a success, and nothing else in the body. */
export function succeeded(answer) {
  assert.equal(answer.status, 200, answer.text);
  assert.equal(answer.text, '{"success":true}');
}

/** Asserts that a request was refused as a whole, with this code and message. Returns the body. */
export function refused(answer, status, code, about = /./) {
  assert.equal(answer.status, status, answer.text);
  const body = answer.json();
  assert.equal(body.code, code, answer.text);
  assert.match(body.message, about);
  return body;
}

/** Asserts that some events were refused, `[index, code]` each, and the others accepted. */
export function partly(answer, accepted, rejected) {
  assert.equal(answer.status, 200, answer.text);
  const body = answer.json();
  assert.equal(body.accepted, accepted, answer.text);
  assert.deepEqual(codes(body), rejected);
}

/** Returns `[index, code]` of each refused event. */
export function codes({ rejected }) {
  return rejected?.map(({ index, code }) => [index, code]);
}

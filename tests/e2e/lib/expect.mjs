// What the tests expect of answers, over and over.

import assert from "node:assert/strict";

/** All is well: exactly this. */
export function succeeded(answer) {
  assert.equal(answer.status, 200, answer.text);
  assert.equal(answer.text, '{"success":true}');
}

/** The request was refused as a whole, with this code, and the message speaks of this. Returns the body. */
export function refused(answer, status, code, about = /./) {
  assert.equal(answer.status, status, answer.text);
  const body = answer.json();
  assert.equal(body.code, code, answer.text);
  assert.match(body.message, about);
  return body;
}

/** Some events were refused, `[index, code]` each, and the others accepted. */
export function partly(answer, accepted, rejected) {
  assert.equal(answer.status, 200, answer.text);
  const body = answer.json();
  assert.equal(body.accepted, accepted, answer.text);
  assert.deepEqual(codes(body), rejected);
}

/** `[index, code]` of each refused event. */
export function codes({ rejected }) {
  return rejected?.map(({ index, code }) => [index, code]);
}

/** The Worker's API for its operator. Its addresses follow from this script's own, whatever stands before them. */

const API = new URL("../api/", import.meta.url);

/** Where clients reach this Worker, as far as the page can tell. */
export const WORKER = new URL("../../", import.meta.url).href;

const KEPT_AS = "librato-edge operator";

/** The token is neither missing nor wrong, and yet there is no answer that could be used. */
export class ApiError extends Error {
  /** @param {number} status 0 where nothing answered @param {string} message */
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

export const session = {
  get token() {
    return sessionStorage.getItem(KEPT_AS) ?? "";
  },
  set token(token) {
    if (token) sessionStorage.setItem(KEPT_AS, token);
    else sessionStorage.removeItem(KEPT_AS);
  },
};

/** @param {string} path @param {object} [options] of `fetch` @param {(answer: any) => boolean} [isGood] */
async function call(path, options, isGood = () => false) {
  let response;
  let answer;
  try {
    response = await fetch(new URL(path, API), {
      cache: "no-store",
      ...options,
      headers: { authorization: `Bearer ${session.token}` },
    });
    answer = await response.json();
  } catch {
    throw new ApiError(response?.status ?? 0, response ? "no JSON came back" : "the Worker does not answer");
  }
  if (response.ok || isGood(answer)) return answer;
  throw new ApiError(response.status, answer.message ?? `status ${response.status}`);
}

const query = (values) =>
  new URLSearchParams(Object.entries(values).filter(([, value]) => value !== "" && value !== null));

/** A Worker that is not well answers 503, and tells all of it. */
export const getHealth = () => call("health", {}, (answer) => Boolean(answer.version));
export const getFlow = (range) => call(`flow?${query({ range })}`);
export const getMetrics = () => call("metrics");
export const getLive = (after) => call(`live?${query({ after })}`);
export const getGroups = () => call("set-aside/groups");
export const getLetters = (choice) => call(`set-aside?${query(choice)}`);

/** One step of a replay or a deletion. @param {"replay" | "delete"} what @param {object} body */
export const step = (what, body) => call(`set-aside/${what}`, { method: "POST", body: JSON.stringify(body) });

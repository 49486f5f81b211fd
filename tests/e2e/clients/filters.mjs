// A visitor's blocker, in a browser.

import { FiltersEngine, Request } from "@ghostery/adblocker";

/**
 * Rules of the kind that the general lists have: any host, and what a path or a host's first label gives away. Written for
 * these tests; the lists of the field-reports' row 4 have some that are the same.
 */
export const RULES = [
  // Segment's paths, whoever serves them.
  "/analytics.js/v1/*",
  "/analytics.min.",
  ".analytics.min.",
  "/analytics.*/track",
  "/analytics/track/*",
  "/api/track/*",
  // Hosts that are called after what they do.
  "||segment-api.*^",
  "://segment-api.",
  "://segment-cdn.",
  "://analytics.$third-party,script",
  "://metrics.$third-party,script",
  "://tracking.$third-party",
  "://stats.$third-party,script",
  // Segment itself.
  "||segment.com^$third-party",
  "||segment.io^$third-party",
  // Pictures that count.
  "/pixel.gif?",
  ".gif?event=",
].join("\n");

const engine = FiltersEngine.parse(RULES);

/** Whether the rules block a request that a page makes. */
export const isBlocked = (url, { sourceUrl, type = "xmlhttprequest" }) =>
  engine.match(Request.fromRawDetails({ url, sourceUrl, type })).match;

/** Puts the blocker into a visit's pages. Returns what it blocks from then on. */
export async function block(page) {
  const blocked = [];
  await page.route("**/*", (route) => {
    const request = route.request();
    const type = request.resourceType() === "fetch" ? "xmlhttprequest" : request.resourceType();
    const is = request.isNavigationRequest() || !isBlocked(request.url(), { sourceUrl: request.frame().url(), type });
    if (is) return route.continue();
    blocked.push(request.url());
    return route.abort("blockedbyclient");
  });
  return blocked;
}

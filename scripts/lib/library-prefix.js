/**
 * What analytics.js is told before it runs: where this very script came from, so that it asks nobody else. The build puts
 * it in front of the library (scripts/lib/library.mjs), inside of one function, and translates it for the old browsers that
 * the library still knows (they have no `const`).
 *
 * The library itself would look for an "https:" address in the attribute "src" of every script of the page, and take
 * Segment's hosts where it finds none: with an address without a scheme, a relative one, plain http, or a file name of
 * the operator's choice.
 */

// With a PUBLIC_URL the Worker puts it here, and the write key of the path that was asked for (src/segment/library.rs).
var publicUrl = "__PUBLIC_URL__";
var writeKey = "__WRITE_KEY__";

// biome-ignore lint/correctness/noUnusedVariables: what the library's own hosts are replaced with
var edge = (() => {
  var untold = /^__[A-Z]+_[A-Z]+__$/;
  var snippets = /^(https?:\/\/.*)\/analytics\.js\/v1\/([^/]+)\/analytics\.min\.js$/;
  var chosen = /^(https?:\/\/.*)\/([^/]+)\.js$/;

  /** The address of a script as the browser has resolved it, without query. */
  function address(script) {
    return (script.src || "").replace(/[?#].*$/, "");
  }

  /** Base and write key in the address of the script that runs, or of the last one of the page that looks like it. */
  function ownParts() {
    var current = document.currentScript;
    if (current) return snippets.exec(address(current)) || chosen.exec(address(current));
    // A module, or evaluated: nobody says which script that is.
    var all = Array.prototype.map.call(document.scripts, (script) => snippets.exec(address(script)));
    return all.filter(Boolean).pop();
  }

  var parts = ownParts();
  var told = untold.test(publicUrl) ? "" : publicUrl.replace(/\/+$/, "");
  // At worst the page's own host: nobody whom it does not know.
  var base = told || (parts ? parts[1] : `${location.protocol}//${location.host}`);
  var key = untold.test(writeKey) ? parts?.[2] : writeKey;

  // A page that names a write key, or another base as `_cdn`, has the last word.
  var named = document.querySelector("script[data-global-segment-analytics-key]");
  var name = named?.getAttribute("data-global-segment-analytics-key") || "analytics";
  window[name] = window[name] || [];
  if (key && !window[name]._writeKey) window[name]._writeKey = key;

  var scheme = base.indexOf("://");
  return { base: base, protocol: base.slice(0, scheme), api: `${base.slice(scheme + 3)}/v1` };
})();

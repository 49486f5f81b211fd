// How pages come to analytics.js: by which snippet, and with which address.

import * as snippet5 from "@segment/snippet";
import * as snippet4 from "snippet-4";
import { writeKey } from "../lib/worker.mjs";
import { HOST, KEY, snippets } from "./readme.mjs";
import { html } from "./site.mjs";

/** Stands in Segment's snippets where the address of the Worker belongs. */
const PLACE = "place.invalid";

/** Segment's own snippet, with nothing changed but the address. It makes no call of its own. */
const segments = (snippet) => (base) => {
  const code = snippet.min({ host: PLACE, apiKey: writeKey, page: false });
  return `<script>${code.replaceAll(`https://${PLACE}`, base)}</script>`;
};

/** The README's example, which makes a call of its own. */
const ours = (base) => snippets.get("browser").replaceAll(HOST, base).replaceAll(KEY, writeKey);

/** The same below PATH_PREFIX, where the library goes by the write key alone, or by a name of one's choice. */
const oursBelow = (prefix, file) => (base) =>
  ours(base).replace(`/analytics.js/v1/${writeKey}/analytics.min.js`, `${prefix}/${file}`);

/** The same as a module, which no script is told of. */
const oursAsModule = (base) => ours(base).replace("<script async ", '<script type="module" ');

/** With the attribute that has a page hear of the script's errors, and that asks for leave in another way. */
const oursByCors = (base) => ours(base).replace("<script async ", "<script async crossorigin ");

/** What a page has to load the library, from the address of the Worker as the page writes it. */
export const loaders = { "snippet 4": segments(snippet4), "snippet 5": segments(snippet5), "our snippet": ours };

/** The further ways that are only ours. */
export const ownLoaders = (prefix, file) => ({
  "our snippet with crossorigin": oursByCors,
  "our snippet below the prefix": oursBelow(prefix, `${writeKey}.js`),
  "our snippet with a chosen file below the prefix": oursBelow(prefix, file),
  "a module": oursAsModule,
});

/**
 * The forms that an address can have in a page of the same host, two folders deep.
 *
 * @param {{ url: string, path: string }} edge
 */
export const forms = ({ url, path }) => ({
  absolute: url,
  "without a scheme": url.replace(/^\w+:/, ""),
  "from the root": path,
  "from the page": `../..${path}`,
});

/** A page that loads the library so, and then runs a script. */
export const pageWith = (loader, base, code) => html(loader(base), code ? `<script>${code}</script>` : "");

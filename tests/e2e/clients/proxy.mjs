// What stands before a Worker that is reached at a path of the shop's own host: a reverse proxy that ends TLS, takes the
// path away and names another host, as nginx, CloudFront, a rewrite or a tunnel do.

import { convertV4MiniflareOptions, Miniflare } from "miniflare";
import { freePort } from "../lib/net.mjs";

/** Below `path` the Worker, whose own address nobody outside should learn; everything else is the shop's. */
const script = `
  export default {
    async fetch(request, { path, worker, site }) {
      const { pathname, search } = new URL(request.url);
      const inner = pathname.startsWith(path + "/") ? worker + pathname.slice(path.length) : site + pathname;
      // As proxies do by themselves; what they say is not believed.
      const headers = new Headers(request.headers);
      headers.set("x-forwarded-host", "forwarded.invalid");
      headers.set("x-forwarded-proto", "gopher");
      return fetch(inner + search, { method: request.method, headers, body: request.body, redirect: "manual" });
    },
  };
`;

/** Where a proxy will listen that is not there yet: whom it stands before has to be told. */
export async function publicAddress({ tls, path }) {
  const port = await freePort();
  const origin = `${tls ? "https" : "http"}://localhost:${port}`;
  return { tls, path, port, origin, url: origin + path };
}

/**
 * Starts the proxy of an address.
 *
 * @param {Awaited<ReturnType<typeof publicAddress>>} address
 * @param {string} worker URL of the Worker
 * @param {string} site URL of the shop
 */
export async function startProxy({ tls, path, port }, worker, site) {
  const proxy = new Miniflare(
    convertV4MiniflareOptions({ modules: true, script, bindings: { path, worker, site }, https: tls, port, cf: false }),
  );
  await proxy.ready;
  return { stop: () => proxy.dispose() };
}

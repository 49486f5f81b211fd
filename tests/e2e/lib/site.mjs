// A web site, for pages that send to the Worker from another origin.

import { once } from "node:events";
import { createServer } from "node:http";

/**
 * Starts one on a free port. It only has the pages that are added to it, and not even an icon.
 */
export async function startSite() {
  const pages = new Map();
  const server = createServer((request, response) => {
    const page = pages.get(request.url);
    if (page === undefined) return response.writeHead(request.url === "/favicon.ico" ? 204 : 404).end();
    response.writeHead(200, { "content-type": "text/html; charset=utf-8", "cache-control": "no-store" }).end(page);
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  const url = `http://localhost:${server.address().port}`;
  return {
    url,
    /** Adds a page and returns its URL. */
    put(path, html) {
      pages.set(path, `<!doctype html><meta charset="utf-8"><title>A page</title>${html}`);
      return url + path;
    },
    stop() {
      server.close();
      server.closeAllConnections();
    },
  };
}

/** The local Librato's control plane. */

async function call(path, method = "GET", body) {
  const response = await fetch(path, {
    method,
    cache: "no-store",
    ...(body && { headers: { "content-type": "application/json" }, body: JSON.stringify(body) }),
  });
  const text = await response.text();
  if (!response.ok) throw new Error(`${method} ${path.split("?")[0]}: ${response.status} ${text}`.trim());
  return text ? JSON.parse(text) : null;
}

export const getConfig = () => call("/local/config");
export const getRequests = () => call("/local/requests?limit=200");
export const getSeries = (metric, seconds) =>
  call(`/local/series?${new URLSearchParams({ metric, seconds: String(seconds) })}`);
export const addFault = (fault) => call("/local/faults", "POST", fault);
export const clearFaults = () => call("/local/faults", "DELETE");
export const reset = () => call("/local/reset", "POST");

/**
 * Follows what happens at the server for as long as the page lives.
 * @param {{open: () => void, lost: () => void, request: (request: any) => void, state: (state: any) => void}} on
 */
export function follow(on) {
  const source = new EventSource("/local/stream");
  source.addEventListener("open", on.open);
  source.addEventListener("request", (event) => on.request(JSON.parse(event.data)));
  source.addEventListener("state", (event) => on.state(JSON.parse(event.data)));
  source.addEventListener("error", () => {
    on.lost();
    // The browser reconnects by itself after a cut connection, but gives up for good on an answer that is not a stream.
    if (source.readyState === EventSource.CLOSED) setTimeout(() => follow(on), 2000);
  });
}

/** How the Worker delivers: `{mode, waiting, setAside}`. It tells even when Librato does not answer it. */
export async function getDelivery({ worker, writeKey }) {
  const response = await fetch(`${worker}/health?deep=1&writeKey=${encodeURIComponent(writeKey)}`);
  return (await response.json()).delivery ?? {};
}

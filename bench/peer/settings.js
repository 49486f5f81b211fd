// The peer's settings: the same variables and secrets, read once an isolate.

/** Returns the items of a list. */
const list = (text = "") =>
  text
    .split(",")
    .map((item) => item.trim())
    .filter((item) => item !== "");

/** Compiles a pattern of `ALLOWED_EVENTS`: a metric in any case, in which `*` matches any run of characters. */
function pattern(item) {
  const parts = item.split("*").map((part) => part.replace(/[^A-Za-z0-9._-]/g, "-").replaceAll(".", "\\."));
  return new RegExp(`^${parts.join(".*")}$`, "i");
}

/**
 * Returns a test of whether pages of an origin may send. `*` matches any origin, and before a host one label or more.
 *
 * @param {string[]} items of `ALLOWED_ORIGINS`
 */
function originsOf(items) {
  if (items.length === 0 || items.includes("*")) return () => true;
  // Browsers leave out the port that is the scheme's own.
  const normal = (origin) =>
    origin
      .replace(/\/+$/, "")
      .toLowerCase()
      .replace(/^(?:(https:.*):443|(http:.*):80)$/, "$1$2");
  const exact = new Set(items.map(normal));
  const subdomains = items.map(normal).flatMap((item) => {
    const [scheme, host] = item.split("://*.");
    return host === undefined ? [] : new RegExp(`^${scheme}://([a-z0-9_-]+\\.)+${host.replaceAll(".", "\\.")}$`);
  });
  return (origin) => {
    const wanted = normal(origin);
    return exact.has(wanted) || subdomains.some((pattern) => pattern.test(wanted));
  };
}

let known;

/** Returns the settings of the environment, which does not change while the isolate lives. */
export function settingsOf(env) {
  known ??= read(env);
  return known;
}

function read(env) {
  const { LIBRATO_URL: url, LIBRATO_EMAIL: email, LIBRATO_TOKEN: token } = env;
  const base = url?.replace(/\/+$/, "").replace(/\/v1$/, "");
  const allowed = list(env.ALLOWED_EVENTS);
  const writeKeys = new Set(list(env.WRITE_KEYS));
  const period = env.METRIC_PERIOD ?? "60";
  return {
    writeKeys,
    missing: ["LIBRATO_EMAIL", "LIBRATO_TOKEN", "LIBRATO_URL", "WRITE_KEYS"].find((name) => !env[name]?.trim()),
    url: `${base}/v1/metrics`,
    headers: {
      Authorization: `Basic ${btoa(String.fromCharCode(...new TextEncoder().encode(`${email}:${token}`)))}`,
      "Content-Type": "application/json",
      "User-Agent": "librato-edge-peer",
    },
    allowsOrigin: originsOf(list(env.ALLOWED_ORIGINS)),
    // `null` allows any.
    allowedEvents: allowed.length === 0 || allowed.includes("*") ? null : allowed.map(pattern),
    lateCountNow: env.LATE_EVENTS === "now",
    rollupSeconds: Number(env.ROLLUP_SECONDS ?? 1),
    // Properties of a new metric, which make Librato sum its gauges.
    creation: period === "off" ? "" : `,"period":${period},"attributes":{"aggregate":true,"summarize_function":"sum"}`,
    prefix: (env.PATH_PREFIX ?? "").split("/").filter((segment) => segment !== ""),
    metricPrefix: (env.METRIC_PREFIX ?? "").trim(),
    consentCategories: list(env.CONSENT_CATEGORIES),
  };
}

// What the tests of OTLP have in common: settings, events, and the points of decoded requests.

/** Returns the settings of an OTLP endpoint, without Librato's. */
export const otlp = (url, more = {}) => ({
  ...{ LIBRATO_URL: null, LIBRATO_EMAIL: null, LIBRATO_TOKEN: null },
  ...{ DESTINATION: "otlp", OTLP_URL: url, ...more },
});

export const withSource = (source) => ({ integrations: { All: true, Librato: { source } } });
export const at = (second) => ({ timestamp: new Date(second * 1000).toISOString() });

/** Returns the points of a decoded request, each with its identity. */
export function points(request) {
  const text = (attributes = []) => Object.fromEntries(attributes.map(({ key, value }) => [key, value.stringValue]));
  return request.resourceMetrics.flatMap(({ resource, scopeMetrics }) =>
    scopeMetrics.flatMap(({ metrics }) =>
      metrics.flatMap(({ name, unit, gauge, sum }) =>
        (gauge ?? sum).dataPoints.map(({ attributes, timeUnixNano, startTimeUnixNano, asDouble }) => ({
          ...{ name, unit, temporality: sum?.aggregationTemporality, isMonotonic: sum?.isMonotonic ?? false },
          instance: text(resource.attributes)["service.instance.id"],
          source: text(attributes).source,
          second: Number(BigInt(timeUnixNano) / 1_000_000_000n),
          interval: Number((BigInt(timeUnixNano) - BigInt(startTimeUnixNano)) / 1_000_000_000n),
          value: asDouble,
        })),
      ),
    ),
  );
}

/** Adds up by a key. */
export function totals(list, key) {
  const all = new Map();
  for (const one of list) all.set(key(one), (all.get(key(one)) ?? 0) + one.value);
  return all;
}

/** Adds up by metric and source, in the order of these. */
export function sums(list) {
  return new Map([...totals(list, ({ name, source }) => `${name} ${source}`)].sort());
}

/** Returns what a store has in the end of these events, by metric and source. */
export function expectedSums(events) {
  return sums(
    events.flatMap(({ event: name, source, value }) => [
      { name, source, value },
      { name: `${name}.count`, source, value: 1 },
    ]),
  );
}

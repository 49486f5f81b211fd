// Medians, spreads and tables.

/** Returns a quantile of a list, interpolated linearly. */
export function quantile(values, share) {
  const sorted = [...values].sort((one, other) => one - other);
  const at = (sorted.length - 1) * share;
  const below = Math.floor(at);
  const above = Math.ceil(at);
  return sorted[below] + (sorted[above] - sorted[below]) * (at - below);
}

export const median = (values) => quantile(values, 0.5);

/** Formats a number with three significant digits or so. */
export function digits(value, places = 3) {
  if (!Number.isFinite(value)) return "–";
  const whole = Math.max(0, places - 1 - Math.floor(Math.log10(Math.abs(value) || 1)));
  return value.toFixed(Math.min(whole, places));
}

/** Returns the median and both quartiles. */
export const spread = (values, places = 3) =>
  `${digits(median(values), places)} (${digits(quantile(values, 0.25), places)}–${digits(quantile(values, 0.75), places)})`;

/** Returns a Markdown table, padded to be legible as plain text. */
export function table(head, rows) {
  const lines = [head, ...rows].map((row) => row.map(String));
  const widths = head.map((_, column) => Math.max(...lines.map((row) => row[column].length)));
  const line = (row) => `| ${row.map((cell, column) => cell.padEnd(widths[column])).join(" | ")} |`;
  return [line(lines[0]), line(widths.map((width) => "-".repeat(width))), ...lines.slice(1).map(line)].join("\n");
}

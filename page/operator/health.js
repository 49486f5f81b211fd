import { $, h, renew } from "../shared/dom.js";
import { number, plural, since } from "../shared/format.js";
import { destinationName } from "./diagnosis.js";

/** Shows what the Worker knows of its own state. @param {any} health @param {any} waiting of the flow */
export function showHealth(health, waiting) {
  const { version, publicUrl, delivery, missing = [], notes = [], message, sendsTo, liveList, ledger } = health;
  const [problem, words] = (message ?? "").split("; it says: ");
  const isUp = health.status === "ok";
  const oldest = waiting?.oldest ? `, the oldest came ${since(waiting.oldest)}` : "";
  const rows = [
    [
      "Sends to",
      sendsTo ? [destinationName(health).replace("The ", ""), sendsTo.profile, sendsTo.host].join(" · ") : null,
    ],
    missing.length === 0 && ["Destination", isUp ? "It takes the credentials." : problem, isUp ? "up" : "down", words],
    missing.map(({ setting, expected }) => [setting, `Expected ${expected}.`, "down"]),
    [
      "Delivery",
      delivery.mode === "durable"
        ? "Durable: through the queue."
        : "Direct: the client waits for the destination, and nothing is kept while that fails.",
      delivery.mode === "durable" ? "up" : "failing",
    ],
    delivery.mode === "durable" && ["Waiting", known(delivery.waiting, `events${oldest}`)],
    delivery.mode === "durable" && [
      "Set aside",
      known(delivery.setAside, "measurements"),
      delivery.setAside > 0 && "failing",
    ],
    ledger && ["Ledger", ledgerText(ledger), ledger.wantedShards > ledger.shards && "failing"],
    notes.map((note) => ["Note", note, "failing"]),
    ["Settings", missing.length === 0 && "None is missing or malformed.", "up"],
    ["Clients reach it at", publicUrl],
    ["Live list", liveList === false ? "Switched off by LIVE_EVENTS." : "On: the last 200 events, in memory."],
    ["Version", version],
  ];
  const flat = rows.flatMap((row) => (Array.isArray(row?.[0]) || row?.length === 0 ? row : [row]));
  const shown = flat.filter((row) => row?.[1]);
  renew($("health"), shown, () =>
    shown.map(([name, text, status, quote]) =>
      h(
        "div",
        { "data-status": status },
        h("dt", null, status && h("span", { class: "dot" }), name),
        h("dd", null, text, quote && h("q", null, quote)),
      ),
    ),
  );
}

/** How full the memory of seen events is. */
function ledgerText({ shards, fullestPercent, remembersHours, wantedShards }) {
  const memory = Number.isFinite(remembersHours) ? `, the last ${plural(remembersHours, "hour")} remembered` : "";
  return `${plural(shards, "shard")}, ${fullestPercent} % full at the most${memory}; the traffic wants ${wantedShards}.`;
}

const known = (count, noun) => (Number.isFinite(count) ? `${number(count)} ${noun}` : "not known");

import { ago, clock, number, plural, since } from "../shared/format.js";
import { ranked, sum, totals } from "./figures.js";
import { FAILED, NOT_MEASURED, REFUSED, reasonOf, SET_ASIDE } from "./reasons.js";

/** How many of the last minutes say how the destination is: between two tries there are five at most. */
const NOW_MINUTES = 10;
/** From which share on what is missing is an alarm, and below it a remark. */
const ALARM = 0.01;
/** For how long events may wait before that is worth a word, in seconds. */
const PATIENCE = 120;

/**
 * Something that an operator should know.
 * @typedef {object} Finding
 * @property {string} id
 * @property {"bad" | "warn" | "idle" | "good"} level
 * @property {string} title what is wrong, in one line
 * @property {string} [detail] more of it
 * @property {string} [words] somebody else's words
 * @property {string} [fix] what to do
 * @property {string} [code] a line to copy for that
 * @property {[string, string]} [see] where to look: a fragment of the page, and what it is called
 */

/**
 * Says why events are missing, the worst first.
 * @param {object} heard
 * @param {any} heard.health
 * @param {any} heard.hour the flow of the last hour
 * @param {any[]} heard.groups of what is set aside
 * @param {any[]} heard.recent the events of the live list, oldest first
 * @returns {Finding[]}
 */
export function diagnose({ health, hour, groups, recent }) {
  const all = totals(hour.buckets);
  const findings = [
    ...settings(health),
    ...destination(health, hour),
    ...refused(all, recent),
    ...failed(all),
    ...setAside(groups),
    ...ledger(health),
    ...points(all),
    ...notMeasured(all),
  ];
  const rank = { bad: 0, warn: 1 };
  findings.sort((a, b) => rank[a.level] - rank[b.level] || (b.weight ?? 0) - (a.weight ?? 0));
  return findings.length > 0 ? findings : [well(all, hour.waiting)];
}

/** @returns {Finding[]} */
function settings({ missing = [] }) {
  return missing.map(({ setting, expected }) => {
    const isSecret = /KEYS|TOKEN|EMAIL|SECRET|HEADERS/.test(setting);
    return {
      id: `setting-${setting}`,
      level: "bad",
      weight: Number.POSITIVE_INFINITY,
      title: `The setting ${setting} is missing or malformed`,
      detail: `Expected ${expected}.`,
      fix: isSecret ? "Set it:" : "Set it in wrangler.toml and deploy.",
      code: isSecret ? `npx wrangler secret put ${setting}` : undefined,
    };
  });
}

/** What becomes of events meanwhile. */
function waits({ events, oldest }, isDurable) {
  if (!isDurable) return "Delivery is direct: clients are told to send again.";
  if (!events) return "Nothing is lost: events wait in the queue and are sent again.";
  const longest = oldest ? `, the oldest since ${clock(oldest * 1000)}` : "";
  return `${plural(events, "event")} wait${events === 1 ? "s" : ""}${longest}. Nothing is lost: they are sent again.`;
}

/** The first that holds of what can be wrong with the destination. @returns {Finding[]} */
function destination(health, hour) {
  const isFailure = ([outcome]) => outcome !== "2xx" && outcome !== "400";
  const minutes = hour.buckets.slice(-NOW_MINUTES);
  const lately = totals(minutes).outcomes;
  // The last minute in which it was asked says how it is now.
  const last = totals(minutes.filter(({ upstream }) => sum(upstream.outcomes) > 0).slice(-1)).outcomes;
  const [told, words] = (health.message ?? "").split("; it says: ");
  const seen = {
    name: destinationName(health),
    // A setting that is missing is told of by itself.
    told: (health.missing ?? []).length > 0 ? "" : told,
    words,
    lately,
    failures: ranked(lately).filter(isFailure),
    // What it answers now, if that is nothing but failures.
    now: last["2xx"] ? undefined : ranked(last).filter(isFailure)[0]?.[0],
    hour,
    common: {
      level: "bad",
      weight: 1e15,
      detail: waits(hour.waiting, health.delivery.mode === "durable"),
      see: ["#upstream", "Requests to the destination"],
    },
  };
  for (const rule of [credentials, url, refusing, down, failing, waiting]) {
    const found = rule(seen);
    if (found) return [{ ...seen.common, ...found }];
  }
  return [];
}

function credentials({ name, told, words, now }) {
  const isTold = told.includes("expected credentials");
  if (!isTold && now !== "401" && now !== "403") return null;
  const names = (isTold ? told.split(":")[0] : "LIBRATO_EMAIL and LIBRATO_TOKEN").split(" and ");
  return {
    id: "credentials",
    title: `${name} does not take the credentials: nothing is delivered`,
    words: words ?? (now && `It answers ${now}.`),
    fix: names.length > 1 ? `One of ${names.join(" and ")} is wrong. To set it anew:` : `To set ${names[0]} anew:`,
    code: `npx wrangler secret put ${names.at(-1)}`,
  };
}

function url({ told, words, now }) {
  if (!told.includes("expected a URL at which") && now !== "404" && now !== "405") return null;
  const setting = told.split(":")[0] || "LIBRATO_URL";
  return {
    id: "url",
    title: `Nothing takes measurements at ${setting}: nothing is delivered`,
    words,
    fix: `Mend ${setting} in wrangler.toml and deploy.`,
  };
}

function refusing({ told, words }) {
  if (!told.includes("refused all that was lately sent")) return null;
  const fix = "Mend what its words name. What it refused is set aside, and can be replayed.";
  return { id: "refusing", title: told, detail: undefined, words, fix, see: ["#set-aside", "Set aside"] };
}

function down({ name, told, words, now }) {
  if (!told && !now) return null;
  const how = {
    undefined: "does not answer as it should",
    timeout: "does not answer",
    network: "cannot be reached",
    429: "takes no more for now: it answers 429",
  };
  return {
    id: "down",
    title: `${name} ${how[now] ?? `is down: it answers ${now}`}: nothing is delivered`,
    words: [told, words].filter(Boolean).join("; it says: "),
    fix: "There is nothing to do here: it goes on by itself when the destination does.",
  };
}

function failing({ name, lately, failures, common }) {
  if (failures.length === 0) return null;
  const failed = sum(Object.fromEntries(failures));
  const outcomes = failures.map(([outcome, count]) => `${outcomeName(outcome)} ${number(count)} ×`).join(", ");
  return {
    id: "failing",
    level: "warn",
    weight: failed,
    title: `${name} failed ${number(failed)} of ${plural(sum(lately), "request")} in the last ${NOW_MINUTES} minutes`,
    detail: `${outcomes}. ${common.detail}`,
  };
}

function waiting({
  hour: {
    now,
    waiting: { events, oldest },
  },
}) {
  if (!events || !oldest || now - oldest < PATIENCE) return null;
  return {
    id: "waiting",
    level: "warn",
    weight: events,
    title: `${plural(events, "event")} wait${events === 1 ? "s" : ""} to be delivered, the oldest for ${ago(oldest)}`,
    detail: "They are sent again after a pause that grows to five minutes. Nothing is lost.",
  };
}

/** @returns {Finding[]} */
function refused({ refused: counts, received }, recent) {
  return ranked(counts).map(([code, count]) => {
    const { what, fix, code: line } = reasonOf(REFUSED, code);
    const examples = recent.filter((event) => event.outcome === "refused" && event.code === code);
    const names = [...new Set(examples.map(({ name }) => name).filter(Boolean))];
    const named = code === "event_not_allowed" && names.length > 0;
    const more = names.length > 3 ? ` and ${names.length - 3} more` : "";
    return {
      id: `refused-${code}`,
      level: count >= ALARM * received ? "bad" : "warn",
      weight: count,
      title: `${plural(count, "event")} of the last hour ${were(count)} refused: ${what}`,
      detail: named ? `Lately: ${names.slice(-3).join(", ")}${more}.` : undefined,
      words: named ? undefined : examples.at(-1)?.message,
      fix,
      code: line,
      see: [`#live=${code}`, "The last of them"],
    };
  });
}

/** Requests that failed because of the destination or a setting are told of by those. @returns {Finding[]} */
function failed({ failed: counts, requests }) {
  const isTold = (code) => code === "misconfigured" || code === "upstream_unavailable";
  return ranked(counts)
    .filter(([code]) => !isTold(code))
    .map(([code, count]) => {
      const { what, fix, code: line } = reasonOf(FAILED, code);
      return {
        id: `failed-${code}`,
        level: count >= ALARM * requests ? "bad" : "warn",
        weight: count,
        title: `${plural(count, "request")} of the last hour ${were(count)} refused: ${what}`,
        fix,
        code: line,
        see: [`#live=${code}`, "The last of them"],
      };
    });
}

/** @returns {Finding[]} */
function setAside(groups) {
  return groups.map(({ reason, words, count, newest }) => {
    const { what, fix } = reasonOf(SET_ASIDE, reason);
    return {
      id: `set-aside-${reason}`,
      level: "bad",
      weight: count,
      title: `${plural(count, "measurement")} ${were(count)} set aside: ${what}`,
      detail: `The last one ${since(newest)}. Others are not held up by them.`,
      words: words[0],
      fix,
      see: [`#set-aside=${reason}`, "Look, replay or delete"],
    };
  });
}

/** @returns {Finding[]} */
function ledger({ ledger: { shards, wantedShards, fullestPercent, remembersHours } = {} }) {
  if (!(wantedShards > shards)) return [];
  return [
    {
      id: "ledger",
      level: "warn",
      title: `The traffic wants ${plural(wantedShards, "ledger shard")}, and there ${shards === 1 ? "is" : "are"} ${shards}`,
      detail:
        fullestPercent > 95 && remembersHours < 24
          ? `Only ${plural(remembersHours, "hour")} are remembered: what is sent again later counts again.`
          : "Soon less than 24 hours are remembered.",
      fix: "Set it in wrangler.toml and deploy.",
      code: `ONCE_SHARDS = "${wantedShards}"`,
    },
  ];
}

/** @returns {Finding[]} */
function points({ refusedPoints: count }) {
  if (count === 0) return [];
  return [
    {
      id: "points",
      level: "bad",
      weight: count,
      title: `${plural(count, "point")} of the last hour ${were(count)} refused by the backend, which took the rest`,
      fix: "They are not kept. The backend’s own log says why; OTLP_PROFILE may be the wrong one for it.",
    },
  ];
}

/** @returns {Finding[]} */
function notMeasured({ notMeasured: counts }) {
  return ranked(counts)
    .filter(([code]) => !reasonOf(NOT_MEASURED, code).isNormal)
    .map(([code, count]) => {
      const { what, fix } = reasonOf(NOT_MEASURED, code);
      return {
        id: `not-measured-${code}`,
        level: "warn",
        weight: count,
        title: `${plural(count, "event")} of the last hour ${were(count)} accepted and not measured: ${what}`,
        fix,
        see: [`#live=${code}`, "The last of them"],
      };
    });
}

/** @returns {Finding} */
function well({ received, delivered, measured }, { events }) {
  if (received === 0) {
    return {
      id: "idle",
      level: "idle",
      title: "Nothing has arrived in the last hour",
      detail: "Nothing is wrong here. Are the clients told this Worker’s host, and a write key?",
      see: ["#try-it", "Send an event from here"],
    };
  }
  const onTheWay = events ? ` ${plural(events, "event")} on the way.` : "";
  return {
    id: "well",
    level: "good",
    title: `All is well: ${plural(delivered, "event")} of the last hour delivered`,
    detail: `${plural(received, "event")} arrived, ${number(measured)} of them to be measured.${onTheWay}`,
  };
}

const were = (count) => (count === 1 ? "was" : "were");

/** @param {any} health */
export const destinationName = ({ sendsTo }) => (sendsTo?.destination === "otlp" ? "The OTLP backend" : "Librato");

/** @param {string} outcome of a request to the destination */
export const outcomeName = (outcome) =>
  ({ "2xx": "taken", timeout: "no answer in time", network: "no connection" })[outcome] ?? outcome;

import { ago, clock, number, plural, since } from "../shared/format.js";
import { ranked, sum, totals } from "./figures.js";
import { FAILED, NOT_MEASURED, REFUSED, reasonOf, SET_ASIDE } from "./reasons.js";

/** How many of the last minutes say how the destination is now. */
const NOW_MINUTES = 5;
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

/** @returns {Finding[]} */
function destination(health, hour) {
  const name = destinationName(health);
  const { waiting } = hour;
  const isDurable = health.delivery.mode === "durable";
  const detail = waits(waiting, isDurable);
  const last = totals(hour.buckets.slice(-NOW_MINUTES)).outcomes;
  const [message, words] = (health.message ?? "").split("; it says: ");
  const asked = (health.missing ?? []).length > 0 ? "" : message;
  const finding = { level: "bad", weight: 1e15, detail, see: ["#overview", "Requests to the destination"] };
  const refusals = (last[401] ?? 0) + (last[403] ?? 0);
  const good = last["2xx"] ?? 0;

  if (/expected credentials/.test(asked) || (refusals > 0 && good === 0)) {
    const [setting] = asked.split(":");
    const names = /expected credentials/.test(asked) ? setting : "LIBRATO_EMAIL, LIBRATO_TOKEN";
    return [
      {
        ...finding,
        id: "credentials",
        title: `${name} does not take the credentials: nothing is delivered`,
        words: words ?? (refusals > 0 ? `It answers ${last[401] ? 401 : 403}.` : undefined),
        fix: `Set ${names.replaceAll(", ", " and ")} anew:`,
        code: `npx wrangler secret put ${names.split(", ").at(-1)}`,
      },
    ];
  }
  if (/expected a URL at which/.test(asked) || (last[404] && good === 0)) {
    const setting = asked.split(":")[0] || "LIBRATO_URL";
    return [
      {
        ...finding,
        id: "url",
        title: `Nothing takes measurements at ${setting}: nothing is delivered`,
        words,
        fix: `Mend ${setting} in wrangler.toml and deploy.`,
      },
    ];
  }
  const bad = ranked(last).filter(([outcome]) => outcome !== "2xx" && outcome !== "400");
  const tries = sum(last);
  const outcomes = bad.map(([outcome, count]) => `${outcomeName(outcome)} ${number(count)} ×`).join(", ");
  if (/refused all that was lately sent/.test(asked)) {
    return [
      { ...finding, id: "refusing", title: `${asked}`, detail: undefined, words, see: ["#set-aside", "Set aside"] },
    ];
  }
  if (asked || (bad.length > 0 && good === 0)) {
    const [outcome] = bad[0] ?? [];
    const how = outcome ? { timeout: "does not answer", network: "cannot be reached" }[outcome] : "";
    return [
      {
        ...finding,
        id: "down",
        title: `${name} ${how || (outcome ? `is down: it answers ${outcome}` : "does not answer as it should")}: nothing is delivered`,
        words: asked && (words ? `${asked}; it says: ${words}` : asked),
        fix: "There is nothing to do here: it goes on by itself when the destination does.",
      },
    ];
  }
  const failures = sum(Object.fromEntries(bad));
  if (failures > 0) {
    return [
      {
        ...finding,
        id: "failing",
        level: "warn",
        weight: failures,
        title: `${name} failed ${number(failures)} of ${plural(tries, "request")} in the last ${NOW_MINUTES} minutes`,
        detail: `${outcomes}. ${detail}`,
      },
    ];
  }
  const age = waiting.oldest ? hour.now - waiting.oldest : 0;
  if (waiting.events > 0 && age > PATIENCE) {
    return [
      {
        ...finding,
        id: "waiting",
        level: "warn",
        weight: waiting.events,
        title: `${plural(waiting.events, "event")} wait${waiting.events === 1 ? "s" : ""} to be delivered, the oldest for ${ago(waiting.oldest)}`,
        detail: "They are sent again after a pause that grows to five minutes. Nothing is lost.",
      },
    ];
  }
  return [];
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

import { $, h, renew, setText } from "../shared/dom.js";
import { clock, number } from "../shared/format.js";
import { ApiError, getFlow, getGroups, getHealth, getLive, getMetrics, session } from "./api.js";
import { copyLine } from "./copy.js";
import { diagnose } from "./diagnosis.js";
import { Flow } from "./flow.js";
import { showHealth } from "./health.js";
import { byReason, Letters } from "./letters.js";
import { Live } from "./live.js";
import { Metrics } from "./metrics.js";
import { Poll } from "./poll.js";
import { TryIt } from "./try.js";
import { WorkDialog } from "./work.js";

const VIEWS = ["overview", "metrics", "live", "set-aside", "try-it"];

const SET_ASIDE = "set-aside measurements";

/** A flow that is not known. */
const UNKNOWN = { range: "hour", step: 60, now: 0, buckets: [], waiting: { events: null, oldest: null } };

/** What the Worker has told last. */
const heard = { health: null, hour: null, month: null, groups: [] };
/** @type {Map<string, string>} what it could not tell, and why */
const untold = new Map();
let range = "hour";
let view = "overview";

const flow = new Flow();
const metrics = new Metrics();
const live = new Live();
const work = new WorkDialog(() => polls.groups.now());
const letters = new Letters({
  work: (wanted) => work.open(wanted, heard.health?.sendsTo?.destination ?? "librato"),
  failed,
});
new TryIt();

/** How often each thing is asked for, in milliseconds. A look at the health asks the destination too. */
const polls = {
  health: asked("health", 15_000, async () => {
    heard.health = await getHealth();
  }),
  hour: asked("figures", 5_000, async () => {
    heard.hour = await getFlow("hour");
  }),
  month: asked("figures of 30 days", 60_000, async () => {
    heard.month = await getFlow("month");
  }),
  groups: asked(SET_ASIDE, 5_000, async () => {
    heard.groups = byReason((await getGroups()).groups);
  }),
  metrics: asked("metrics", 15_000, async () => metrics.show(await getMetrics())),
  live: asked("live events", 2_000, async () => live.show(await getLive(live.latest))),
};

function asked(what, interval, task) {
  return new Poll(async () => {
    try {
      await task();
      untold.delete(what);
      $("pulse").dataset.status = "up";
      setText($("pulse-text"), `live · ${clock(Date.now())}`);
    } catch (error) {
      failed(error);
      if (error.status > 0) untold.set(what, error.message);
    }
    show();
  }, interval);
}

/** Shows everything that is known so far. */
function show() {
  if ($("console").hidden) return;
  const { health, hour, month, groups } = heard;
  letters.show(groups);
  // Without figures there is still something to see, but they are waited for.
  if (!health || !(hour || untold.size > 0)) return;
  setText($("where"), `${location.host} · ${health.version}`);
  const drawn = range === "month" ? month : hour;
  if (drawn) flow.show(drawn, groups);
  showHealth(health, hour?.waiting);
  const findings = diagnose({ health, hour: hour ?? UNKNOWN, groups, recent: live.events });
  // Without a queue nothing is set aside, and a store for it may be missing.
  const isExpected = (what) => what === SET_ASIDE && health.delivery.mode === "direct";
  const missing = [...untold]
    .filter(([what]) => !isExpected(what))
    .map(([what, why]) => ({ id: "untold", level: "bad", title: `The ${what} cannot be shown`, words: why }));
  showFindings([...missing, ...(hour || missing.length === 0 ? findings : findings.filter(({ id }) => id !== "idle"))]);
}

/** @param {import("./diagnosis.js").Finding[]} findings */
function showFindings(findings) {
  const title = `${findings[0].level === "bad" ? "● " : ""}${findings[0].title} · librato-edge`;
  if (document.title !== title) document.title = title;
  const open = new Set([...document.querySelectorAll(".finding details[open]")].map(({ id }) => id));
  const rest = h("li", { class: "rest" }, h("a", { href: "#overview" }, `and ${number(findings.length - 1)} more`));
  renew($("findings"), findings, () => [
    ...findings.map((finding, index) => findingRow(finding, index === 0, open)),
    ...(findings.length > 1 ? [rest] : []),
  ]);
}

/** The worst is told in full, of the others more on demand. */
function findingRow({ id, level, title, detail, words, fix, code, see }, isWorst, open) {
  const heading = h("h3", null, title);
  const more = [
    detail && h("p", null, detail),
    words && h("p", null, h("q", null, words)),
    fix && h("p", { class: "fix" }, fix),
    code && copyLine(code),
  ];
  const about = isWorst
    ? h("div", { class: "about" }, heading, ...more)
    : h(
        "details",
        { class: "about", id: `more-${id}`, open: open.has(`more-${id}`) },
        h("summary", { id: `title-${id}` }, heading),
        ...more,
      );
  return h(
    "li",
    { class: `finding ${level}`, "data-finding": id },
    h("span", { class: "sign", "aria-hidden": true }, { bad: "!", warn: "!", good: "✓", idle: "…" }[level]),
    about,
    see && h("a", { class: "see", id: `see-${id}`, href: see[0] }, see[1]),
  );
}

/** @param {Error} error */
function failed(error) {
  if (!(error instanceof ApiError)) throw error;
  if (error.status === 401) {
    leave("This is not the token of this Worker any more. Has OPERATOR_TOKEN changed?");
    return;
  }
  $("pulse").dataset.status = "down";
  setText($("pulse-text"), error.message);
}

// Views

function go() {
  const [name, wanted = ""] = decodeURIComponent(location.hash.slice(1)).split("=");
  view = VIEWS.includes(name) ? name : ($(name)?.closest(".view")?.id ?? "overview");
  // What is tried is seen among the live events beside it.
  for (const other of VIEWS) $(other).hidden = other !== view && !(other === "live" && view === "try-it");
  document.body.dataset.view = view;
  for (const link of $("views").children) {
    if (link.hash === `#${view}`) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  if (view === "live") live.only(wanted);
  if (view === "set-aside" && session.token) letters.choose(wanted);
  want(Boolean(session.token) && !$("console").hidden);
  show();
}

/** Asks for what the view shows. */
function want(isIn) {
  for (const name of ["health", "hour", "groups", "live"]) polls[name].wanted = isIn;
  polls.month.wanted = isIn && range === "month";
  // The names of today are counted in the navigation, so they are asked for once in any case.
  polls.metrics.wanted = isIn;
}

addEventListener("hashchange", () => {
  // The link that skips the head of the page is none to another view.
  if (location.hash === "#main") return;
  go();
  if ($("console").hidden) return;
  const part = $(location.hash.slice(1));
  if (part && part.id !== view) part.scrollIntoView();
  else scrollTo(0, 0);
  $(view).focus({ preventScroll: true });
});

for (const input of document.querySelectorAll('input[name="range"]')) {
  input.addEventListener("change", () => {
    range = input.value;
    want(true);
    show();
  });
}

// Signing in and out

/** Asks for the token. @param {string} [why] */
function leave(why = "") {
  session.token = "";
  want(false);
  for (const id of ["console", "views", "session"]) $(id).hidden = true;
  document.title = "librato-edge";
  $("sign-in").hidden = false;
  complain(why);
  $("token").value = "";
  $("token").focus();
}

function complain(why) {
  setText($("sign-in-error"), why);
  $("sign-in-error").hidden = why === "";
}

async function enter() {
  $("sign-in-button").disabled = true;
  try {
    heard.health = await getHealth();
    $("sign-in").hidden = true;
    for (const id of ["console", "views", "session"]) $(id).hidden = false;
    go();
    $(view).focus({ preventScroll: true });
  } catch (error) {
    if (error.status === 401) leave("This is not the token of this Worker. It is what was set as OPERATOR_TOKEN.");
    else {
      $("sign-in").hidden = false;
      complain(`The Worker could not be asked: ${error.message}.`);
    }
  } finally {
    $("sign-in-button").disabled = false;
  }
}

$("sign-in-form").addEventListener("submit", (event) => {
  event.preventDefault();
  session.token = $("token").value.trim();
  complain("");
  enter();
});
$("sign-out").addEventListener("click", () => {
  session.token = "";
  // What was shown goes as well.
  location.reload();
});

setText($("where"), location.host);
if (session.token) enter();
else leave();

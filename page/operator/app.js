import { $, h, setText } from "../shared/dom.js";
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

const VIEWS = { overview: "Overview", metrics: "Metrics", live: "Live", "set-aside": "Set aside", "try-it": "Try it" };

/** What the Worker has told last. */
const heard = { health: null, hour: null, flow: null, groups: [] };
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
  health: asked(async () => {
    heard.health = await getHealth();
  }, 15_000),
  hour: asked(async () => {
    heard.hour = await getFlow("hour");
  }, 5_000),
  month: asked(async () => {
    heard.month = await getFlow("month");
  }, 60_000),
  groups: asked(async () => {
    heard.groups = byReason((await getGroups()).groups);
  }, 5_000),
  metrics: asked(async () => metrics.show(await getMetrics()), 15_000),
  live: asked(async () => live.show(await getLive(live.latest)), 2_000),
};

function asked(task, interval) {
  return new Poll(async () => {
    try {
      await task();
      setText($("pulse-text"), `live · ${clock(Date.now())}`);
      $("pulse").dataset.status = "up";
      show();
    } catch (error) {
      failed(error);
    }
  }, interval);
}

/** Shows everything that is known so far. */
function show() {
  const { health, hour, month, groups } = heard;
  letters.show(groups);
  if (!health || !hour) return;
  setText($("where"), `${location.host} · ${health.version}`);
  const drawn = range === "month" ? month : hour;
  if (drawn) flow.show(drawn, groups);
  showHealth(health, hour.waiting);
  showFindings(diagnose({ health, hour, groups, recent: live.events }));
}

/** @param {import("./diagnosis.js").Finding[]} findings */
function showFindings(findings) {
  const described = JSON.stringify(findings);
  if (described === $("findings").dataset.shown) return;
  $("findings").dataset.shown = described;
  document.title = `${findings[0].level === "bad" ? "● " : ""}${findings[0].title} · librato-edge`;
  const open = new Set([...document.querySelectorAll(".finding details[open]")].map(({ id }) => id));
  const focused = document.activeElement?.closest("#findings") ? document.activeElement.id : "";
  const rest = h("li", { class: "rest" }, h("a", { href: "#overview" }, `and ${number(findings.length - 1)} more`));
  $("findings").replaceChildren(
    ...findings.map((finding, index) => findingRow(finding, index === 0, open)),
    ...(findings.length > 1 ? [rest] : []),
  );
  // What is drawn anew must not take the focus away.
  if (focused) $(focused)?.focus();
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
  view = Object.hasOwn(VIEWS, name) ? name : "overview";
  // What is tried is seen among the live events beside it.
  for (const other of Object.keys(VIEWS)) $(other).hidden = other !== view && !(other === "live" && view === "try-it");
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
  go();
  if (!$("console").hidden) {
    scrollTo(0, 0);
    $(view).focus({ preventScroll: true });
  }
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
$("sign-out").addEventListener("click", () => leave());

setText($("where"), location.host);
if (session.token) enter();
else leave();

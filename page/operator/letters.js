import { $, h, renew, setText, throttled } from "../shared/dom.js";
import { clock, number, plural, since } from "../shared/format.js";
import { getLetters } from "./api.js";
import { reasonOf, SET_ASIDE } from "./reasons.js";

const PAGE = 25;

/**
 * The groups of the API by reason alone, since that is what can be replayed at once.
 * @param {any[]} groups
 * @returns {{reason: string, words: string[], count: number, oldest: number, newest: number}[]} largest first
 */
export function byReason(groups) {
  const merged = new Map();
  for (const { reason, words, count, oldest, newest } of groups) {
    const group = merged.get(reason) ?? { reason, words: [], count: 0, oldest, newest };
    merged.set(reason, {
      reason,
      words: words ? [...group.words, words] : group.words,
      count: group.count + count,
      oldest: Math.min(group.oldest, oldest),
      newest: Math.max(group.newest, newest),
    });
  }
  return [...merged.values()].sort((a, b) => b.count - a.count);
}

/** What was set aside: groups, and the letters of one of them. */
export class Letters {
  #groups = [];
  #reason = "";
  #letters = [];
  #selected = new Set();
  #asked = 0;
  #known = "";
  #on;
  #search = throttled(() => this.load(), 300);

  /**
   * @param {object} on
   * @param {(work: import("./work.js").Work) => void} on.work the user wants letters replayed or deleted
   * @param {(error: Error) => void} on.failed the letters could not be had
   */
  constructor(on) {
    this.#on = on;
    $("letters-search").addEventListener("input", this.#search);
    $("letters-more").addEventListener("click", () => this.#more());
    $("select-all").addEventListener("change", ({ target }) => {
      for (const { id } of this.#letters) {
        if (target.checked) this.#selected.add(id);
        else this.#selected.delete(id);
      }
      this.#mark();
    });
    $("letters").addEventListener("change", ({ target }) => {
      const id = Number(target.closest("[data-id]").dataset.id);
      if (target.checked) this.#selected.add(id);
      else this.#selected.delete(id);
      this.#mark();
    });
    for (const what of ["replay", "delete"]) {
      $(`${what}-selected`).addEventListener("click", () => this.#work(what, [...this.#selected]));
    }
  }

  /** @param {ReturnType<typeof byReason>} groups */
  show(groups) {
    this.#groups = groups;
    const count = groups.reduce((total, group) => total + group.count, 0);
    setText($("letters-count"), count ? number(count) : "");
    setText($("tally-set-aside"), number(count));
    $("tally-set-aside").hidden = count === 0;
    $("groups-empty").hidden = count > 0;
    $("letters-card").hidden = count === 0;
    const known = JSON.stringify([groups, this.#reason]);
    if (known === this.#known) return;
    this.#known = known;
    this.#drawGroups();
    if (!$("set-aside").hidden) this.load();
  }

  /** Chooses a group. @param {string} reason empty for all */
  choose(reason) {
    this.#reason = reason;
    this.#selected.clear();
    this.#drawGroups();
    this.load();
  }

  #drawGroups() {
    renew($("groups"), [this.#groups, this.#reason], () =>
      this.#groups.map((group) => {
        const { reason, words, count, oldest, newest } = group;
        const { what, fix } = reasonOf(SET_ASIDE, reason);
        const isChosen = reason === this.#reason;
        const button = (action, label, props, onclick) =>
          h("button", { type: "button", "data-action": action, ...props, onclick }, label);
        return h(
          "li",
          { "data-reason": reason },
          h("b", { class: "many" }, number(count)),
          h(
            "div",
            { class: "about" },
            h("b", null, what),
            h("span", { class: "ages" }, `${reason} · first ${since(oldest)}, last ${since(newest)}`),
            ...words.slice(0, 3).map((line) => h("q", null, line)),
            words.length > 3 && h("span", { class: "ages" }, `and ${words.length - 3} other messages`),
            fix && h("span", { class: "fix" }, fix),
          ),
          h(
            "div",
            { class: "buttons" },
            button(
              "show",
              "Show",
              { class: "quiet", "aria-pressed": String(isChosen), "aria-label": `Show only ${reason}` },
              () => {
                location.hash = isChosen ? "#set-aside" : `#set-aside=${reason}`;
              },
            ),
            button("replay", "Replay all", { class: "primary", "aria-label": `Replay all of ${reason}` }, () =>
              this.#on.work({ what: "replay", reason, count, oldest }),
            ),
            button("delete", "Delete all", { "aria-label": `Delete all of ${reason}` }, () =>
              this.#on.work({ what: "delete", reason, count, oldest }),
            ),
          ),
        );
      }),
    );
    setText($("letters-title"), this.#reason ? `Letters: ${reasonOf(SET_ASIDE, this.#reason).what}` : "Letters");
  }

  /** Asks for the newest letters of the group. */
  async load() {
    await this.#ask(null);
  }

  async #more() {
    await this.#ask($("letters-more").dataset.before);
  }

  async #ask(before) {
    this.#asked += 1;
    const asked = this.#asked;
    const search = $("letters-search").value.trim();
    try {
      const { letters, count, next } = await getLetters({ reason: this.#reason, search, before, limit: PAGE });
      // Another question is on its way, and its answer is what is wanted.
      if (asked !== this.#asked) return;
      this.#letters = before === null ? letters : [...this.#letters, ...letters];
      const after = next === undefined && letters.length === PAGE ? letters.at(-1).id : next;
      $("letters-more").hidden = !after;
      $("letters-more").dataset.before = after ?? "";
      setText($("letters-more"), `Show more of ${number(count)}`);
      this.#draw();
    } catch (error) {
      this.#on.failed(error);
    }
  }

  #draw() {
    const open = new Set(
      [...$("letters").querySelectorAll("details[open]")].map((one) => one.closest("li").dataset.id),
    );
    const ids = new Set(this.#letters.map(({ id }) => id));
    for (const id of this.#selected) if (!ids.has(id)) this.#selected.delete(id);
    renew($("letters"), this.#letters, () =>
      this.#letters.map((letter) => this.#row(letter, open.has(String(letter.id)))),
    );
    $("letters-empty").hidden = this.#letters.length > 0;
    this.#mark();
  }

  #mark() {
    const count = this.#selected.size;
    for (const item of $("letters").children) {
      item.querySelector("input").checked = this.#selected.has(Number(item.dataset.id));
    }
    $("select-all").checked = count > 0 && count === this.#letters.length;
    $("select-all").indeterminate = count > 0 && count < this.#letters.length;
    setText($("selected"), count ? `${number(count)} selected` : "Select all shown");
    for (const what of ["replay", "delete"]) $(`${what}-selected`).disabled = count === 0;
  }

  #work(what, ids) {
    const times = this.#letters
      .filter(({ id }) => ids.includes(id))
      .map(({ measurement, receivedAt }) => measurement?.measure_time ?? Date.parse(receivedAt) / 1000);
    this.#on.work({ what, ids, count: ids.length, oldest: Math.min(...times) });
  }

  #row(letter, isOpen) {
    const { id, reason, message, receivedAt, measurement, original } = letter;
    const name = measurement?.name ?? "A message that could not be read";
    const details = h(
      "details",
      { open: isOpen },
      h(
        "summary",
        null,
        h("span", { class: "name" }, h("b", null, name), measurement && h("span", null, measurement.source)),
        h("span", { class: "words" }, message ?? reason),
        h("time", { datetime: receivedAt, title: receivedAt }, since(Date.parse(receivedAt) / 1000)),
      ),
      h("dl", null, ...facts(letter).map(([label, text]) => h("div", null, h("dt", null, label), h("dd", null, text)))),
      original && h("pre", { tabindex: 0 }, original.slice(0, 4000)),
      h(
        "div",
        { class: "buttons" },
        h("button", { type: "button", onclick: () => this.#work("replay", [id]) }, "Replay this one"),
        h("button", { type: "button", onclick: () => this.#work("delete", [id]) }, "Delete this one"),
      ),
    );
    return h(
      "li",
      { "data-id": id },
      h("input", { type: "checkbox", "aria-label": `Select letter ${id}, ${name}` }),
      details,
    );
  }
}

function facts({ id, reason, message, receivedAt, measurement, writer }) {
  const { count, sum, min, max, measure_time: time } = measurement ?? {};
  return [
    ["Why", message ?? reasonOf(SET_ASIDE, reason).what],
    measurement && ["Values", `${plural(count, "event")}, sum ${number(sum)}, from ${number(min)} to ${number(max)}`],
    measurement && ["Counts at", `${new Date(time * 1000).toISOString()} (${since(time)})`],
    ["Arrived", `${receivedAt} (${clock(Date.parse(receivedAt))})`],
    writer && ["Writer", writer],
    ["Letter", id],
  ].filter(Boolean);
}

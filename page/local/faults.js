import { $, h, setText } from "../shared/dom.js";
import { plural } from "../shared/format.js";
import { addFault, clearFaults } from "./api.js";

/** What can be chosen, each with the one setting that matters to it. */
const ANSWERS = [
  { answer: "503", label: "503 Service Unavailable", setting: "retryAfter" },
  { answer: "500", label: "500 Internal Server Error", setting: "retryAfter" },
  { answer: "504", label: "504 Gateway Timeout", setting: "retryAfter" },
  { answer: "429", label: "429 Too Many Requests", setting: "retryAfter" },
  { answer: "403-limit", label: "403 API limit reached", setting: "retryAfter" },
  { answer: "403-readonly", label: "403 token may not write" },
  { answer: "401", label: "401 wrong credentials" },
  { answer: "400-garbage", label: "400 with a body that is not JSON" },
  { answer: "413", label: "413 Content Too Large" },
  { answer: "200-errors", label: "200, but with errors" },
  { answer: "slow", label: "Answer late", setting: "delayMs" },
  { answer: "hang", label: "Never answer" },
  { answer: "reset-before", label: "Cut the connection, store nothing" },
  { answer: "reset-after", label: "Store, then cut the connection" },
];

const label = (answer) => ANSWERS.find((known) => known.answer === answer)?.label ?? answer;

/** The switches that make the server fail on purpose. */
export class FaultPanel {
  constructor() {
    const answer = $("fault-answer");
    answer.append(...ANSWERS.map(({ answer: value, label: text }) => h("option", { value }, text)));
    const adapt = () => {
      const chosen = ANSWERS.find((known) => known.answer === answer.value);
      for (const field of document.querySelectorAll("#fault-form [data-for]"))
        field.hidden = field.dataset.for !== chosen.setting;
    };
    answer.addEventListener("change", adapt);
    adapt();

    $("fault-form").addEventListener("submit", (event) => {
      event.preventDefault();
      const chosen = ANSWERS.find((known) => known.answer === answer.value);
      const setting = { retryAfter: $("fault-retry-after").value, delayMs: $("fault-delay").value }[chosen.setting];
      this.#act(() =>
        addFault({
          answer: answer.value,
          times: Number($("fault-times").value),
          ...(setting && { [chosen.setting]: Number(setting) }),
        }),
      );
    });
    $("fault-clear").addEventListener("click", () => this.#act(clearFaults));
  }

  async #act(action) {
    try {
      const { faults } = await action();
      setText($("fault-status"), "");
      this.show(faults);
    } catch (error) {
      setText($("fault-status"), error.message);
    }
  }

  /** @param {any[]} faults the queue, next one first */
  show(faults) {
    const items = faults.map(({ answer, remaining, retryAfter, delayMs }) => {
      const details = [
        remaining ? `next ${plural(remaining, "request")}` : "until cleared",
        Number.isFinite(retryAfter) && `Retry-After ${retryAfter} s`,
        Number.isFinite(delayMs) && `after ${delayMs} ms`,
      ];
      return h(
        "li",
        { "data-answer": answer },
        h("b", null, label(answer)),
        h("span", null, details.filter(Boolean).join(", ")),
      );
    });
    $("fault-queue").replaceChildren(...items);
    document.body.toggleAttribute("data-failing", faults.length > 0);
  }
}

import { $, h, setText } from "../shared/dom.js";

/** A line of code with a button that copies it. @param {string} line */
export function copyLine(line) {
  const button = h("button", { type: "button", class: "quiet" }, "Copy");
  const code = h("code", { tabindex: 0 }, line);
  button.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(line);
      setText(button, "Copied");
      setText($("said"), "Copied");
    } catch {
      // Without HTTPS there is no clipboard: then it is marked, for the user's own copying.
      getSelection().selectAllChildren(code);
      setText(button, "Marked");
    }
    setTimeout(() => setText(button, "Copy"), 2000);
  });
  return h("div", { class: "line" }, code, button);
}

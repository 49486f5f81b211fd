/** @param {string} id @returns {any} the element with this id, which the page is known to have */
export const $ = (id) => document.getElementById(id);

/**
 * Builds an element. Strings become text nodes, never markup: names, answers and user agents come from outside.
 * @param {string} tag
 * @param {Record<string, any> | null} [props] attributes, those that are false or null left out, and `on…` listeners
 * @param {...(Node | string | number | null | undefined | false)} children
 */
export function h(tag, props, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(props ?? {})) {
    if (value === null || value === undefined || value === false) continue;
    if (typeof value === "function") element.addEventListener(name.slice(2), value);
    // A Content-Security-Policy refuses the attribute, and not this.
    else if (name === "style") element.style.cssText = value;
    else element.setAttribute(name, String(value));
  }
  element.append(...children.filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

/** Writes text only where it differs, so that an unchanged page causes no layout. */
export function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/** @type {WeakMap<Element, string>} what elements show that are built anew as a whole */
const shown = new WeakMap();

const focusable = "a, button, input, summary";
const key = (element) =>
  element.id || element.getAttribute("href") || element.getAttribute("aria-label") || element.textContent;

/**
 * Builds the children of an element anew, if what they show has changed. What had the focus has it afterwards.
 * @param {Element} root
 * @param {any} what they show
 * @param {() => Node[]} build
 */
export function renew(root, what, build) {
  const described = JSON.stringify(what);
  if (shown.get(root) === described) return;
  shown.set(root, described);
  const focused = root.contains(document.activeElement) ? key(document.activeElement) : null;
  root.replaceChildren(...build());
  if (focused) [...root.querySelectorAll(focusable)].find((element) => key(element) === focused)?.focus();
}

const still = matchMedia("(prefers-reduced-motion: reduce)");

/** Plays an animation, from its start even where it is running, unless the user wants none. */
export function animate(element, keyframes, options) {
  if (!still.matches) element.animate(keyframes, options);
}

/**
 * Wraps `work` so that any number of calls cause one run, in an animation frame and at most once per `interval`
 * milliseconds. A hidden tab gets no frames; it catches up when it is shown.
 * @param {() => void} work
 */
export function throttled(work, interval = 0) {
  let waiting = false;
  let last = Number.NEGATIVE_INFINITY;
  const run = () => {
    waiting = false;
    last = performance.now();
    work();
  };
  return () => {
    if (waiting) return;
    waiting = true;
    const pause = last + interval - performance.now();
    if (pause > 0) setTimeout(() => requestAnimationFrame(run), pause);
    else requestAnimationFrame(run);
  };
}

/**
 * Gives pressed keys to whom they belong on the pages where people label: to an input method, to a field, or
 * to the response, which is scrolled wherever the focus lies.
 */

import { composing, modified } from "./keymap.js";

const STEP = 40; // pixels, as browsers do for an arrow
const PART = 0.875; // of what is in view, for a page

// While an input method composes, its keys are its own: Enter takes its suggestion and sends nothing. Nothing
// hears them.
for (const kind of /** @type {const} */ (["keydown", "keypress", "keyup"])) {
  addEventListener(kind, (event) => composing(event) && event.stopImmediatePropagation(), { capture: true });
}

const TYPED_IN = "textarea, select, [contenteditable], input:not([type=radio], [type=checkbox])";

/**
 * Tells whether one types there.
 * @param {EventTarget | null} target
 */
export const typing = (target) => target instanceof Element && target.matches(TYPED_IN);

// What is typed in is whole in view, also once a phone's keyboard has taken its part of the screen.
/** @param {EventTarget | null} target */
function bringIntoView(target) {
  if (target instanceof Element && typing(target) && target.matches("textarea, input")) {
    target.scrollIntoView({ block: "nearest" });
  }
}
document.addEventListener("focusin", ({ target }) => bringIntoView(target));
addEventListener("resize", () => bringIntoView(document.activeElement));

/** Finds the column with the task and the response, where there is one. */
export const reading = () => document.getElementById("reading");

/** Gives the focus to the response. */
export const focusReading = () => reading()?.focus({ preventScroll: true });

/**
 * Finds what scrolls the response: its column, or where there is one column only, the page.
 * @param {Element} column
 */
export function scrollerOf(column) {
  const scrolls =
    column.scrollHeight > column.clientHeight + 1 && getComputedStyle(column).overflowY !== "visible";
  return scrolls ? column : (document.scrollingElement ?? document.documentElement);
}

/** @type {Record<string, (height: number) => number>} */
const WAYS = {
  ArrowDown: () => STEP,
  ArrowUp: () => -STEP,
  PageDown: (height) => PART * height,
  PageUp: (height) => -PART * height,
  Home: () => -Infinity,
  End: () => Infinity,
  " ": (height) => PART * height,
};

/**
 * Scrolls the response by a key that means nothing else where the focus lies; tells whether it did.
 * @param {KeyboardEvent} event
 */
export function scrollsReading(event) {
  const column = reading();
  const way = WAYS[event.key];
  if (!column || !way || modified(event)) return false;
  const space = event.key === " ";
  if ((event.shiftKey && !space) || typing(event.target) || (space && takesSpace(event.target))) return false;
  event.preventDefault();
  const scroller = scrollerOf(column);
  const by = way(scroller.clientHeight) * (space && event.shiftKey ? -1 : 1);
  if (Number.isFinite(by)) scroller.scrollBy(0, by);
  else scroller.scrollTo(0, by > 0 ? scroller.scrollHeight : 0);
  return true;
}

/**
 * Tells whether Space does something of its own there. An option that is chosen already has nothing left to
 * do.
 * @param {EventTarget | null} target
 */
function takesSpace(target) {
  const control = target instanceof Element && target.closest("button, summary, input, [role=radio]");
  return control instanceof Element && control.getAttribute("aria-checked") !== "true";
}

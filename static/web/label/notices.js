/**
 * Shows what a rater should know that is not about the field in hand. Each notice has a name, so that it is
 * there once and can go again.
 */

import { $, announce, make } from "./dom.js";
import { focusReading } from "./pressing.js";

/** @typedef {[title: string, act: string | (() => void)]} Way out of it: a page to open, or what to do */

/** Lists the notices that are shown. */
const shown = () => [...$("notices").children].filter((one) => one instanceof HTMLElement);

/** @param {string} name */
const find = (name) => shown().find((one) => one.dataset.notice === name);

/**
 * Shows a notice, in place of the one with its name.
 * @param {string} name
 * @param {string} text
 * @param {Way[]} ways
 */
export function notice(name, text, ways = [], kind = "") {
  const buttons = ways.length ? [make("p", { className: "actions" }, ...ways.map(buttonFor))] : [];
  const made = make(
    "div",
    { className: `message ${kind}`, data: { notice: name } },
    make("p", { textContent: text }),
    ...buttons,
  );
  const before = find(name);
  if (before?.textContent === made.textContent) return; // as it is, with its focus
  if (before) before.replaceWith(made);
  else $("notices").append(made);
  announce(text);
}

/** @param {Way} way */
function buttonFor([title, act]) {
  if (typeof act === "string") {
    const opens = { href: act, target: "_blank", rel: "noopener" };
    return make("a", { className: "button small", textContent: title, ...opens });
  }
  const button = make("button", { type: "button", className: "button small", textContent: title });
  button.addEventListener("click", act);
  return button;
}

/**
 * Takes a notice away.
 * @param {string} name
 */
export function unnotice(name) {
  const found = find(name);
  if (found?.contains(document.activeElement)) focusReading();
  found?.remove();
}

/**
 * Lists the names of the notices that begin so.
 * @param {string} start
 */
export function notices(start) {
  return shown()
    .map((one) => one.dataset.notice ?? "")
    .filter((name) => name.startsWith(start));
}

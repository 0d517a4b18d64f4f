// Things a rater should know that are not about the field in hand. Each has a name, so that it is there once and can go again.

import { $, announce, make } from "./dom.js";

const place = $("notices");

export function notice(name, text, actions = [], kind = "") {
  const buttons = actions.map(([title, act]) => {
    if (typeof act === "string") return make("a", { className: "button small", href: act, target: "_blank", rel: "noopener", textContent: title });
    const button = make("button", { type: "button", className: "button small", textContent: title });
    button.addEventListener("click", act);
    return button;
  });
  const made = make("div", { className: `message ${kind}`, data: { notice: name } }, make("p", { textContent: text }), ...(buttons.length ? [make("p", { className: "actions" }, ...buttons)] : []));
  const before = at(name);
  if (before?.textContent === made.textContent) return; // as it is, with its focus
  if (before) before.replaceWith(made);
  else place.append(made);
  announce(text);
}

export function unnotice(name) {
  const found = at(name);
  if (found?.contains(document.activeElement)) $("item-heading").focus({ preventScroll: true });
  found?.remove();
}

export function notices(start) {
  return [...place.children].map((one) => one.dataset.notice).filter((name) => name.startsWith(start));
}

const at = (name) => [...place.children].find((one) => one.dataset.notice === name);

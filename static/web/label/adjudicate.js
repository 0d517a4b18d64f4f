/**
 * Runs the adjudication room: keys, dialogs, and whose passages stand out. The page works without any of it.
 */

import { parts } from "./dom.js";
import { digitOf, modified, sends } from "./keymap.js";
import { chooseNumber, findGroup } from "./options.js";
import { reading, scrollsReading, typing } from "./pressing.js";

const opinions = parts(document, ".opinion");
const labels = findGroup("label");

/** Finds the dialog that is open. */
const openDialog = () => document.querySelector("dialog[open]");

/**
 * Opens a dialog, unless one is open.
 * @param {string | undefined} id
 */
function show(id) {
  const dialog = document.getElementById(id ?? "");
  if (!(dialog instanceof HTMLDialogElement) || openDialog()) return;
  dialog.showModal();
  dialog.querySelector("textarea")?.focus();
}

/**
 * Lets the passages of one rating stand out, or of none.
 * @param {HTMLElement | null} card
 */
function emphasise(card) {
  const text = document.getElementById("response-text");
  if (!text) return;
  text.classList.toggle("one-rater", Boolean(card));
  for (const piece of parts(text, "[data-by]")) {
    piece.classList.toggle("lit", piece.dataset.by === card?.dataset.by);
  }
  for (const one of opinions) one.classList.toggle("lit", one === card);
}

/** Finds the rating that has the focus. */
const focused = () => opinions.find((one) => one.contains(document.activeElement)) ?? null;

// The card that has the pointer stands out, else the one that has the focus.
for (const card of opinions) {
  card.addEventListener("pointerenter", () => emphasise(card));
  card.addEventListener("pointerleave", () => emphasise(focused()));
  card.addEventListener("focusin", () => emphasise(card));
  card.addEventListener("focusout", ({ relatedTarget }) => {
    if (!(relatedTarget instanceof Node && card.contains(relatedTarget))) emphasise(null);
  });
}

/**
 * Gives the focus to the next rating, or the one before.
 * @param {1 | -1} by
 */
function step(by) {
  const card = focused();
  const now = card ? opinions.indexOf(card) + by : by > 0 ? 0 : opinions.length - 1;
  const next = opinions[now];
  if (!next) return;
  next.focus();
  const begin = document.querySelector(`.begin[data-by="${CSS.escape(next.dataset.by ?? "")}"]`);
  begin?.scrollIntoView({ block: "nearest" });
}

// Dialogs

document.addEventListener("click", (event) => {
  if (!(event.target instanceof Element)) return;
  const opener = event.target.closest("[data-dialog]");
  if (opener instanceof HTMLElement) {
    event.preventDefault();
    show(opener.dataset.dialog);
  }
  const closed = event.target.closest("[data-close]")?.closest("dialog");
  if (closed?.open) {
    event.preventDefault();
    closed.close();
  }
});

// Those that only a script can open.
for (const one of parts(document, "[data-dialog][hidden]")) one.hidden = false;

show(document.querySelector("dialog[data-open]")?.id);

// A form that is on its way is not sent again: the second would be told that somebody has decided already.
let sent = false;
document.addEventListener("submit", (event) => {
  if (event.target instanceof HTMLFormElement && event.target.method === "dialog") return;
  if (sent) event.preventDefault();
  sent = true;
});
addEventListener("pageshow", () => {
  sent = false;
});

// Keys

/** @param {string} selector */
function press(selector) {
  const found = document.querySelector(selector);
  if (found instanceof HTMLElement) found.click();
}

const goOn = () => press("[data-next]");

/** @type {Record<string, () => void>} */
const KEYS = {
  r: () => document.getElementById("reason")?.focus(),
  b: () => show("send-back"),
  n: goOn,
  j: () => step(1),
  k: () => step(-1),
  h: () => press("#overlays"),
  "?": () => show("keys"),
};

/** Sends what is open: the dialog's form, else the decision; goes on where there is none. */
function send() {
  const dialog = openDialog();
  const form =
    dialog?.querySelector("form[method=post]") ?? (dialog ? null : document.getElementById("decision"));
  if (form instanceof HTMLFormElement) form.requestSubmit();
  else if (!dialog) goOn();
}

/**
 * Returns what a key does, or undefined.
 * @param {KeyboardEvent} event
 * @returns {(() => void) | undefined}
 */
function actFor(event) {
  const { key, target } = event;
  const digit = labels && digitOf(event);
  if (digit) return () => chooseNumber(labels, Number(digit));
  const onCard = target instanceof HTMLElement && opinions.includes(target);
  if (onCard && key === "ArrowDown") return () => step(1);
  if (onCard && key === "ArrowUp") return () => step(-1);
  if (key === "Enter" && target === reading() && !labels) return goOn;
  return KEYS[key.toLowerCase()];
}

document.addEventListener("keydown", (event) => {
  const { key, target } = event;
  if (event.defaultPrevented) return;
  if (sends(event)) {
    event.preventDefault();
    return send();
  }
  if (modified(event) || openDialog()) return;
  if (typing(target)) {
    if (key === "Escape" && target instanceof HTMLElement) target.blur();
    return;
  }
  const act = actFor(event);
  if (!act) return scrollsReading(event);
  event.preventDefault();
  act();
});
document.documentElement.dataset.running = ""; // else the page says that it could not load

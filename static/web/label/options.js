/**
 * Offers one of several, as buttons: each is reached by Tab and chosen by a click, by Space or Enter on it,
 * or by its own key. Native radio buttons would change with the arrow keys, which belong to the response.
 */

import { part, parts } from "./dom.js";
import { focusReading } from "./pressing.js";

const OPTION = "[role=radio]";

/** @param {string} name */
const selectorOf = (name) => `[role=radiogroup][data-name="${name}"]`;

/**
 * Finds the group of options with this name, where the page has one.
 * @param {string} name
 * @returns {HTMLElement | null}
 */
export const findGroup = (name) => document.querySelector(selectorOf(name));

/**
 * Finds the group of options with this name, which must be there.
 * @param {string} name
 */
export const groupOf = (name) => part(document, selectorOf(name), HTMLElement);

/**
 * Lists a group's options in their order.
 * @param {Element} group
 */
export const optionsOf = (group) =>
  parts(group, OPTION).filter((option) => option instanceof HTMLButtonElement);

/** @param {Element} option */
const isChosen = (option) => option.getAttribute("aria-checked") === "true";

/**
 * Returns the value that is chosen in a group, or "".
 * @param {Element} group
 */
export const chosenIn = (group) => optionsOf(group).find(isChosen)?.value ?? "";

/**
 * Shows the choice, and keeps it in the group's own field where it has one for its form.
 * @param {Element} group
 * @param {string} value
 */
export function setChosen(group, value) {
  for (const option of optionsOf(group)) option.setAttribute("aria-checked", String(option.value === value));
  const field = group.querySelector("input[type=hidden]");
  if (field instanceof HTMLInputElement) field.value = chosenIn(group);
}

/**
 * Takes somebody's choice: again, it takes back what is optional.
 * @param {HTMLButtonElement} option
 */
export function choose(option) {
  const group = option.closest("[role=radiogroup]");
  if (!(group instanceof HTMLElement) || (isChosen(option) && !("optional" in group.dataset))) return;
  setChosen(group, isChosen(option) ? "" : option.value);
  group.dispatchEvent(new CustomEvent("chosen", { bubbles: true, detail: group.dataset.name }));
}

/**
 * Chooses by number. In a question beside the first, where digits go as long as the focus is there, it stays
 * there.
 * @param {Element} group
 * @param {number} number
 */
export function chooseNumber(group, number, stays = false) {
  const option = optionsOf(group)[number - 1];
  if (!option) return;
  settle(option, stays); // before what follows from the choice, which may be the next response
  if (!isChosen(option)) choose(option);
}

/**
 * @param {HTMLElement} option
 * @param {boolean} stays
 */
function settle(option, stays) {
  if (stays) option.focus({ preventScroll: true });
  else focusReading();
}

/**
 * Finds the option that an event is about.
 * @param {Event} event
 */
function optionAt({ target }) {
  const option = target instanceof Element && target.closest(OPTION);
  return option instanceof HTMLButtonElement ? option : null;
}

// A click leaves the focus with the response, and in a question beside the first, there; a key leaves it
// where it is.
document.addEventListener("mousedown", (event) => optionAt(event) && event.preventDefault());
document.addEventListener("click", (event) => {
  const option = optionAt(event);
  if (!option) return;
  if (event.detail > 0) settle(option, Boolean(option.closest("#questions")));
  choose(option);
});

// Forms that are sent by the browser itself: not without a choice; and one that a browser brings back is
// shown.
document.addEventListener(
  "submit",
  (event) => {
    const form = event.target;
    if (!(form instanceof HTMLFormElement)) return;
    const missing = parts(form, "[role=radiogroup][data-required]").some((group) => !chosenIn(group));
    for (const said of parts(form, "[data-says]").slice(0, 1)) said.hidden = !missing;
    if (!missing) return;
    event.preventDefault();
    event.stopImmediatePropagation();
  },
  { capture: true },
);
addEventListener("pageshow", () => {
  for (const field of document.querySelectorAll("[role=radiogroup] > input[type=hidden]")) {
    if (field instanceof HTMLInputElement && field.parentElement) setChosen(field.parentElement, field.value);
  }
});

/** Opens what lies over the page: a reason to skip, the guidelines, the keys, the settings. */

import { $, element, make, part, parts } from "./dom.js";

/** @import { GuidelinesText, Preferences } from "./desk.js" */
/** @import { Keymap } from "./keymap.js" */

for (const button of parts(document, "dialog [data-close]")) {
  button.addEventListener("click", () => button.closest("dialog")?.close());
}

/**
 * Opens a dialog; returns it.
 * @param {string} id
 */
function open(id) {
  const dialog = element(id, HTMLDialogElement);
  if (!dialog.open) dialog.showModal();
  return dialog;
}

/**
 * Asks for a reason to skip.
 * @param {(reason: string) => void} done
 */
export function askToSkip(done) {
  const form = element("skip-form", HTMLFormElement);
  const reason = element("skip-reason", HTMLInputElement);
  reason.value = "";
  form.onsubmit = (event) => {
    event.preventDefault();
    if (!reason.value.trim()) return reason.focus();
    dialog.close();
    done(reason.value.trim());
  };
  form.onkeydown = (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) form.requestSubmit();
  };
  const dialog = open("skip-dialog");
  reason.focus();
}

/**
 * Shows the guidelines.
 * @param {GuidelinesText | null} guidelines
 */
export function showGuidelines(guidelines) {
  const place = $("guidelines-text");
  if (guidelines)
    place.innerHTML = guidelines.html; // sanitised by the server
  else
    place.textContent =
      "This study has no guidelines of its own. The definitions of the labels are what counts.";
  open("guidelines-dialog");
}

/**
 * Shows every key.
 * @param {Keymap} keys
 */
export function showKeys(keys) {
  const rows = keys.actions.map(([action, , title]) => rowOf(title, keys.map.get(action) ?? ""));
  const always = [
    rowOf("Submit, next", "Ctrl or ⌘", "Enter"),
    rowOf("Leave a field, a dialog or marking", "Esc"),
  ];
  $("keys-list").replaceChildren(...always, ...rows);
  $("keys-off").hidden = keys.on;
  open("keys-dialog");
}

/** @type {(title: string, ...pressed: string[]) => HTMLElement} */
function rowOf(title, ...pressed) {
  const keys = pressed.map((key) => make("kbd", { textContent: key }));
  return make("div", {}, make("dt", {}, ...keys), make("dd", { textContent: title }));
}

/**
 * Shows the settings.
 * @param {Keymap} keys
 * @param {Preferences} preferences
 * @param {(chosen: Preferences) => void} save
 */
export function showSettings(keys, preferences, save) {
  const form = element("settings-form", HTMLFormElement);
  const single = part(form, "[name=single_keys]", HTMLInputElement);
  const advance = part(form, "[name=auto_advance]", HTMLInputElement);
  single.checked = preferences.single_keys ?? true;
  advance.checked = preferences.auto_advance ?? false;
  const fields = keys.actions.map(([action, , title]) => fieldFor(action, title, keys.map.get(action) ?? ""));
  $("settings-keys").replaceChildren(...fields);
  complain("");
  form.onsubmit = (event) => {
    event.preventDefault();
    const chosen = chosenKeys(keys);
    if (!chosen) return;
    dialog.close();
    save({ keys: chosen, single_keys: single.checked, auto_advance: advance.checked });
  };
  $("settings-reset").onclick = () => {
    for (const [action, usual] of keys.actions) keyField(action).value = usual;
  };
  const dialog = open("settings-dialog");
}

/** @param {string} action */
const keyField = (action) => element(`key-${action}`, HTMLInputElement);

/**
 * @param {string} action
 * @param {string} title
 * @param {string} key
 */
function fieldFor(action, title, key) {
  const input = make("input", {
    id: `key-${action}`,
    value: key,
    maxLength: 1,
    autocomplete: "off",
    required: true,
  });
  input.setAttribute("autocapitalize", "off");
  input.addEventListener("focus", () => input.select());
  return make("label", {}, make("span", { textContent: title }), input);
}

/**
 * Returns the keys that differ from the usual ones; null, and says why, where two actions would share a key.
 * @param {Keymap} keys
 */
function chosenKeys(keys) {
  /** @type {Map<string, string>} */
  const used = new Map(); // title by key
  /** @type {Record<string, string>} */
  const chosen = {};
  for (const [action, usual, title] of keys.actions) {
    const key = keyField(action).value.trim().toLowerCase();
    if (!key || used.has(key)) {
      const twice = `“${key}” is there twice: for “${used.get(key)}” and “${title}”.`;
      complain(key ? `${twice} Give one of them another key.` : `“${title}” has no key.`);
      keyField(action).focus();
      return null;
    }
    used.set(key, title);
    if (key !== usual) chosen[action] = key;
  }
  return chosen;
}

/** @param {string} text */
function complain(text) {
  $("settings-error").textContent = text;
  $("settings-error").hidden = !text;
}

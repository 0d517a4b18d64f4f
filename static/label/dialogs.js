// What opens over the page: a reason to skip, the guidelines, the keys, the settings.

import { $, make } from "./dom.js";

for (const button of document.querySelectorAll("dialog [data-close]")) button.addEventListener("click", () => button.closest("dialog").close());

function show(dialog) {
  if (!dialog.open) dialog.showModal();
}

export function askToSkip(done) {
  const [dialog, form, reason] = [$("skip-dialog"), $("skip-form"), $("skip-reason")];
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
  show(dialog);
  reason.focus();
}

export function showGuidelines(guidelines) {
  const place = $("guidelines-text");
  if (guidelines) place.innerHTML = guidelines.html; // sanitised by the server
  else place.textContent = "This study has no guidelines of its own. The definitions of the labels are what counts.";
  show($("guidelines-dialog"));
}

export function showKeys(keys) {
  const rows = keys.actions.map(([action, , title]) => row(title, keys.map.get(action)));
  const always = [row("Submit, next", "Ctrl or ⌘", "Enter"), row("Leave a field, a dialog or marking", "Esc")];
  $("keys-list").replaceChildren(...always, ...rows);
  $("keys-off").hidden = keys.on;
  show($("keys-dialog"));
}

function row(title, ...pressed) {
  return make("div", {}, make("dt", {}, ...pressed.map((key) => make("kbd", { textContent: key }))), make("dd", { textContent: title }));
}

// `save(preferences)` is called with what was chosen.
export function showSettings(keys, preferences, save) {
  const form = $("settings-form");
  form.single_keys.checked = preferences.single_keys ?? true;
  form.auto_advance.checked = preferences.auto_advance ?? false;
  $("settings-keys").replaceChildren(...keys.actions.map(([action, , title]) => field(action, title, keys.map.get(action))));
  tell("");
  form.onsubmit = (event) => {
    event.preventDefault();
    const chosen = chosenKeys(keys);
    if (!chosen) return;
    $("settings-dialog").close();
    save({ keys: chosen, single_keys: form.single_keys.checked, auto_advance: form.auto_advance.checked });
  };
  $("settings-reset").onclick = () => keys.actions.forEach(([action, usual]) => (keyField(action).value = usual));
  show($("settings-dialog"));
}

const keyField = (action) => $(`key-${action}`);

function field(action, title, key) {
  const input = make("input", { id: `key-${action}`, value: key, maxLength: 1, autocomplete: "off", required: true });
  input.setAttribute("autocapitalize", "off");
  input.addEventListener("focus", () => input.select());
  return make("label", {}, make("span", { textContent: title }), input);
}

// Only what differs from the usual; null where two actions would share a key.
function chosenKeys(keys) {
  const used = new Map();
  const chosen = {};
  for (const [action, usual, title] of keys.actions) {
    const key = keyField(action).value.trim().toLowerCase();
    if (!key || used.has(key)) {
      tell(key ? `“${key}” is there twice: for “${used.get(key)}” and “${title}”. Give one of them another key.` : `“${title}” has no key.`);
      keyField(action).focus();
      return null;
    }
    used.set(key, title);
    if (key !== usual) chosen[action] = key;
  }
  return chosen;
}

function tell(text) {
  $("settings-error").textContent = text;
  $("settings-error").hidden = !text;
}

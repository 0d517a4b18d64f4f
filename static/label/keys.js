// Single keys and what they do. Off while typing; remappable; Ctrl+Enter works everywhere.

export const ACTIONS = [
  ["guessing", "z", "Guessing"],
  ["fairly", "x", "Fairly sure"],
  ["certain", "c", "Certain"],
  ["evidence", "e", "Mark the selected text, or start marking by keyboard"],
  ["skip", "s", "Skip, with a reason"],
  ["flag", "f", "Flag for the study's owner"],
  ["undo", "u", "Undo: change the last label"],
  ["guidelines", "g", "Guidelines"],
  ["formatted", "m", "Formatted or plain"],
  ["keys", "?", "All keys"],
];

const typing = (element) => element.matches?.("textarea, select, [contenteditable], input:not([type=radio], [type=checkbox])");

export class Keys {
  constructor(labels, preferences, act) {
    this.actions = [...Array.from({ length: labels.length }, (_, n) => [`label-${n + 1}`, String(n + 1), labels[n].title]), ...ACTIONS];
    this.act = act; // (action) => void
    this.take(preferences);
    document.addEventListener("keydown", (event) => this.#pressed(event));
  }

  take(preferences) {
    this.on = preferences.single_keys ?? true;
    this.map = new Map(this.actions.map(([action, usual]) => [action, preferences.keys?.[action] || usual]));
    for (const badge of document.querySelectorAll("[data-key-of]")) this.badge(badge);
    for (const badge of document.querySelectorAll("[data-badge-of]")) badge.textContent = this.map.get(badge.dataset.badgeOf);
  }

  badge(element) {
    const key = this.map.get(element.dataset.keyOf) ?? "";
    element.textContent = key;
    element.hidden = !this.on;
    const control = element.closest("button") ?? element.closest("label")?.querySelector("input");
    if (this.on && key) control?.setAttribute("aria-keyshortcuts", key);
    else control?.removeAttribute("aria-keyshortcuts");
  }

  #actionOf(event) {
    const pressed = event.key.length === 1 ? event.key.toLowerCase() : event.key;
    for (const [action, key] of this.map) if (key === pressed) return action;
    // Where digits need Shift, as on French keyboards, their keys count without it.
    const digit = !event.shiftKey && /^(?:Digit|Numpad)([1-9])$/.exec(event.code)?.[1];
    return digit && this.map.get(`label-${digit}`) === digit ? `label-${digit}` : "";
  }

  #pressed(event) {
    if (event.isComposing || event.defaultPrevented || document.querySelector("dialog[open]")) return;
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
      event.preventDefault();
      if (!event.repeat) this.act("submit");
      return;
    }
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (typing(event.target)) {
      if (event.key === "Escape") event.target.blur();
      return;
    }
    const action = this.on && this.#actionOf(event);
    if (!action) return;
    event.preventDefault();
    if (!event.repeat) this.act(action);
  }
}

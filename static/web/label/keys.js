/** Hears single keys and does what they mean, and shows each key on its control. */

import { parts } from "./dom.js";
import { Keymap, modified } from "./keymap.js";
import { scrollsReading, typing } from "./pressing.js";

/** @import { Label, Preferences } from "./desk.js" */

export class Keys extends Keymap {
  /**
   * @param {Label[]} labels
   * @param {Preferences} preferences
   * @param {(action: string) => void} act
   */
  constructor(labels, preferences, act) {
    super(labels, preferences);
    this.act = act;
    this.autoAdvance = false; // whether a chosen label is sent at once
    this.take(preferences);
    document.addEventListener("keydown", (event) => this.#pressed(event));
  }

  /**
   * Takes somebody's preferences, and shows them.
   * @param {Preferences} preferences
   */
  take(preferences) {
    this.prefer(preferences);
    this.autoAdvance = preferences.auto_advance ?? false;
    for (const badge of parts(document, "[data-key-of]")) this.badge(badge);
    for (const badge of parts(document, "[data-badge-of]")) {
      badge.textContent = this.map.get(badge.dataset.badgeOf ?? "") ?? "";
    }
  }

  /**
   * Shows a control's key on it.
   * @param {HTMLElement} element
   */
  badge(element) {
    const key = this.map.get(element.dataset.keyOf ?? "") ?? "";
    element.textContent = key;
    element.hidden = !this.on;
    const control = element.closest("button");
    if (this.on && key) control?.setAttribute("aria-keyshortcuts", key);
    else control?.removeAttribute("aria-keyshortcuts");
  }

  /** @param {KeyboardEvent} event */
  #pressed(event) {
    if (event.defaultPrevented || document.querySelector("dialog[open]")) return;
    const inField = typing(event.target);
    const action = this.meaningOf(event, inField);
    if (action) {
      event.preventDefault();
      if (!event.repeat) this.act(action);
    } else if (!inField) scrollsReading(event);
    else if (event.key === "Escape" && !modified(event) && event.target instanceof HTMLElement)
      event.target.blur();
  }
}

/** Says what a pressed key means. It needs no page, so that each key can be tried without one. */

/** @import { Label, Preferences } from "./desk.js" */

/** @typedef {[action: string, usual: string, title: string]} Action and the key for it */

/** @type {Action[]} */
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

/**
 * Tells whether a key belongs to an input method that composes. 229 is what browsers give that have ended the
 * composition by then.
 * @param {KeyboardEvent} event
 */
export function composing(event) {
  return event.isComposing || event.keyCode === 229;
}

/**
 * Returns the digit that a key stands for, or "": by what it types, else by its place, as where digits need
 * Shift. Keys of a number pad that moves the cursor are no digits.
 * @param {KeyboardEvent} event
 */
export function digitOf(event) {
  if (/^[1-9]$/.test(event.key)) return event.key;
  const types = event.key.length === 1 || event.key === "Dead";
  if (!types || event.shiftKey || event.getModifierState("AltGraph")) return "";
  return /^(?:Digit|Numpad)([1-9])$/.exec(event.code)?.[1] ?? "";
}

/**
 * Tells whether a key is held with one that makes it the browser's own.
 * @param {KeyboardEvent} event
 */
export function modified(event) {
  return event.ctrlKey || event.metaKey || event.altKey;
}

/**
 * Tells whether it is Ctrl or Cmd with Enter, which sends everywhere.
 * @param {KeyboardEvent} event
 */
export function sends(event) {
  return event.key === "Enter" && (event.ctrlKey || event.metaKey);
}

/**
 * Knows the actions of a rater's page, a label's own among them, and the keys that this rater likes for
 * them.
 */
export class Keymap {
  /**
   * @param {Label[]} labels
   * @param {Preferences} preferences
   */
  constructor(labels, preferences) {
    /** @type {Action[]} */
    this.actions = [...labels.map(actionFor), ...ACTIONS];
    this.on = true; // whether single keys do anything
    /** @type {Map<string, string>} */
    this.map = new Map(); // key by action
    this.prefer(preferences);
  }

  /**
   * Takes the keys as somebody likes them.
   * @param {Preferences} preferences
   */
  prefer(preferences) {
    this.on = preferences.single_keys ?? true;
    this.map = new Map(this.actions.map(([action, usual]) => [action, preferences.keys?.[action] || usual]));
  }

  /**
   * Returns the action that a key means, or "".
   * @param {KeyboardEvent} event
   * @param {boolean} inField whether it is typed into a field, which takes all but what sends
   */
  meaningOf(event, inField) {
    if (sends(event)) return "submit";
    if (!this.on || inField || modified(event)) return "";
    const pressed = event.key.length === 1 ? event.key.toLowerCase() : event.key;
    return this.#actionBy(pressed) || this.#actionBy(digitOf(event));
  }

  /** @param {string} key */
  #actionBy(key) {
    return [...this.map].find(([, own]) => own === key)?.[0] ?? "";
  }
}

/**
 * @param {Label} label
 * @param {number} n
 * @returns {Action}
 */
function actionFor({ title }, n) {
  return [`label-${n + 1}`, String(n + 1), title];
}

/**
 * Keeps in this browser what belongs to one rater of one study. Where it can keep nothing (full, or switched
 * off), the page does as long as it is open.
 */

/** @import { DraftRecord } from "./drafts.js" */
/** @import { Entry } from "./outbox.js" */

/** @typedef {{ key: string, base: number, earlier: boolean }} Reopened the label that is being changed */
/** @typedef {{ [name: `out:${string}`]: Entry, [name: `draft:${string}`]: DraftRecord }} Numbered */
/** @typedef {Numbered & { reopened: Reopened }} Kept what is kept, by name */

export class Store {
  /** @param {string} prefix */
  constructor(prefix) {
    this.prefix = `${prefix}:`;
    /** @type {Map<string, string>} */
    this.memory = new Map();
  }

  /**
   * Returns what is kept by this name, or null.
   * @template {keyof Kept} Name
   * @param {Name} name
   * @returns {Kept[Name] | null}
   */
  get(name) {
    const raw = this.memory.get(name) ?? this.#read(name);
    try {
      return raw === null ? null : JSON.parse(raw);
    } catch {
      return null; // written by something else
    }
  }

  /** @param {string} name */
  #read(name) {
    try {
      return localStorage.getItem(this.prefix + name);
    } catch {
      return null;
    }
  }

  /**
   * Keeps a value by this name, in place of what was kept by it.
   * @template {keyof Kept} Name
   * @param {Name} name
   * @param {Kept[Name]} value
   */
  set(name, value) {
    const raw = JSON.stringify(value);
    try {
      localStorage.setItem(this.prefix + name, raw);
      this.memory.delete(name);
    } catch {
      this.memory.set(name, raw);
    }
  }

  /**
   * Forgets what is kept by this name.
   * @param {keyof Kept} name
   */
  remove(name) {
    this.memory.delete(name);
    try {
      localStorage.removeItem(this.prefix + name);
    } catch {
      // nothing was kept
    }
  }

  /**
   * Lists the names that begin so.
   * @template {"out:" | "draft:"} Start
   * @param {Start} start
   */
  names(start) {
    const stored = [...this.#stored()].filter((key) => key.startsWith(this.prefix));
    const all = [...this.memory.keys(), ...stored.map((key) => key.slice(this.prefix.length))];
    const found = new Set(all.filter((name) => name.startsWith(start)));
    return /** @type {`${Start}${string}`[]} */ ([...found]);
  }

  /** Lists all that the browser keeps for this site. */
  *#stored() {
    try {
      for (let n = 0; n < localStorage.length; n++) yield localStorage.key(n) ?? "";
    } catch {
      // nothing was kept
    }
  }

  /** Tells whether something would be lost with the page. */
  get fragile() {
    return this.memory.size > 0;
  }
}

/** Makes an id that no other page makes; crypto.randomUUID is missing on plain http. */
export function randomId() {
  const bytes = crypto.getRandomValues(new Uint8Array(12));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

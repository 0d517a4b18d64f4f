/**
 * Keeps drafts: in this browser at once, at the server within a second. Whichever is newer is taken up
 * again.
 */

/** @import { Draft, Fields, Item } from "./desk.js" */
/** @import { Server } from "./server.js" */
/** @import { Store } from "./store.js" */

/** @typedef {{ fields: Fields, base: number, active: number, at: number }} DraftRecord */
/** @typedef {"dirty" | "kept" | "local"} DraftState not at the server yet; there; in this browser alone */

const SETTLED = 600; // milliseconds without a change
const AGAIN = 8_000;
const OLD = 30 * 24 * 3600 * 1000;

export class Drafts {
  /**
   * @param {Store} store
   * @param {Server} server
   * @param {(state: DraftState) => void} told
   */
  constructor(store, server, told) {
    this.store = store;
    this.server = server;
    this.told = told;
    /** @type {Map<string, DraftRecord>} */
    this.dirty = new Map(); // by key, until the server has it
    this.timer = 0;
    this.pushing = false;
    for (const name of store.names("draft:")) {
      if (!((store.get(name)?.at ?? 0) > Date.now() - OLD)) store.remove(name);
    }
  }

  /**
   * Takes what is filled in for an item now.
   * @param {Item} item
   * @param {Fields} fields
   * @param {number} active seconds of work on it
   */
  change(item, fields, active) {
    const record = { fields, base: item.base, active, at: Date.now() };
    this.store.set(`draft:${item.key}`, record);
    this.dirty.set(item.key, record);
    this.told("dirty");
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.push(), SETTLED);
  }

  /** Sends the server what it does not have yet; tries again later where it doesn't answer. */
  async push() {
    clearTimeout(this.timer);
    if (this.pushing || !this.dirty.size) return;
    this.pushing = true;
    let fine = true;
    let taken = true;
    for (const [key, record] of [...this.dirty]) {
      const { kind } = await this.server.post("draft", { key, draft: record.fields, at: record.at });
      if (kind !== "ok") taken = false;
      // What was refused would be refused again; it is kept here.
      fine = kind === "ok" || kind === "refused" || kind === "unknown";
      if (fine && this.dirty.get(key) === record) this.dirty.delete(key);
      if (!fine) break;
    }
    this.pushing = false;
    this.told(!taken ? "local" : this.dirty.size ? "dirty" : "kept");
    if (this.dirty.size) this.timer = setTimeout(() => this.push(), fine ? 0 : AGAIN);
  }

  /** Sends along what is not there yet, without waiting for the answer: the page may be going. */
  hurry() {
    for (const [key, record] of this.dirty) {
      this.server.post("draft", { key, draft: record.fields, at: record.at }, { keepalive: true });
    }
  }

  /**
   * Forgets an item's draft.
   * @param {string} key
   */
  drop(key) {
    this.dirty.delete(key);
    this.store.remove(`draft:${key}`);
  }

  /**
   * Keeps a draft in this browser alone.
   * @param {Item} item
   * @param {DraftRecord} record
   */
  keep(item, record) {
    this.store.set(`draft:${item.key}`, record);
  }

  /**
   * Tells whether this browser has a draft of an item.
   * @param {Item} item
   */
  has(item) {
    return this.store.get(`draft:${item.key}`) !== null;
  }

  /**
   * Returns what to begin an item with.
   * @param {Item} item
   * @returns {{ fields: Draft, active: number }}
   */
  restore(item) {
    const local = this.store.get(`draft:${item.key}`);
    const mine = local && local.base === item.base ? local : null;
    const theirs = item.answer ?? item.draft;
    if (mine && (item.answer || !theirs || mine.at >= (theirs.at ?? 0)))
      return { fields: mine.fields, active: mine.active ?? 0 };
    return { fields: theirs ?? {}, active: mine?.active ?? 0 };
  }
}

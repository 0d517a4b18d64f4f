/**
 * Changes the last label, or an earlier one. One that was never sent is taken out of the outbox; one that the
 * server has is reopened from there, and what is sent for it becomes a new revision.
 */

import { announce } from "./dom.js";
import { notice, unnotice } from "./notices.js";
import { focusReading } from "./pressing.js";

/** @import { Item } from "./desk.js" */
/** @import { Drafts } from "./drafts.js" */
/** @import { LabelSent, Outbox } from "./outbox.js" */
/** @import { Queue } from "./queue.js" */
/** @import { Server } from "./server.js" */
/** @import { Store } from "./store.js" */

/**
 * @typedef {object} Parts
 * @property {Server} server
 * @property {Outbox} outbox
 * @property {Queue} queue
 * @property {Drafts} drafts
 * @property {Store} store
 * @property {(item: Item) => void} show
 */

const ON_ITS_WAY =
  "Your last label is on its way to the server. It can be changed once the server has answered.";
const OPEN = "Change it and submit.";

export class Undo {
  /** @param {Parts} parts */
  constructor({ server, outbox, queue, drafts, store, show }) {
    this.server = server;
    this.outbox = outbox;
    this.queue = queue;
    this.drafts = drafts;
    this.store = store;
    this.show = show;
  }

  #waiting() {
    return this.outbox.waiting().filter((entry) => entry.kind === "label");
  }

  /** Opens the last label to be changed. */
  async last() {
    if (this.queue.current?.answer) return announce("Your last label is open already.");
    const unsent = this.#waiting().at(-1);
    const item = unsent?.tried === 0 ? this.queue.pool.get(unsent.key) : undefined;
    if (unsent && item) return this.unsend(unsent, item);
    if (unsent) await this.outbox.flush();
    if (this.#waiting().length) return notice("undo", ON_ITS_WAY, [["All right", () => unnotice("undo")]]);
    unnotice("undo");
    const fetched = await this.fetch();
    if (fetched) this.open(fetched);
  }

  /**
   * Opens one of the rater's earlier labels, once what waits for it has been sent; tells whether it could.
   * @param {string} key
   */
  async change(key) {
    if (this.outbox.waiting().some((entry) => entry.key === key)) await this.outbox.flush();
    const item = await this.fetch(key);
    if (item) this.open(item, true);
    return Boolean(item);
  }

  /**
   * Fetches what was labelled, the last where no key is given; returns null and says why where it can't be
   * had.
   */
  async fetch(key = "") {
    const { kind, data, error } = await (key ? this.server.get("answered", key) : this.server.get("last"));
    if (kind === "ok") return data.item;
    const text =
      kind === "refused" ? error : "That label can't be reopened before the server answers. Nothing is lost.";
    notice("undo", text, [["All right", () => unnotice("undo")]]);
    return null;
  }

  /**
   * Shows what was labelled, to be changed.
   * @param {Item} item
   */
  open(item, earlier = false) {
    item.earlier = earlier;
    this.store.set("reopened", { key: item.key, base: item.base, earlier });
    this.#reopen(item);
    announce(`Your ${earlier ? "earlier" : "last"} label is open. ${OPEN}`);
  }

  /**
   * Takes a label back from the outbox, with all that was filled in.
   * @param {LabelSent} entry
   * @param {Item} item
   */
  unsend(entry, item) {
    this.outbox.forget(entry.id);
    this.drafts.keep(item, { fields: entry.fields, base: entry.base, active: entry.active, at: Date.now() });
    item.begun = true;
    this.#reopen(item);
    announce(`Your last label is open. ${OPEN}`);
  }

  /** @param {Item} item */
  #reopen(item) {
    this.queue.reopen(item);
    this.show(item);
    focusReading();
  }

  /**
   * Says that a label is being changed, with the way to leave it.
   * @param {Item} item
   * @param {() => void} leave
   */
  explain(item, leave) {
    const which = item.earlier ? "an earlier label" : "your last label";
    const text = `You are changing ${which}. Both stay in the record; the later one counts.`;
    notice("reopened", text, [["Leave it as it was", leave]]);
  }

  /** Forgets which label was open to be changed. */
  forget() {
    this.store.remove("reopened");
    unnotice("reopened");
  }

  /** Opens again, after a reload, what was open to be changed, with its changes; tells whether it did. */
  async resume() {
    const before = this.store.get("reopened");
    if (!before) return false;
    const { kind, data } = await this.server.get("answered", before.key);
    if (kind === "ok" && data.item.base === before.base) {
      this.open(data.item, before.earlier);
      return true;
    }
    if (kind === "ok" || kind === "refused") this.forget();
    return false;
  }
}

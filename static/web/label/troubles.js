/** Says what went wrong, calmly and with a way out: signed out, not taken, labelled in another window. */

import { notice, notices, unnotice } from "./notices.js";
import { randomId } from "./store.js";

/** @import { Drafts } from "./drafts.js" */
/** @import { Entry, LabelEntry, Outbox } from "./outbox.js" */
/** @import { Queue } from "./queue.js" */
/** @import { Outcome } from "./server.js" */
/** @import { Undo } from "./undo.js" */
/** @import { Way } from "./notices.js" */

/**
 * @typedef {object} Parts
 * @property {Outbox} outbox
 * @property {Queue} queue
 * @property {Drafts} drafts
 * @property {Undo} undo
 * @property {() => void} more asks for more items
 * @property {string} signIn the address where one signs in
 */

const UNKNOWN =
  "The server doesn't know this response or this study for whoever is signed in in this browser. " +
  "What you have labelled stays here until it can be sent.";
const SIGNED_OUT =
  "You have been signed out. Nothing is lost: sign in again in a new tab, then come back here; " +
  "what waits is sent by itself.";
const IN_ANOTHER_WINDOW = "had been labelled in another window meanwhile.";

export class Troubles {
  /** @param {Parts} parts */
  constructor({ outbox, queue, drafts, undo, more, signIn }) {
    this.outbox = outbox;
    this.queue = queue;
    this.drafts = drafts;
    this.undo = undo;
    this.more = more;
    /** @type {Way[]} */
    this.signIn = [["Sign in in a new tab", signIn]];
    this.signedOut = false;
    this.outbox.addEventListener("change", () => this.show());
  }

  /**
   * Hears every outcome of a call to the server.
   * @param {Outcome<object>} outcome
   */
  heard(outcome) {
    const { kind } = outcome;
    if (kind === "offline" || kind === "trouble") return;
    this.signedOut = kind === "signed-out";
    if (!this.signedOut) unnotice("signed-out");
    if (kind === "ok") return unnotice("unknown");
    const { data, error } = outcome;
    const another = data?.kind === "other-person";
    if (this.signedOut) notice("signed-out", another ? error : SIGNED_OUT, this.signIn);
    if (kind === "not-ready" || kind === "not-allowed") {
      notice("not-ready", error, [["Open it", () => location.reload()]]);
    }
    if (kind === "unknown") notice("unknown", UNKNOWN, this.signIn);
  }

  /** Gives every answer that was not taken its notice, until something was done about it. */
  show() {
    const entries = this.outbox.problems();
    for (const name of notices("problem-")) {
      if (!entries.some(({ id }) => name === `problem-${id}`)) unnotice(name);
    }
    for (const entry of entries) this.#tell(entry);
  }

  /** @param {Entry} entry */
  #tell(entry) {
    const { id, kind, title, problem } = entry;
    const name = `problem-${id}`;
    const forget = () => this.#drop(entry);
    if (kind === "skip") {
      const text = `A skip was not taken: ${problem?.error}`;
      notice(
        name,
        text,
        [
          ["Try again", () => this.#again(entry)],
          ["Drop it", forget],
        ],
        "error",
      );
    } else if (problem?.kind === "conflict") {
      const text = `A response that you labelled “${title}” here ${IN_ANOTHER_WINDOW}`;
      notice(name, text, [
        ["Replace it with this", () => this.#replace(entry)],
        ["Leave it", forget],
      ]);
    } else {
      const text = `“${title}”, on an earlier response, was not taken: ${problem?.error}`;
      notice(
        name,
        text,
        [
          ["Open it", () => this.#open(entry)],
          ["Drop it", forget],
        ],
        "error",
      );
    }
  }

  /**
   * Drops an answer. The response itself comes back, unless it is labelled elsewhere.
   * @param {Entry} entry
   */
  #drop({ id, key, problem }) {
    const item = this.queue.pool.get(key);
    this.drafts.drop(key);
    this.outbox.forget(id);
    if (problem?.kind === "conflict" || !item || item.answer) return;
    this.queue.done.delete(key);
    this.queue.next.push(item);
    this.more();
  }

  /**
   * Sends an answer once more.
   * @param {Entry} entry
   */
  #again(entry) {
    const { problem: _, ...rest } = entry;
    this.outbox.write({ ...rest, tried: 0 });
    this.outbox.flush();
  }

  /**
   * Sends a label as a new revision of what the other window sent.
   * @param {LabelEntry} entry
   */
  #replace(entry) {
    this.outbox.forget(entry.id);
    this.#again({ ...entry, id: randomId(), base: entry.problem?.revision ?? entry.base + 1 });
  }

  /**
   * Opens a label that was not taken, with all that was filled in.
   * @param {LabelEntry} entry
   */
  async #open(entry) {
    const known = entry.base > 0 ? undefined : this.queue.pool.get(entry.key);
    const item = known ?? (await this.undo.fetch(entry.key));
    if (!item) return;
    if (!item.answer) return this.undo.unsend({ ...entry, base: item.base }, item);
    this.outbox.forget(entry.id);
    this.drafts.keep(item, {
      fields: entry.fields,
      base: item.base,
      active: entry.active,
      at: Date.now(),
    });
    this.undo.open(item);
  }
}

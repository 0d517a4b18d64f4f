/**
 * Deals with what happens away from this page: a place that goes to somebody else, a label given in another
 * window.
 */

import { notice } from "./notices.js";

/** @import { Clock } from "./clock.js" */
/** @import { Drafts } from "./drafts.js" */
/** @import { Queue } from "./queue.js" */
/** @import { Server } from "./server.js" */

/**
 * @typedef {object} Parts
 * @property {Queue} queue
 * @property {Server} server
 * @property {Drafts} drafts
 * @property {Clock} clock
 * @property {() => void} next shows the next item
 * @property {() => void} refresh shows the state of the page
 */

const KEEP_EVERY = 60_000; // milliseconds
const AWAY = 5 * 60_000; // no heartbeat for longer than this without anybody at the page
const LOST = "This response has gone to another rater meanwhile. You can still send your label; it is kept.";
const LABELLED = "You have labelled this response in another window meanwhile.";

export class Elsewhere {
  /** @param {Parts} parts */
  constructor({ queue, server, drafts, clock, next, refresh }) {
    this.queue = queue;
    this.server = server;
    this.drafts = drafts;
    this.clock = clock;
    this.next = next;
    this.refresh = refresh;
    setInterval(() => this.keep(), KEEP_EVERY);
  }

  /** Keeps this page's places. What nobody has looked at yet and has gone, goes. */
  async keep() {
    const { queue } = this;
    if (this.clock.idleFor() > AWAY || !queue.keys().length) return;
    const { kind, data } = await this.server.post("keep", { keys: queue.keys() });
    if (kind !== "ok") return;
    for (const item of queue.next) if (data.lost.includes(item.key)) item.lost = true;
    queue.next = queue.next.filter((item) => !item.lost || item.begun || item.answer);
    if (queue.current && !queue.current.answer && data.lost.includes(queue.current.key)) {
      queue.current.lost = true;
      this.lost();
    }
    this.refresh();
  }

  /** Says that the place of the item that is shown has gone to somebody else. */
  lost() {
    notice("lost", LOST);
  }

  /**
   * Takes away an item that was answered in another tab, or says so where it has been begun here.
   * @param {string} key
   */
  answered(key) {
    const { queue } = this;
    const current = queue.current;
    if (current?.key !== key) {
      queue.finish(key);
      return this.refresh();
    }
    if (current.answer) return; // it is being changed here; the server tells which revision comes first
    if (!current.begun) {
      queue.finish(key);
      return this.next();
    }
    current.elsewhere = true;
    notice("elsewhere", LABELLED, [["Go to the next", () => this.#leave(key)]]);
  }

  /** @param {string} key */
  #leave(key) {
    this.drafts.drop(key);
    this.queue.finish(key);
    this.next();
  }
}

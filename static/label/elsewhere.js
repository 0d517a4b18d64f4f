// What happens away from this page: a place that goes to somebody else, a label given in another window.

import { notice } from "./notices.js";

const KEEP_EVERY = 60_000;
const AWAY = 5 * 60_000; // no heartbeat for longer than this without anybody at the page

export class Elsewhere {
  constructor(parts) {
    Object.assign(this, parts); // queue, server, drafts, clock, next, refresh
    setInterval(() => this.keep(), KEEP_EVERY);
  }

  // Keeps the places; what nobody has looked at yet and has gone, goes.
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

  lost() {
    notice("lost", "This response has gone to another rater meanwhile. You can still send your label; it is kept.");
  }

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
    notice("elsewhere", "You have labelled this response in another window meanwhile.", [["Go to the next", () => this.#leave(key)]]);
  }

  #leave(key) {
    this.drafts.drop(key);
    this.queue.finish(key);
    this.next();
  }
}

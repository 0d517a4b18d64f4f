// Changing the last label. One that was never sent is taken out of the outbox; one that the server has is reopened from
// there, and what is sent for it becomes a new revision.

import { $, announce } from "./dom.js";
import { notice, unnotice } from "./notices.js";

export class Undo {
  constructor(parts) {
    Object.assign(this, parts); // server, outbox, queue, drafts, store, show
  }

  async last() {
    if (this.queue.current?.answer) return announce("Your last label is open already.");
    const unsent = this.outbox.waiting().filter(({ kind }) => kind === "label").at(-1);
    if (unsent && unsent.tried === 0 && this.queue.pool.has(unsent.key)) return this.unsend(unsent);
    if (unsent) await this.outbox.flush();
    if (this.outbox.waiting().some(({ kind }) => kind === "label")) {
      return notice("undo", "Your last label is on its way to the server. It can be changed once the server has answered.", [["All right", () => unnotice("undo")]]);
    }
    unnotice("undo");
    const item = await this.fetch();
    if (item) this.open(item);
  }

  async fetch() {
    const { kind, data, error } = await this.server.get("last");
    if (kind === "ok") return data.item;
    const text = kind === "refused" ? error : "The last label can't be reopened before the server answers. Nothing is lost.";
    notice("undo", text, [["All right", () => unnotice("undo")]]);
    return null;
  }

  open(item) {
    this.store.set("reopened", { key: item.key, base: item.base });
    this.queue.reopen(item);
    this.show(item);
    $("item-heading").focus({ preventScroll: true });
    announce("Your last label is open. Change it and submit.");
  }

  // Back from the outbox, with all that was filled in.
  unsend(entry) {
    const item = this.queue.pool.get(entry.key);
    this.outbox.forget(entry.id);
    this.drafts.keep(item, { fields: entry.fields, base: entry.base, active: entry.active, at: Date.now() });
    item.begun = true;
    this.queue.reopen(item);
    this.show(item);
    $("item-heading").focus({ preventScroll: true });
    announce("Your last label is open. Change it and submit.");
  }

  explain(item, leave) {
    notice("reopened", "You are changing your last label. Both stay in the record; the later one counts.", [["Leave it as it was", leave]]);
  }

  forget() {
    this.store.remove("reopened");
    unnotice("reopened");
  }

  // After a reload: what was reopened is again, with its changes.
  async resume() {
    const before = this.store.get("reopened");
    if (!before) return false;
    const { kind, data } = await this.server.get("last");
    if (kind === "ok" && data.item.key === before.key && data.item.base === before.base) {
      this.open(data.item);
      return true;
    }
    if (kind === "ok") this.forget();
    return false;
  }
}

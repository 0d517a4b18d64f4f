// Drafts: in this browser at once, at the server within a second. Whichever is newer is taken up again.

const SETTLED = 600; // milliseconds without a change
const AGAIN = 8_000;
const OLD = 30 * 24 * 3600 * 1000;

export class Drafts {
  constructor(store, server, told) {
    this.store = store;
    this.server = server;
    this.told = told; // (state) => void: dirty, kept, local
    this.dirty = new Map(); // key to record, until the server has it
    this.timer = 0;
    this.pushing = false;
    for (const name of store.names("draft:")) if (!(store.get(name)?.at > Date.now() - OLD)) store.remove(name);
  }

  change(item, fields, active) {
    const record = { fields, base: item.base, active, at: Date.now() };
    this.store.set(`draft:${item.key}`, record);
    this.dirty.set(item.key, record);
    this.told("dirty");
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.push(), SETTLED);
  }

  async push() {
    clearTimeout(this.timer);
    if (this.pushing || !this.dirty.size) return;
    this.pushing = true;
    let fine = true;
    let taken = true;
    for (const [key, record] of [...this.dirty]) {
      const { kind } = await this.server.post("draft", { key, draft: record.fields, at: record.at });
      if (kind !== "ok") taken = false;
      fine = kind === "ok" || kind === "refused" || kind === "unknown"; // these would be refused again; it is kept here
      if (fine && this.dirty.get(key) === record) this.dirty.delete(key);
      if (!fine) break;
    }
    this.pushing = false;
    this.told(!taken ? "local" : this.dirty.size ? "dirty" : "kept");
    if (this.dirty.size) this.timer = setTimeout(() => this.push(), fine ? 0 : AGAIN);
  }

  // The page may be going: what is not there yet is sent along, without waiting for the answer.
  hurry() {
    for (const [key, record] of this.dirty) {
      this.server.post("draft", { key, draft: record.fields, at: record.at }, { keepalive: true });
    }
  }

  drop(key) {
    this.dirty.delete(key);
    this.store.remove(`draft:${key}`);
  }

  keep(item, record) {
    this.store.set(`draft:${item.key}`, record);
  }

  has(item) {
    return this.store.get(`draft:${item.key}`) !== null;
  }

  // {fields, active} to begin with.
  restore(item) {
    const local = this.store.get(`draft:${item.key}`);
    const mine = local && local.base === item.base ? local : null;
    const theirs = item.answer ?? item.draft;
    if (mine && (item.answer || !theirs || mine.at >= (theirs.at ?? 0))) return { fields: mine.fields, active: mine.active ?? 0 };
    return { fields: theirs ?? {}, active: mine?.active ?? 0 };
  }
}

// What went wrong, said calmly and with a way out: signed out, not taken, labelled in another window.

import { notice, notices, unnotice } from "./notices.js";
import { randomId } from "./store.js";

const UNKNOWN = "The server doesn't know this response or this study for whoever is signed in in this browser. What you have labelled stays here until it can be sent.";

export class Troubles {
  constructor(parts) {
    Object.assign(this, parts); // outbox, queue, drafts, undo, more, signIn
    this.signedOut = false;
    this.outbox.addEventListener("change", () => this.show());
  }

  // Told of every answer of the server.
  heard({ kind, error, data }) {
    if (kind === "offline" || kind === "trouble") return;
    this.signedOut = kind === "signed-out";
    if (this.signedOut) {
      const other = data?.kind === "other-person";
      const text = other ? error : "You have been signed out. Nothing is lost: sign in again in a new tab, then come back here; what waits is sent by itself.";
      notice("signed-out", text, [["Sign in in a new tab", this.signIn]]);
    } else unnotice("signed-out");
    if (kind === "not-ready" || kind === "not-allowed") notice("not-ready", error, [["Open it", () => location.reload()]]);
    if (kind === "unknown") notice("unknown", UNKNOWN, [["Sign in in a new tab", this.signIn]]);
    else if (kind === "ok") unnotice("unknown");
  }

  // Every answer that was not taken has its message, until something was done about it.
  show() {
    const entries = this.outbox.problems();
    for (const name of notices("problem-")) if (!entries.some(({ id }) => name === `problem-${id}`)) unnotice(name);
    for (const entry of entries) this.#tell(entry);
  }

  #tell(entry) {
    const { id, kind, title, problem } = entry;
    const forget = () => this.#drop(entry);
    if (problem.kind === "conflict") {
      return notice(`problem-${id}`, `A response that you labelled “${title}” here had been labelled in another window meanwhile.`, [
        ["Replace it with this", () => this.#replace(entry)],
        ["Leave it", forget],
      ]);
    }
    if (kind === "skip") return notice(`problem-${id}`, `A skip was not taken: ${problem.error}`, [["Try again", () => this.#again(entry)], ["Drop it", forget]], "error");
    return notice(`problem-${id}`, `“${title}”, on an earlier response, was not taken: ${problem.error}`, [["Open it", () => this.#open(entry)], ["Drop it", forget]], "error");
  }

  // The response itself comes back, unless it is labelled elsewhere.
  #drop({ id, key, problem }) {
    const item = this.queue.pool.get(key);
    this.drafts.drop(key);
    this.outbox.forget(id);
    if (problem.kind === "conflict" || !item || item.answer) return;
    this.queue.done.delete(key);
    this.queue.next.push(item);
    this.more();
  }

  #again({ problem, ...entry }, changes = {}) {
    this.outbox.write({ ...entry, ...changes, tried: 0 });
    this.outbox.flush();
  }

  // As a new revision of what the other window sent.
  #replace(entry) {
    this.outbox.forget(entry.id);
    this.#again(entry, { id: randomId(), base: entry.problem.revision ?? entry.base + 1 });
  }

  async #open(entry) {
    let item = this.queue.pool.get(entry.key);
    if (!item || entry.base > 0) {
      const last = await this.undo.fetch();
      if (last?.key !== entry.key) return notice("undo", "That response is not here any more. Your label stays in this browser.", [["All right", () => unnotice("undo")]]);
      item = last;
    }
    if (item.answer) {
      this.outbox.forget(entry.id);
      this.drafts.keep(item, { fields: entry.fields, base: item.base, active: entry.active, at: Date.now() });
      return this.undo.open(item);
    }
    this.undo.unsend({ ...entry, base: item.base });
  }
}

// The items this page holds: which is shown, which come next, and which are done with.

const MOST_NAMED = 24; // keys the server takes
const SMALL = 20_000; // browsers let go on 64 kB at most, and a character may take three bytes

export class Queue {
  constructor(desk, server, outbox) {
    this.ahead = desk.ahead;
    this.server = server;
    this.outbox = outbox;
    this.next = [];
    this.current = null;
    this.pool = new Map(); // every item that was here, for undoing and for what was not taken
    this.done = new Set(); // keys answered or skipped, here or in another tab
    this.line = Promise.resolve();
    this.asking = 0;
    this.reached = true; // whether the last question was answered
    this.paused = false;
    this.progress = { done: 0, left: 0 };
  }

  // Answers that say what is held are asked for one after the other, so that an older one can't undo a newer.
  ask(name, body) {
    this.asking++;
    const keepalive = JSON.stringify(body).length < SMALL; // it goes on when the page is closed
    const answer = this.line.then(() => this.server.post(name, { ...body, want: this.ahead, have: this.#named() }, { keepalive })).then((outcome) => {
      this.asking--;
      this.reached = outcome.kind === "ok" || outcome.kind === "refused" || outcome.kind === "conflict";
      if (outcome.kind === "ok") this.take(outcome.data);
      return outcome;
    });
    this.line = answer.catch(() => undefined);
    return answer;
  }

  #named() {
    const held = [...(this.current ? [this.current] : []), ...this.next].map(({ key }) => key);
    return [...new Set([...held, ...this.outbox.all().map(({ key }) => key)])].slice(0, MOST_NAMED);
  }

  take({ items, held, progress, paused }) {
    this.paused = paused;
    this.progress = progress;
    const sent = new Set(this.outbox.all().map(({ key }) => key));
    const here = new Set([this.current?.key, ...this.next.map(({ key }) => key)]);
    for (const item of items) {
      this.pool.set(item.key, item);
      if (!sent.has(item.key) && !this.done.has(item.key) && !here.has(item.key)) this.next.push(item);
    }
    this.#keep(new Set(held), sent);
  }

  // What has gone to others, or was answered elsewhere, goes; except what was begun, which may still be sent.
  #keep(held, sent) {
    for (const item of [this.current, ...this.next]) if (item && !item.answer) item.lost = !held.has(item.key) && !this.done.has(item.key) && !item.elsewhere;
    this.next = this.next.filter((item) => (held.has(item.key) || item.begun || item.answer) && !this.done.has(item.key) && !sent.has(item.key));
    const used = new Set([...held, ...sent, this.current?.key, ...this.next.map(({ key }) => key)]);
    const old = [...this.pool.keys()].filter((key) => !used.has(key));
    for (const key of old.slice(0, Math.max(old.length - MOST_NAMED, 0))) this.pool.delete(key);
  }

  advance() {
    this.current = this.next.shift() ?? null;
    return this.current;
  }

  // Show this one now; what was shown comes right after it.
  reopen(item) {
    if (this.current && this.current.key !== item.key) this.next.unshift(this.current);
    this.next = this.next.filter(({ key }) => key !== item.key);
    this.done.delete(item.key);
    this.pool.set(item.key, item);
    this.current = item;
  }

  finish(key) {
    this.done.add(key);
    this.next = this.next.filter((item) => item.key !== key);
  }

  keys() {
    const mine = [this.current, ...this.next].filter((item) => item && !item.answer).map(({ key }) => key);
    return [...new Set([...mine, ...this.outbox.waiting().map(({ key }) => key)])].slice(0, 12);
  }
}

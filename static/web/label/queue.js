/** Holds the items of this page: which is shown, which come next, and which are done with. */

/** @import { Desk, Item, More, Replies } from "./desk.js" */
/** @import { Outbox } from "./outbox.js" */
/** @import { Outcome, Server } from "./server.js" */

const MOST_NAMED = 24; // keys the server takes
const SMALL = 20_000; // browsers let go on 64 kB at most, and a character may take three bytes

export class Queue {
  /**
   * @param {Pick<Desk, "ahead">} desk
   * @param {Server} server
   * @param {Outbox} outbox
   */
  constructor(desk, server, outbox) {
    this.ahead = desk.ahead;
    this.server = server;
    this.outbox = outbox;
    /** @type {Item[]} */
    this.next = [];
    /** @type {Item | null} */
    this.current = null;
    /** @type {Map<string, Item>} */
    this.pool = new Map(); // every item that was here, for undoing and for what was not taken
    /** @type {Set<string>} */
    this.done = new Set(); // keys answered or skipped, here or in another tab
    /** @type {Promise<unknown>} */
    this.line = Promise.resolve();
    this.asking = 0;
    this.reached = true; // whether the last question was answered
    this.paused = false;
    this.progress = { done: 0, left: 0 };
  }

  /**
   * Sends something whose answer says what is held. One after the other, so that an older answer can't undo a
   * newer.
   * @template {"next" | "submit" | "skip"} Name
   * @param {Name} name
   * @param {object} body
   * @returns {Promise<Outcome<Replies[Name]>>}
   */
  ask(name, body) {
    this.asking++;
    const keepalive = JSON.stringify(body).length < SMALL; // it goes on when the page is closed
    const answer = this.line
      .then(() => this.server.post(name, { ...body, want: this.ahead, have: this.#named() }, { keepalive }))
      .then((outcome) => {
        this.asking--;
        this.reached = outcome.kind === "ok" || outcome.kind === "refused" || outcome.kind === "conflict";
        if (outcome.kind === "ok") this.take(outcome.data);
        return outcome;
      });
    this.line = answer.catch(() => undefined);
    return answer;
  }

  /** Lists the items here: what is shown, then what comes next. */
  #here() {
    return this.current ? [this.current, ...this.next] : this.next;
  }

  #named() {
    const keys = [...this.#here(), ...this.outbox.all()].map(({ key }) => key);
    return [...new Set(keys)].slice(0, MOST_NAMED);
  }

  /**
   * Takes in an answer of the server's.
   * @param {More} more
   */
  take({ items, held, progress, paused }) {
    this.paused = paused;
    this.progress = progress;
    const sent = new Set(this.outbox.all().map(({ key }) => key));
    const here = new Set(this.#here().map(({ key }) => key));
    for (const item of items) {
      this.pool.set(item.key, item);
      if (!here.has(item.key)) this.next.push(item);
    }
    this.#keep(new Set(held), sent);
  }

  /**
   * Lets go what has gone to others, or was answered elsewhere; except what was begun, which may still be
   * sent.
   * @param {Set<string>} held
   * @param {Set<string>} sent
   */
  #keep(held, sent) {
    for (const item of this.#here()) {
      if (!item.answer) item.lost = !held.has(item.key) && !this.done.has(item.key) && !item.elsewhere;
    }
    this.next = this.next.filter(
      (item) =>
        (held.has(item.key) || item.begun || item.answer) && !this.done.has(item.key) && !sent.has(item.key),
    );
    const used = new Set([...held, ...sent, ...this.#here().map(({ key }) => key)]);
    const old = [...this.pool.keys()].filter((key) => !used.has(key));
    for (const key of old.slice(0, Math.max(old.length - MOST_NAMED, 0))) this.pool.delete(key);
  }

  /** Goes on to the next item; returns it, or null. */
  advance() {
    this.current = this.next.shift() ?? null;
    return this.current;
  }

  /**
   * Makes this the item that is shown; what was shown comes right after it.
   * @param {Item} item
   */
  reopen(item) {
    if (this.current && this.current.key !== item.key) this.next.unshift(this.current);
    this.next = this.next.filter(({ key }) => key !== item.key);
    this.done.delete(item.key);
    this.pool.set(item.key, item);
    this.current = item;
  }

  /**
   * Notes that an item was answered or skipped.
   * @param {string} key
   */
  finish(key) {
    this.done.add(key);
    this.next = this.next.filter((item) => item.key !== key);
  }

  /** Lists the keys whose places this page needs. */
  keys() {
    const mine = this.#here().filter((item) => !item.answer);
    const keys = [...mine, ...this.outbox.waiting()].map(({ key }) => key);
    return [...new Set(keys)].slice(0, 12);
  }
}

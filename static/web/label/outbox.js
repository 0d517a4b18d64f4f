/**
 * Sends labels and skips. Each lies in this browser, by itself, until the server's receipt for it is here; so
 * what is sent twice, after a reload or from a second tab, is the same submission, which the server counts
 * once.
 */

/** @import { Fields, More, Saved } from "./desk.js" */
/** @import { Failure, Outcome, Refusal } from "./server.js" */
/** @import { Store } from "./store.js" */

/**
 * @typedef {object} LabelSent
 * @property {"label"} kind
 * @property {string} id
 * @property {string} key
 * @property {string} title
 * @property {number} base the revision that it follows
 * @property {Fields} fields
 * @property {number} active seconds of work
 */
/** @typedef {{ kind: "skip", id: string, key: string, title: string, reason: string }} SkipSent */
/** @typedef {{ kind: "refused" | "conflict", error: string, revision?: number }} Problem why not taken */
/** @typedef {{ at: number, tried: number, problem?: Problem }} Posted since when, and how it fared */
/** @typedef {LabelSent & Posted} LabelEntry */
/** @typedef {SkipSent & Posted} SkipEntry */
/** @typedef {LabelEntry | SkipEntry} Entry */
/** @typedef {More & { saved?: Saved }} Answer */
/** @typedef {{ entry: Entry, data: Answer }} Receipt */

const WAITS = [1, 2, 4, 8, 15, 30]; // seconds until the next try

export class Outbox extends EventTarget {
  /**
   * @param {Store} store
   * @param {(entry: Entry) => Promise<Outcome<Answer>>} send
   */
  constructor(store, send) {
    super();
    this.store = store;
    this.send = send;
    /** @type {Failure | ""} */
    this.failing = ""; // how the last try went wrong
    this.sending = false;
    this.failures = 0;
    /** @type {Promise<void> | null} */
    this.running = null;
    this.timer = 0;
  }

  /** Lists what lies here, in the order it was given. */
  all() {
    const found = this.store.names("out:").map((name) => this.store.get(name));
    const entries = found.filter((entry) => entry !== null).filter((entry) => entry.id && entry.key);
    return entries.sort((a, b) => a.at - b.at);
  }

  /** Lists what is still to be sent. */
  waiting() {
    return this.all().filter((entry) => !entry.problem);
  }

  /** Lists what the server did not take. */
  problems() {
    return this.all().filter((entry) => entry.problem);
  }

  /**
   * Puts a label or a skip behind all others.
   * @param {LabelSent | SkipSent} sent
   */
  add(sent) {
    const last = this.all().at(-1)?.at ?? 0;
    this.write({ ...sent, at: Math.max(Date.now(), last + 1), tried: 0 });
  }

  /** @param {Entry} entry */
  write(entry) {
    this.store.set(`out:${entry.id}`, entry);
    this.#changed();
  }

  /** @param {string} id */
  forget(id) {
    this.store.remove(`out:${id}`);
    this.#changed();
  }

  /** Sends what waits, unless it is being sent already. */
  flush() {
    this.running ??= this.#drain().finally(() => {
      this.running = null;
      this.#changed();
    });
    return this.running;
  }

  /**
   * Sends one after the other, in the order they were given. Where there is no answer the rest waits too,
   * untried.
   */
  async #drain() {
    clearTimeout(this.timer);
    const tried = new Set();
    const next = () => this.waiting().find((entry) => !tried.has(entry.id));
    for (let entry = next(); entry; entry = next()) {
      tried.add(entry.id);
      this.sending = true;
      this.write({ ...entry, tried: entry.tried + 1 });
      const outcome = await this.send(entry);
      this.sending = false;
      if (!this.#settle(entry, outcome)) break;
    }
    if (this.waiting().length) this.#flushLater();
    this.#changed();
  }

  /**
   * Deals with how a try went; tells whether to go on with the next.
   * @param {Entry} entry
   * @param {Outcome<Answer>} outcome
   */
  #settle(entry, outcome) {
    const { kind } = outcome;
    if (kind === "ok") this.#taken({ entry, data: outcome.data });
    else if (kind === "refused" || kind === "conflict") this.#notTaken(entry, kind, outcome);
    else {
      this.failing = kind;
      return kind === "unknown" || (kind === "trouble" && entry.tried > 2); // the others may fare better
    }
    return true;
  }

  /** @param {Receipt} receipt */
  #taken(receipt) {
    this.#answered();
    this.store.remove(`out:${receipt.entry.id}`);
    this.dispatchEvent(new CustomEvent("receipt", { detail: receipt }));
  }

  /**
   * @param {Entry} entry
   * @param {Problem["kind"]} kind
   * @param {{ data?: Refusal | null, error: string }} why
   */
  #notTaken(entry, kind, { data, error }) {
    this.#answered();
    this.store.set(`out:${entry.id}`, { ...entry, problem: { kind, error, revision: data?.revision } });
    this.dispatchEvent(new Event("problem"));
  }

  #answered() {
    this.failing = "";
    this.failures = 0;
  }

  #flushLater() {
    const wait = WAITS[Math.min(this.failures++, WAITS.length - 1)] ?? 0;
    this.timer = setTimeout(() => this.flush(), wait * 1000 * (0.8 + 0.4 * Math.random()));
  }

  #changed() {
    this.dispatchEvent(new Event("change"));
  }
}

/** @typedef {"refused" | "saved" | "signed-out" | "waiting" | "saving"} OutboxState */

/**
 * Says how an outbox stands: a word that pages and tests can rely on, and a sentence.
 * @param {Outbox} outbox
 * @returns {[OutboxState, string]}
 */
export function stateOf(outbox) {
  const waiting = outbox.waiting();
  if (outbox.problems().length && !waiting.length) return ["refused", "One answer was not taken; see above."];
  if (!waiting.length) return ["saved", "Saved"];
  const here = `${count(waiting)} in this browser`;
  if (outbox.failing === "signed-out") return ["signed-out", `${here} until you sign in again.`];
  const they = waiting.length === 1 ? "it is" : "they are";
  if (outbox.failing) return ["waiting", `${here}; ${they} sent when the server answers.`];
  return ["saving", "Saving…"];
}

/**
 * Counts labels and skips in words.
 * @param {Entry[]} waiting
 */
function count(waiting) {
  const labels = waiting.filter((entry) => entry.kind === "label").length;
  const skips = waiting.length - labels;
  /** @type {(n: number, noun: string) => string[]} */
  const words = (n, noun) => (n ? [`${n} ${noun}${n === 1 ? "" : "s"}`] : []);
  const all = [...words(labels, "label"), ...words(skips, "skip")].join(" and ");
  return `${all} ${waiting.length === 1 ? "waits" : "wait"}`;
}

// Labels and skips on their way. Each lies in this browser, by itself, until the server's receipt for it is here; so what
// is sent twice, after a reload or from a second tab, is the same submission, which the server counts once.

const WAITS = [1, 2, 4, 8, 15, 30]; // seconds until the next try

export class Outbox extends EventTarget {
  constructor(store, send) {
    super();
    this.store = store;
    this.send = send; // (entry) => outcome
    this.failing = ""; // how the last try went wrong
    this.sending = false;
    this.failures = 0;
    this.running = null;
    this.timer = 0;
  }

  all() {
    const found = this.store.names("out:").map((name) => this.store.get(name));
    return found.filter((entry) => entry?.id && entry.key).sort((a, b) => a.at - b.at);
  }

  waiting() {
    return this.all().filter((entry) => !entry.problem);
  }

  problems() {
    return this.all().filter((entry) => entry.problem);
  }

  add(entry) {
    const last = this.all().at(-1)?.at ?? 0;
    this.write({ ...entry, at: Math.max(Date.now(), last + 1), tried: 0 });
  }

  write(entry) {
    this.store.set(`out:${entry.id}`, entry);
    this.#changed();
  }

  forget(id) {
    this.store.remove(`out:${id}`);
    this.#changed();
  }

  flush() {
    this.running ??= this.#drain().finally(() => {
      this.running = null;
      this.#changed();
    });
    return this.running;
  }

  // One after the other, in the order they were given. Where there is no answer the rest waits too, untried.
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
    if (this.waiting().length) this.#later();
    this.#changed();
  }

  // Whether to go on with the next.
  #settle(entry, outcome) {
    const { kind, data, error } = outcome;
    if (kind === "ok" || kind === "refused" || kind === "conflict") {
      this.failing = "";
      this.failures = 0;
      if (kind === "ok") this.store.remove(`out:${entry.id}`);
      else this.store.set(`out:${entry.id}`, { ...entry, problem: { kind, error, revision: data?.revision } });
      this.dispatchEvent(new CustomEvent(kind === "ok" ? "receipt" : "problem", { detail: { entry, data, error } }));
      return true;
    }
    this.failing = kind;
    return kind === "unknown" || (kind === "trouble" && entry.tried > 2); // the others may fare better
  }

  #later() {
    const wait = WAITS[Math.min(this.failures++, WAITS.length - 1)] * 1000 * (0.8 + 0.4 * Math.random());
    this.timer = setTimeout(() => this.flush(), wait);
  }

  #changed() {
    this.dispatchEvent(new Event("change"));
  }
}

// What is said of it, and a word for it that pages and tests can rely on.
export function stateOf(outbox) {
  const waiting = outbox.waiting();
  if (outbox.problems().length && !waiting.length) return ["refused", "One answer was not taken; see above."];
  if (!waiting.length) return ["saved", "Saved"];
  if (outbox.failing === "signed-out") return ["signed-out", `${count(waiting)} in this browser until you sign in again.`];
  if (outbox.failing) return ["waiting", `${count(waiting)} in this browser; ${waiting.length === 1 ? "it is" : "they are"} sent when the server answers.`];
  return ["saving", "Saving…"];
}

function count(waiting) {
  const labels = waiting.filter((entry) => entry.kind === "label").length;
  const skips = waiting.length - labels;
  const part = (n, noun) => (n ? [`${n} ${noun}${n === 1 ? "" : "s"}`] : []);
  return `${[...part(labels, "label"), ...part(skips, "skip")].join(" and ")} ${waiting.length === 1 ? "waits" : "wait"}`;
}

// Stand-ins for what modules find in a browser, as little of it as they need.

/** Keeps texts by key as localStorage does; one that is full, or switched off, throws. */
export class Storage {
  #kept = new Map();
  broken = false;

  #check() {
    if (this.broken) throw new Error("QuotaExceededError");
  }
  get length() {
    return this.#kept.size;
  }
  key(n) {
    return [...this.#kept.keys()].sort()[n] ?? null; // in whatever order, says the standard
  }
  getItem(key) {
    return this.#kept.get(key) ?? null;
  }
  setItem(key, value) {
    this.#check();
    this.#kept.set(key, String(value));
  }
  removeItem(key) {
    this.#kept.delete(key);
  }
}

/** Gives this test a browser's storage with nothing in it. */
export function freshStorage() {
  globalThis.localStorage = new Storage();
  return globalThis.localStorage;
}

/** Lets all that can go on without a timer go on. */
export const settled = () => new Promise(setImmediate);

/** Makes numbers from 0 to 1 that are the same for the same seed. */
export function randomFrom(seed) {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
}

/** A server that notes what is sent, and answers as it is told; an answer may be a function of what is sent. */
export class FakeServer {
  sent = [];
  answers = [];
  usual = { kind: "ok", data: {} };

  async post(name, body, options) {
    this.sent.push({ name, body, options });
    const answer = this.answers.shift() ?? this.usual;
    return typeof answer === "function" ? answer(name, body) : answer;
  }

  get(name, key) {
    return this.post(name, key);
  }
}

/** An element of a page, with what notices need: text, children and clicks. */
class FakeElement extends EventTarget {
  children = [];
  dataset = {};
  hidden = false;
  #text = "";

  get textContent() {
    return this.#text + this.children.map((child) => child.textContent).join("");
  }
  set textContent(text) {
    this.#text = text;
    this.children = [];
  }
  append(...children) {
    for (const child of children) child.parent = this;
    this.children.push(...children);
  }
  replaceWith(other) {
    other.parent = this.parent;
    this.parent.children[this.parent.children.indexOf(this)] = other;
  }
  remove() {
    this.parent.children = this.parent.children.filter((child) => child !== this);
  }
  contains() {
    return false;
  }
  setAttribute() {}
  focus() {}
  click() {
    this.dispatchEvent(new Event("click"));
  }
}

/** Gives this process a page on which every element is found that is asked for by its id. */
export function freshPage() {
  const found = new Map();
  const getElementById = (id) => found.get(id) ?? found.set(id, new FakeElement()).get(id);
  const createElement = () => new FakeElement();
  globalThis.document = Object.assign(new EventTarget(), { getElementById, createElement });
  globalThis.addEventListener = () => {};
  Object.assign(globalThis, { Element: FakeElement, HTMLElement: FakeElement });
}

/** Returns what stands below an element, itself included. */
const below = (element) => [element, ...element.children.flatMap(below)];

/** Returns the texts of the notices that are shown. */
export const noticesShown = () =>
  globalThis.document.getElementById("notices").children.map(({ children: [text] }) => text.textContent);

/** Presses the button with this title on the one notice that is shown. */
export async function pressOnNotice(title) {
  const buttons = below(globalThis.document.getElementById("notices"));
  buttons.find(({ type, textContent }) => type === "button" && textContent === title).click();
  await settled();
}

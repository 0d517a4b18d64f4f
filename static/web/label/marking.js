/**
 * Marks a passage by keyboard alone: arrows move by word and line, with Shift they extend, Enter marks,
 * Escape leaves.
 */

import { paint, rangeOf } from "./evidence.js";
import { modified } from "./keymap.js";
import { scrollerOf } from "./pressing.js";

/** @import { Span } from "./desk.js" */

const LONG = 24; // longer without a space: a script that sets none
/** @type {Record<string, number>} */
const STEPS = { ArrowRight: 1, ArrowLeft: -1 };
/** @type {Record<string, number>} */
const LINES = { ArrowDown: 1, ArrowUp: -1 };

/**
 * Lists the words of a text.
 * @param {string} text
 * @param {string} language
 * @returns {Span[]}
 */
export function wordsOf(text, language) {
  return [...text.matchAll(/\S+/gu)].flatMap(({ index, 0: word }) => {
    if (word.length <= LONG || !Intl.Segmenter) return [{ start: index, end: index + word.length }];
    const segments = new Intl.Segmenter(language || undefined, { granularity: "word" }).segment(word);
    return Array.from(segments, ({ index: at, segment }) => ({
      start: index + at,
      end: index + at + segment.length,
    }));
  });
}

export class Marking {
  /** @type {Span[]} */
  #words = [];
  /** @type {Text | null} */
  #node = null;
  #anchor = 0; // the word where the passage begins, or ends
  #head = 0; // the word that moves

  /**
   * @param {HTMLElement} element
   * @param {{ mark: (span: Span) => void, say: (text: string) => void, ended: () => void }} told
   */
  constructor(element, { mark, say, ended }) {
    this.element = element;
    this.mark = mark;
    this.say = say;
    this.ended = ended;
    this.on = false;
    element.addEventListener("keydown", (event) => this.on && this.#key(event));
    element.addEventListener("blur", () => this.stop());
  }

  /**
   * Begins with the first word that starts there or later.
   * @param {Text} node
   * @param {string} language
   * @param {number} from
   */
  start(node, language, from) {
    this.#node = node;
    this.#words = wordsOf(node.data, language);
    if (!this.#words.length) return this.say("There is nothing to mark.");
    this.on = true;
    const at = this.#words.findIndex(({ start }) => start >= from);
    this.#anchor = this.#head = Math.max(at, 0);
    this.element.setAttribute("role", "application");
    this.element.tabIndex = 0;
    this.element.dataset.state = "marking";
    this.element.focus({ preventScroll: true });
    this.#show("Marking. Arrows move by word, with Shift they extend, Enter marks, Escape leaves. ");
  }

  /** Ends without a passage. */
  stop() {
    if (!this.on) return;
    this.on = false;
    if (this.#node) paint("choosing", this.#node, []);
    this.element.removeAttribute("role");
    this.element.tabIndex = -1;
    delete this.element.dataset.state;
    this.ended();
  }

  get span() {
    const [first, last] = [Math.min(this.#anchor, this.#head), Math.max(this.#anchor, this.#head)];
    return { start: this.#word(first).start, end: this.#word(last).end };
  }

  /** @param {KeyboardEvent} event */
  #key(event) {
    if (modified(event)) return;
    const to = this.#target(event.key);
    if (event.key === "Escape" || event.key === "Enter") {
      if (event.key === "Enter") this.mark(this.span);
      else this.say("Marking left.");
      this.stop();
    } else if (to !== null) {
      this.#head = to;
      if (!event.shiftKey) this.#anchor = this.#head;
      this.#show("");
    }
    if (event.key !== "Tab") event.preventDefault(); // no other key means anything here
    event.stopPropagation();
  }

  /**
   * Returns the word that a key moves to, or null.
   * @param {string} key
   */
  #target(key) {
    if (key === "Home") return 0;
    if (key === "End") return this.#words.length - 1;
    if (STEPS[key]) return this.#within(this.#head + STEPS[key]);
    return LINES[key] ? this.#onLine(LINES[key]) : null;
  }

  /** @param {number} at */
  #within(at) {
    return Math.min(Math.max(at, 0), this.#words.length - 1);
  }

  /** @param {number} at */
  #word(at) {
    return this.#words[at] ?? { start: 0, end: 0 };
  }

  /** @param {number} at */
  #box(at) {
    const { start, end } = this.#word(at);
    return this.#node ? rangeOf(this.#node, start, end).getBoundingClientRect() : new DOMRect();
  }

  /**
   * Returns the word nearest on the next line.
   * @param {number} way 1 for down, -1 for up
   */
  #onLine(way) {
    const from = this.#box(this.#head);
    let line = null;
    let best = this.#head;
    for (let at = this.#head + way; at >= 0 && at < this.#words.length; at += way) {
      const box = this.#box(at);
      if (Math.abs(box.top - from.top) < from.height / 2) continue;
      line ??= box.top;
      if (Math.abs(box.top - line) > from.height / 2) break;
      const nearer = Math.abs(box.left - from.left) < Math.abs(this.#box(best).left - from.left);
      if (best === this.#head || nearer) best = at;
    }
    return best === this.#head ? this.#within(this.#head + way) : best;
  }

  /** @param {string} before what is said before the passage */
  #show(before) {
    if (!this.#node) return;
    const { start, end } = this.span;
    paint("choosing", this.#node, [{ start, end }]);
    intoView(this.#node, this.#word(this.#head));
    const text = this.#node.data.slice(start, end);
    this.say(before + (text.length > 120 ? `… ${text.slice(-100)}` : text));
  }
}

/**
 * Brings a passage into view, in the middle of its column, if it is out of it.
 * @param {Text} node
 * @param {Span} span
 */
export function intoView(node, { start, end }) {
  const column = node.parentElement?.closest(".reading");
  if (!column) return;
  const box = rangeOf(node, start, end).getBoundingClientRect();
  const scroller = scrollerOf(column);
  const whole = scroller === document.scrollingElement;
  const frame = whole ? { top: 0, bottom: innerHeight } : scroller.getBoundingClientRect();
  if (box.top >= frame.top + 40 && box.bottom <= frame.bottom - 40) return;
  scroller.scrollBy(0, box.top - (frame.top + frame.bottom) / 2);
}

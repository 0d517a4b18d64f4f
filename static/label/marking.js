// Marking a passage by keyboard alone: arrows move by word and line, with shift they extend, Enter marks, Escape leaves.

import { paint, rangeOf } from "./evidence.js";

const LONG = 24; // longer without a space: a script that sets none

export function wordsOf(text, language) {
  const words = [];
  for (const { index, 0: word } of text.matchAll(/\S+/gu)) {
    if (word.length <= LONG || !Intl.Segmenter) words.push([index, index + word.length]);
    else for (const part of new Intl.Segmenter(language || undefined, { granularity: "word" }).segment(word)) words.push([index + part.index, index + part.index + part.segment.length]);
  }
  return words;
}

export class Marking {
  constructor(element, { mark, say, ended }) {
    this.element = element;
    this.mark = mark;
    this.say = say;
    this.ended = ended;
    this.on = false;
    element.addEventListener("keydown", (event) => this.on && this.#key(event));
    element.addEventListener("blur", () => this.stop());
  }

  start(node, language, from) {
    this.node = node;
    this.words = wordsOf(node.data, language);
    if (!this.words.length) return this.say("There is nothing to mark.");
    this.on = true;
    const at = this.words.findIndex(([start]) => start >= from);
    this.anchor = this.head = Math.max(at, 0);
    this.element.setAttribute("role", "application");
    this.element.tabIndex = 0;
    this.element.dataset.state = "marking";
    this.element.focus({ preventScroll: true });
    this.#show("Marking. Arrows move by word, with Shift they extend, Enter marks, Escape leaves. ");
  }

  stop() {
    if (!this.on) return;
    this.on = false;
    paint("choosing", this.node, []);
    this.element.removeAttribute("role");
    this.element.tabIndex = -1;
    delete this.element.dataset.state;
    this.ended();
  }

  get span() {
    const [first, last] = [Math.min(this.anchor, this.head), Math.max(this.anchor, this.head)];
    return { start: this.words[first][0], end: this.words[last][1] };
  }

  #key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    const line = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    const edge = { Home: 0, End: this.words.length - 1 }[event.key];
    if (event.key === "Escape" || event.key === "Enter") {
      if (event.key === "Enter") this.mark(this.span);
      else this.say("Marking left.");
      this.stop();
    } else if (step || line || edge !== undefined) {
      this.head = edge ?? (step ? this.#within(this.head + step) : this.#line(line));
      if (!event.shiftKey) this.anchor = this.head;
      this.#show("");
    } else if (event.key !== "Shift") {
      if (event.key !== "Tab") event.preventDefault(); // no other key means anything here
      event.stopPropagation();
      return;
    }
    event.preventDefault();
    event.stopPropagation();
  }

  #within = (at) => Math.min(Math.max(at, 0), this.words.length - 1);

  #box = (at) => rangeOf(this.node, ...this.words[at]).getBoundingClientRect();

  // The word nearest on the next line.
  #line(way) {
    const from = this.#box(this.head);
    let line = null;
    let best = this.head;
    for (let at = this.head + way; at >= 0 && at < this.words.length; at += way) {
      const box = this.#box(at);
      if (Math.abs(box.top - from.top) < from.height / 2) continue;
      line ??= box.top;
      if (Math.abs(box.top - line) > from.height / 2) break;
      if (best === this.head || Math.abs(box.left - from.left) < Math.abs(this.#box(best).left - from.left)) best = at;
    }
    return best === this.head ? this.#within(this.head + way) : best;
  }

  #show(before) {
    const { start, end } = this.span;
    paint("choosing", this.node, [{ start, end }]);
    intoView(this.node, ...this.words[this.head]);
    const text = this.node.data.slice(start, end);
    this.say(before + (text.length > 120 ? `… ${text.slice(-100)}` : text));
  }
}

// Into view, in the middle of its column, if it is out of it.
export function intoView(node, start, end) {
  const box = rangeOf(node, start, end).getBoundingClientRect();
  const column = node.parentElement.closest(".reading");
  const scrolls = column.scrollHeight > column.clientHeight + 1 && getComputedStyle(column).overflowY !== "visible";
  const frame = scrolls ? column.getBoundingClientRect() : { top: 0, bottom: innerHeight };
  if (box.top >= frame.top + 40 && box.bottom <= frame.bottom - 40) return;
  (scrolls ? column : window).scrollBy(0, box.top - (frame.top + frame.bottom) / 2);
}

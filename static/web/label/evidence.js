/**
 * Holds the passages marked as evidence. The page counts UTF-16 units, as its texts do; the server counts
 * characters.
 */

import { $, make } from "./dom.js";

/** @import { Span } from "./desk.js" */

/**
 * Returns the browser's highlight of this name, or null where it knows none.
 * @param {string} name
 */
function highlightOf(name) {
  if (!globalThis.Highlight || !CSS.highlights) return null;
  const before = CSS.highlights.get(name);
  if (before) return before;
  const highlight = new Highlight();
  CSS.highlights.set(name, highlight);
  return highlight;
}

/**
 * Paints these spans of a text, and no others, in the colour of this name.
 * @param {string} name
 * @param {Text} node
 * @param {Span[]} spans
 */
export function paint(name, node, spans) {
  const highlight = highlightOf(name);
  highlight?.clear();
  for (const { start, end } of spans) highlight?.add(rangeOf(node, start, end));
}

/**
 * Makes a range within a text.
 * @param {Text} node
 * @param {number} start
 * @param {number} end
 */
export function rangeOf(node, start, end) {
  const range = document.createRange();
  range.setStart(node, Math.min(start, node.length));
  range.setEnd(node, Math.min(end, node.length));
  return range;
}

/** @param {number} unit */
const isHigh = (unit) => unit >= 0xd800 && unit < 0xdc00;
/** @param {number} unit */
const isLow = (unit) => unit >= 0xdc00 && unit < 0xe000;
/** @type {(text: string, at: number) => boolean} */
const insidePair = (text, at) => at > 0 && isLow(text.charCodeAt(at)) && isHigh(text.charCodeAt(at - 1));

/**
 * Counts the characters in the first so many units of a text.
 * @param {string} text
 * @param {number} units
 */
export function toCharacters(text, units) {
  let count = 0;
  for (let at = 0; at < units; at++) if (!insidePair(text, at)) count++;
  return count;
}

/**
 * Counts the units in the first so many characters of a text.
 * @param {string} text
 * @param {number} characters
 */
export function toUnits(text, characters) {
  let at = 0;
  for (let count = 0; count < characters && at < text.length; count++) {
    at += (text.codePointAt(at) ?? 0) > 0xffff ? 2 : 1;
  }
  return at;
}

/**
 * Widens a span to whole characters and takes whitespace off its ends; returns null where nothing is left.
 * @param {string} text
 * @param {number} start
 * @param {number} end
 */
export function tidied(text, start, end) {
  if (insidePair(text, start)) start--;
  if (insidePair(text, end)) end++;
  while (start < end && /\s/.test(text.charAt(start))) start++;
  while (end > start && /\s/.test(text.charAt(end - 1))) end--;
  return start < end ? { start, end } : null;
}

/**
 * Returns the part of the page's selection that lies in the response, or null.
 * @param {Text} node
 */
export function selected(node) {
  const selection = getSelection();
  if (!selection?.rangeCount || selection.isCollapsed) return null;
  const range = selection.getRangeAt(0);
  if (!range.intersectsNode(node)) return null;
  const whole = rangeOf(node, 0, node.length);
  const after = range.compareBoundaryPoints(Range.START_TO_START, whole) > 0;
  const before = range.compareBoundaryPoints(Range.END_TO_END, whole) < 0;
  const start = range.startContainer === node ? range.startOffset : after ? node.length : 0;
  const end = range.endContainer === node ? range.endOffset : before ? 0 : node.length;
  return tidied(node.data, start, end);
}

export class Evidence {
  /**
   * @param {HTMLElement} list
   * @param {() => void} changed
   * @param {(span: Span) => void} reveal
   */
  constructor(list, changed, reveal) {
    this.list = list;
    this.changed = changed;
    this.reveal = reveal;
    /** @type {Text | null} */
    this.node = null; // the response's one text node
    /** @type {Span[]} */
    this.spans = []; // in units
  }

  get #text() {
    return this.node?.data ?? "";
  }

  /**
   * Shows the passages of a response.
   * @param {Text | null} node
   * @param {Span[]} characters
   */
  show(node, characters) {
    this.node = node;
    const text = this.#text;
    this.spans = node
      ? characters.map(({ start, end }) => ({ start: toUnits(text, start), end: toUnits(text, end) }))
      : [];
    this.draw();
  }

  /** Lists the passages as the server counts. */
  characters() {
    const text = this.#text;
    return this.spans.map(({ start, end }) => ({
      start: toCharacters(text, start),
      end: toCharacters(text, end),
    }));
  }

  /**
   * Adds a passage; tells whether it was new.
   * @param {Span} span
   */
  add(span) {
    if (this.spans.some(({ start, end }) => start === span.start && end === span.end)) return false;
    this.spans.push(span);
    this.spans.sort((a, b) => a.start - b.start || a.end - b.end);
    this.draw();
    this.changed();
    return true;
  }

  /**
   * Removes a passage.
   * @param {Span} span
   */
  remove(span) {
    this.spans = this.spans.filter((other) => other !== span);
    this.draw();
    this.changed();
  }

  /**
   * Quotes a passage, a long one by its ends.
   * @param {Span} span
   */
  quote({ start, end }) {
    const text = this.#text.slice(start, end).replace(/\s+/g, " ");
    return text.length > 140 ? `${text.slice(0, 90)} … ${text.slice(-40)}` : text;
  }

  /** Paints the passages, and lists them. */
  draw() {
    if (this.node) paint("evidence", this.node, this.spans);
    this.list.replaceChildren(...this.spans.map((span) => this.#row(span)));
    this.list.hidden = !this.spans.length;
  }

  /** @param {Span} span */
  #row(span) {
    const quote = this.quote(span);
    const go = make("button", { type: "button", className: "plain quote", textContent: quote });
    go.title = "Show in the response";
    go.addEventListener("click", () => this.reveal(span));
    const remove = make("button", { type: "button", className: "plain remove", textContent: "Remove" });
    remove.setAttribute("aria-label", `Remove the passage “${quote}”`);
    const row = make("li", {}, go, remove);
    remove.addEventListener("click", () => this.#take(span, row));
    return row;
  }

  /**
   * Removes a passage by its button, and leaves the focus on the next one's.
   * @param {Span} span
   * @param {HTMLElement} row
   */
  #take(span, row) {
    const next = row.nextElementSibling ?? row.previousElementSibling;
    const at = [...this.list.children].indexOf(next ?? row);
    this.remove(span);
    const button = this.list.children[Math.min(at, this.list.children.length - 1)]?.querySelector(".remove");
    (button instanceof HTMLElement ? button : $("mark")).focus();
  }
}

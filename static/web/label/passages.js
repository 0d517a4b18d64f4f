/**
 * Marks evidence from all sides: what is selected, what is marked by keyboard, and the response's two views.
 */

import { $, announce } from "./dom.js";
import { Evidence, paint, selected } from "./evidence.js";
import { intoView, Marking } from "./marking.js";

/** @import { Item, Span } from "./desk.js" */
/** @import { Reading } from "./reading.js" */
/** @import { Server } from "./server.js" */

const LATELY = 1500; // milliseconds: a tap on the button may take the selection away before it is heard

export class Passages {
  /** @type {{ span: Span | null, at: number }} */
  #last = { span: null, at: 0 }; // what was selected, and when it no longer was

  /** @param {{ reading: Reading, server: Server, current: () => Item | null, changed: () => void }} parts */
  constructor({ reading, server, current, changed }) {
    this.reading = reading;
    this.server = server;
    this.current = current;
    this.evidence = new Evidence($("evidence-list"), changed, (span) => this.reveal(span));
    this.marking = new Marking($("response-text"), {
      mark: (span) => this.mark(span),
      say: announce,
      ended: () => {
        $("marking-help").hidden = true;
      },
    });
    document.addEventListener("selectionchange", () => this.#selecting());
    for (const id of ["mark", "mark-here"]) {
      $(id).addEventListener("pointerdown", (event) => event.preventDefault()); // the selection stays
    }
  }

  /**
   * Shows the passages of the response that is read.
   * @param {Span[]} characters
   */
  show(characters) {
    this.marking.stop();
    this.#last = { span: null, at: 0 };
    $("mark-here").hidden = true;
    this.evidence.show(this.reading.node, characters);
  }

  /** Lists the passages as the server counts. */
  characters() {
    return this.reading.node ? this.evidence.characters() : [];
  }

  #selecting() {
    const span = this.reading.node && !this.reading.formatted ? selected(this.reading.node) : null;
    if (span) this.#last = { span, at: Infinity };
    else if (this.#last.at === Infinity) this.#last.at = performance.now();
    $("mark-here").hidden = !span;
  }

  /**
   * Marks a passage.
   * @param {Span} span
   */
  mark(span) {
    if (!this.evidence.add(span)) return announce("This passage is marked already.");
    getSelection()?.removeAllRanges();
    this.#last = { span: null, at: 0 };
    const row = this.evidence.list.children[this.evidence.spans.indexOf(span)];
    row?.scrollIntoView({ block: "nearest" });
    announce(`Marked: ${this.evidence.quote(span)}`);
  }

  /** Marks what is selected, or else begins to mark by keyboard. */
  begin(byButton = false) {
    if (this.reading.formatted) {
      this.reading.plain();
      announce("Passages are marked in the plain text.");
    }
    const { node } = this.reading;
    if (!node) return announce("The response is empty.");
    const just = byButton && performance.now() - this.#last.at < LATELY ? this.#last.span : null;
    const span = selected(node) ?? just;
    if (span) return this.mark(span);
    $("marking-help").hidden = false;
    this.marking.start(node, this.current()?.language ?? "", this.evidence.spans.at(-1)?.end ?? 0);
  }

  /**
   * Shows where a passage lies, for a moment.
   * @param {Span} span
   */
  reveal(span) {
    this.reading.plain();
    const { node } = this.reading;
    if (!node) return;
    intoView(node, span);
    paint("shown", node, [span]);
    setTimeout(() => this.reading.node && paint("shown", this.reading.node, []), 1600);
  }

  /** Shows the response formatted, or plain again. */
  async toggleFormatted() {
    const item = this.current();
    if (!item?.response) return;
    if (this.reading.formatted) return this.reading.plain();
    const html = item.formatted ?? (await this.#fetchFormatted(item));
    if (html === null) {
      return announce("The formatted text can't be had right now; the plain text is complete.");
    }
    if (this.current() !== item) return;
    this.marking.stop();
    this.reading.format(html);
  }

  /** @param {Item} item */
  async #fetchFormatted(item) {
    const { kind, data } = await this.server.get("formatted", item.key);
    if (kind !== "ok") return null;
    item.formatted = data.html;
    return data.html;
  }
}

// Evidence from all sides: what is selected, what is marked by keyboard, and the response's two views.

import { $, announce } from "./dom.js";
import { Evidence, paint, selected } from "./evidence.js";
import { intoView, Marking } from "./marking.js";

const LATELY = 1500; // milliseconds: a tap on the button may take the selection away before it is heard

export class Passages {
  constructor({ reading, server, current, changed }) {
    Object.assign(this, { reading, server, current });
    this.evidence = new Evidence($("evidence-list"), changed, (span) => this.reveal(span));
    this.marking = new Marking($("response-text"), { mark: (span) => this.mark(span), say: announce, ended: () => $("marking-help").toggleAttribute("hidden", true) });
    this.last = { span: null, at: 0 };
    document.addEventListener("selectionchange", () => this.#selecting());
    for (const id of ["mark", "mark-here"]) $(id).addEventListener("pointerdown", (event) => event.preventDefault()); // the selection stays
  }

  show(characters) {
    this.marking.stop();
    this.last = { span: null, at: 0 };
    $("mark-here").hidden = true;
    this.evidence.show(this.reading.node, characters);
  }

  characters() {
    return this.reading.node ? this.evidence.characters() : [];
  }

  #selecting() {
    const span = this.reading.node && !this.reading.formatted ? selected(this.reading.node) : null;
    if (span) this.last = { span, at: Infinity };
    else if (this.last.at === Infinity) this.last.at = performance.now();
    $("mark-here").hidden = !span;
  }

  mark(span) {
    if (!this.evidence.add(span)) return announce("This passage is marked already.");
    getSelection().removeAllRanges();
    this.last = { span: null, at: 0 };
    this.evidence.list.children[this.evidence.spans.indexOf(span)]?.scrollIntoView({ block: "nearest" });
    announce(`Marked: ${this.evidence.quote(span)}`);
  }

  // What is selected, or else by keyboard.
  begin(byButton = false) {
    if (this.reading.formatted) {
      this.reading.plain();
      announce("Passages are marked in the plain text.");
    }
    const { node } = this.reading;
    if (!node) return announce("The response is empty.");
    const just = byButton && performance.now() - this.last.at < LATELY ? this.last.span : null;
    const span = selected(node) ?? just;
    if (span) return this.mark(span);
    $("marking-help").hidden = false;
    this.marking.start(node, this.current().language, this.evidence.spans.at(-1)?.end ?? 0);
  }

  reveal(span) {
    this.reading.plain();
    intoView(this.reading.node, span.start, span.end);
    paint("shown", this.reading.node, [span]);
    setTimeout(() => this.reading.node && paint("shown", this.reading.node, []), 1600);
  }

  async toggleFormatted() {
    const item = this.current();
    if (!item?.response) return;
    if (this.reading.formatted) return this.reading.plain();
    if (item.formatted === undefined) {
      const { kind, data } = await this.server.get("formatted", item.key);
      if (kind !== "ok") return announce("The formatted text can't be had right now; the plain text is complete.");
      item.formatted = data.html;
    }
    if (this.current() !== item) return;
    this.marking.stop();
    this.reading.format(item.formatted);
  }
}

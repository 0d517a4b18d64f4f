// Passages of the response marked as evidence. The page counts UTF-16 units, as its texts do; the server counts characters.

const known = (name) => {
  if (!globalThis.Highlight || !CSS.highlights) return null;
  if (!CSS.highlights.has(name)) CSS.highlights.set(name, new Highlight());
  return CSS.highlights.get(name);
};

export function paint(name, node, spans) {
  const highlight = known(name);
  highlight?.clear();
  for (const { start, end } of spans) highlight?.add(rangeOf(node, start, end));
}

export function rangeOf(node, start, end) {
  const range = document.createRange();
  range.setStart(node, Math.min(start, node.length));
  range.setEnd(node, Math.min(end, node.length));
  return range;
}

const isHigh = (unit) => unit >= 0xd800 && unit < 0xdc00;
const isLow = (unit) => unit >= 0xdc00 && unit < 0xe000;
const insidePair = (text, at) => at > 0 && isLow(text.charCodeAt(at)) && isHigh(text.charCodeAt(at - 1));

export function toCharacters(text, units) {
  let count = 0;
  for (let at = 0; at < units; at++) if (!insidePair(text, at)) count++;
  return count;
}

export function toUnits(text, characters) {
  let at = 0;
  for (let count = 0; count < characters && at < text.length; count++) at += text.codePointAt(at) > 0xffff ? 2 : 1;
  return at;
}

// Whole characters, without whitespace at the ends; null where nothing is left.
export function tidied(text, start, end) {
  if (insidePair(text, start)) start--;
  if (insidePair(text, end)) end++;
  while (start < end && /\s/.test(text[start])) start++;
  while (end > start && /\s/.test(text[end - 1])) end--;
  return start < end ? { start, end } : null;
}

// The part of the page's selection that lies in the response.
export function selected(node) {
  const selection = getSelection();
  if (!node || !selection.rangeCount || selection.isCollapsed) return null;
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
  constructor(list, changed, reveal) {
    this.list = list;
    this.changed = changed;
    this.reveal = reveal;
    this.node = null; // the response's one text node
    this.spans = [];
  }

  show(node, characters) {
    this.node = node;
    this.spans = node ? characters.map(({ start, end }) => ({ start: toUnits(node.data, start), end: toUnits(node.data, end) })) : [];
    this.draw();
  }

  // As the server counts.
  characters() {
    return this.spans.map(({ start, end }) => ({ start: toCharacters(this.node.data, start), end: toCharacters(this.node.data, end) }));
  }

  add(span) {
    if (this.spans.some(({ start, end }) => start === span.start && end === span.end)) return false;
    this.spans.push(span);
    this.spans.sort((a, b) => a.start - b.start || a.end - b.end);
    this.draw();
    this.changed();
    return true;
  }

  remove(span) {
    this.spans = this.spans.filter((other) => other !== span);
    this.draw();
    this.changed();
  }

  quote({ start, end }) {
    const text = this.node.data.slice(start, end).replace(/\s+/g, " ");
    return text.length > 140 ? `${text.slice(0, 90)} … ${text.slice(-40)}` : text;
  }

  draw() {
    if (this.node) paint("evidence", this.node, this.spans);
    this.list.replaceChildren(...this.spans.map((span) => this.#row(span)));
    this.list.hidden = !this.spans.length;
  }

  #row(span) {
    const row = document.createElement("li");
    const go = Object.assign(document.createElement("button"), { type: "button", className: "plain quote", textContent: this.quote(span) });
    go.title = "Show in the response";
    go.addEventListener("click", () => this.reveal(span));
    const remove = Object.assign(document.createElement("button"), { type: "button", className: "plain remove", textContent: "Remove" });
    remove.setAttribute("aria-label", `Remove the passage “${this.quote(span)}”`);
    remove.addEventListener("click", () => {
      const next = row.nextElementSibling ?? row.previousElementSibling;
      const at = [...this.list.children].indexOf(next ?? row);
      this.remove(span);
      (this.list.children[Math.min(at, this.list.children.length - 1)]?.querySelector(".remove") ?? document.getElementById("mark")).focus();
    });
    row.append(go, remove);
    return row;
  }
}

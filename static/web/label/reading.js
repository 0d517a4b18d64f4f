/** Shows what is read: the task, the response, and what the study shows beside it. */

import { $, make } from "./dom.js";

/** @import { Condition, Desk, Item } from "./desk.js" */

export class Reading {
  /** @param {Desk} desk */
  constructor(desk) {
    this.desk = desk;
    /** @type {Text | null} */
    this.node = null; // the response's one text node; null where it is empty
    this.formatted = false;
  }

  /**
   * Shows an item.
   * @param {Item} item
   */
  show(item) {
    $("category").textContent = item.category;
    $("task-question").textContent = item.question;
    $("task-question").hidden = item.question === this.desk.scheme.question;
    $("task-text").textContent = item.task;
    for (const id of ["task-text", "response-text"]) $(id).lang = item.language || "";
    this.#response(item.response);
    // In the study's own order, which is stored with the label.
    const beside = this.desk.show.flatMap((name) => BESIDE[name](item));
    $("beside").replaceChildren(...beside);
    this.plain();
    $("reading").scrollTo(0, 0);
    if (scrollY > 0) scrollTo(0, 0);
  }

  /** @param {string} response */
  #response(response) {
    const place = $("response-text");
    place.className = response ? "text response" : "empty";
    this.node = response ? new Text(response) : null;
    place.replaceChildren(this.node ?? "The response is empty.");
    $("toggle-formatted").hidden = !response;
  }

  /** Shows the response as plain text. */
  plain() {
    this.formatted = false;
    this.#showOne();
  }

  /**
   * Shows the response as the server's sanitised HTML, the only HTML there is here.
   * @param {string} html
   */
  format(html) {
    $("response-formatted").innerHTML = html;
    this.formatted = true;
    this.#showOne();
  }

  #showOne() {
    $("response-text").hidden = this.formatted;
    $("response-formatted").hidden = !this.formatted;
    $("toggle-formatted").setAttribute("aria-pressed", String(this.formatted));
    if (!this.formatted) $("response-formatted").replaceChildren();
  }
}

/** @param {string} content */
const text = (content) => make("div", { className: "text", textContent: content });

/** @type {(title: string, ...children: HTMLElement[]) => HTMLElement} */
const folded = (title, ...children) =>
  make("details", {}, make("summary", { textContent: title }), ...children);

/** @type {(title: string, ...children: HTMLElement[]) => HTMLElement} */
const section = (title, ...children) => make("section", { className: "beside" }, folded(title, ...children));

/** @type {Record<Desk["show"][number], (item: Item) => HTMLElement[]>} */
const BESIDE = {
  reasoning: ({ reasoning }) => (reasoning ? [section("Reasoning", text(reasoning))] : []),
  condition: ({ condition }) => (condition ? [sectionOf(condition)] : []),
  transcript: ({ transcript }) => (transcript ? [section("Transcript", ...turns(transcript))] : []),
};

/** @param {Condition} condition */
function sectionOf({ name, system_prompt: system, prompt_suffix: suffix }) {
  const parts = [
    ...(system ? [make("h3", { textContent: "System prompt" }), text(system)] : []),
    ...(suffix ? [make("h3", { textContent: "Added to the prompt" }), text(suffix)] : []),
  ];
  const nothing = make("p", { className: "quiet", textContent: "Nothing was added to the task." });
  return section(`Condition: ${name}`, ...(parts.length ? parts : [nothing]));
}

/**
 * Shows the turns of a transcript, which may be of any shape.
 * @param {unknown} transcript
 */
function turns(transcript) {
  return Array.isArray(transcript) ? transcript.flatMap(turn) : [text(readable(transcript))];
}

/** @param {unknown} value */
function readable(value) {
  return typeof value === "string" ? value : JSON.stringify(value, null, 2);
}

/**
 * Reads a field of a value that may be anything.
 * @param {unknown} value
 * @param {string} name
 * @returns {unknown}
 */
function field(value, name) {
  return value !== null && typeof value === "object" ? Reflect.get(value, name) : undefined;
}

/**
 * Returns a message's content, which is a text or a list of parts, as text.
 * @param {unknown} content
 */
function words(content) {
  if (!Array.isArray(content)) return content === null || content === undefined ? "" : readable(content);
  return content.map(wordsOfPart).join("\n");
}

/** @param {unknown} part */
function wordsOfPart(part) {
  const said = field(part, "text");
  return typeof said === "string" ? said : readable(part);
}

/** @param {unknown} message */
function turn(message) {
  if (!message || typeof message !== "object") return [text(readable(message))];
  const role = String(field(message, "role") || "message");
  const said = words(field(message, "content"));
  const name = field(message, "name");
  if (role === "tool" || role === "function") {
    return [folded(`Tool result${name ? `: ${name}` : ""}`, text(said))];
  }
  const made = field(message, "tool_calls");
  const calls = Array.isArray(made) ? made.map(call) : [];
  const heading = make("h3", { textContent: role.charAt(0).toUpperCase() + role.slice(1) });
  return [heading, ...(said ? [text(said)] : []), ...calls];
}

/** @param {unknown} made */
function call(made) {
  const inner = field(made, "function");
  const called = inner && typeof inner === "object" ? inner : made;
  const name = field(called, "name") ?? (typeof inner === "string" ? inner : "");
  return folded(`Tool call${name ? `: ${name}` : ""}`, text(readable(field(called, "arguments") ?? called)));
}

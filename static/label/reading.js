// What is read: the task, the response, and what the study shows beside it.

import { $, make } from "./dom.js";

export class Reading {
  constructor(desk) {
    this.desk = desk;
    this.node = null; // the response's one text node; null where it is empty
    this.formatted = false;
  }

  show(item) {
    this.item = item;
    $("category").textContent = item.category;
    $("task-question").textContent = item.question;
    $("task-question").hidden = item.question === this.desk.scheme.question;
    $("task-text").textContent = item.task;
    for (const id of ["task-text", "response-text"]) $(id).lang = item.language || "";
    this.#response(item.response);
    const beside = this.desk.show.filter((name) => item[name]); // in the study's own order, which is stored with the label
    $("beside").replaceChildren(...beside.map((name) => BESIDE[name](item[name])));
    this.plain();
    $("reading").scrollTo(0, 0);
    if (scrollY > 0) scrollTo(0, 0);
  }

  #response(text) {
    const element = $("response-text");
    element.textContent = text || "The response is empty.";
    element.className = text ? "text response" : "empty";
    this.node = text ? element.firstChild : null;
    $("toggle-formatted").hidden = !text;
  }

  plain() {
    this.formatted = false;
    this.#which();
  }

  // The server's sanitised HTML, the only HTML there is here.
  format(html) {
    $("response-formatted").innerHTML = html;
    this.formatted = true;
    this.#which();
  }

  #which() {
    $("response-text").hidden = this.formatted;
    $("response-formatted").hidden = !this.formatted;
    $("toggle-formatted").setAttribute("aria-pressed", String(this.formatted));
    if (!this.formatted) $("response-formatted").replaceChildren();
  }
}

const text = (content) => make("div", { className: "text", textContent: content });
const folded = (title, ...children) => make("details", {}, make("summary", { textContent: title }), ...children);
const section = (...children) => make("section", { className: "beside" }, ...children);

const BESIDE = {
  reasoning: (content) => section(folded("Reasoning", text(content))),
  condition: ({ name, system_prompt: system, prompt_suffix: suffix }) =>
    section(
      folded(
        `Condition: ${name}`,
        ...(system ? [make("h3", { textContent: "System prompt" }), text(system)] : []),
        ...(suffix ? [make("h3", { textContent: "Added to the prompt" }), text(suffix)] : []),
        ...(system || suffix ? [] : [make("p", { className: "quiet", textContent: "Nothing was added to the task." })]),
      ),
    ),
  transcript: (messages) => section(folded("Transcript", ...(Array.isArray(messages) ? messages.flatMap(turn) : [text(readable(messages))]))),
};

function readable(value) {
  return typeof value === "string" ? value : JSON.stringify(value, null, 2);
}

// A message's content is a text, or a list of parts.
function words(content) {
  if (!Array.isArray(content)) return content === null || content === undefined ? "" : readable(content);
  return content.map((part) => (typeof part?.text === "string" ? part.text : readable(part))).join("\n");
}

function turn(message) {
  if (!message || typeof message !== "object") return [text(readable(message))];
  const role = String(message.role || "message");
  const said = words(message.content);
  const calls = (message.tool_calls ?? []).map?.(call) ?? [];
  if (role === "tool" || role === "function") return [folded(`Tool result${message.name ? `: ${message.name}` : ""}`, text(said))];
  return [make("h3", { textContent: role[0].toUpperCase() + role.slice(1) }), ...(said ? [text(said)] : []), ...calls];
}

function call(made) {
  const called = made?.function && typeof made.function === "object" ? made.function : made;
  const name = called?.name ?? (typeof made?.function === "string" ? made.function : "");
  return folded(`Tool call${name ? `: ${name}` : ""}`, text(readable(called?.arguments ?? called)));
}

// The label and what goes with it: its parts are made once, from the scheme, and filled for every item.

import { $, make } from "./dom.js";

const CONFIDENCE = [[1, "Guessing", "guessing"], [2, "Fairly sure", "fairly"], [3, "Certain", "certain"]];

export class Form {
  constructor(desk, changed) {
    this.desk = desk;
    this.element = $("rating-form");
    this.flagged = false;
    $("labels").replaceChildren(labelsOf(desk.scheme, "label", ""));
    $("questions").replaceChildren(...desk.questions.map((one, n) => labelsOf(one, `answer-${n}`, one.name)));
    $("questions").hidden = !desk.questions.length;
    $("confidence-steps").replaceChildren(...CONFIDENCE.map(([value, title, action]) => stepOf(value, title, action)));
    examplesOf(desk.scheme);
    // Going through the options with the arrow keys is no decision yet.
    let going = false;
    for (const kind of ["keydown", "keyup"]) this.element.addEventListener(kind, ({ key }) => (going = kind === "keydown" && key.startsWith("Arrow")));
    this.element.addEventListener("change", ({ target }) => target.type === "radio" && changed(going ? "" : target.name));
    $("note").addEventListener("input", () => changed(""));
    this.changed = changed;
  }

  #chosen(name) {
    return this.element.querySelector(`[name="${name}"]:checked`);
  }

  #set(name, value) {
    for (const radio of this.element.querySelectorAll(`[name="${name}"]`)) radio.checked = radio.value === String(value);
  }

  read() {
    const answers = {};
    this.desk.questions.forEach((one, n) => {
      const chosen = this.#chosen(`answer-${n}`);
      if (chosen) answers[one.name] = chosen.value;
    });
    return {
      label: this.#chosen("label")?.value ?? "",
      confidence: Number(this.#chosen("confidence")?.value) || null,
      note: $("note").value,
      answers,
      flagged: this.flagged,
    };
  }

  fill(fields) {
    this.#set("label", fields.label ?? "");
    this.#set("confidence", fields.confidence ?? "");
    $("note").value = fields.note ?? "";
    this.desk.questions.forEach((one, n) => this.#set(`answer-${n}`, fields.answers?.[one.name] ?? ""));
    this.flag(Boolean(fields.flagged));
    this.complain("");
  }

  flag(on) {
    this.flagged = on;
    $("flag").setAttribute("aria-pressed", String(on));
    $("flag").querySelector(".words").textContent = on ? "Flagged" : "Flag";
  }

  // By number, in the question that has the focus, else in the first.
  choose(number) {
    const within = document.activeElement?.closest?.("#questions fieldset") ?? $("labels");
    const radio = within.querySelectorAll("input[type=radio]")[number - 1];
    if (radio) this.#pick(radio);
  }

  confidence(value) {
    const radio = this.element.querySelector(`[name="confidence"][value="${value}"]`);
    if (!radio.checked) return this.#pick(radio);
    radio.checked = false; // pressed again: it is optional
    this.changed("confidence");
  }

  #pick(radio) {
    radio.checked = true;
    radio.focus({ preventScroll: true });
    this.changed(radio.name);
  }

  // What is missing before it can be sent, as a sentence.
  missing(fields) {
    const label = this.desk.scheme.labels.find(({ key }) => key === fields.label);
    if (!label) return "Choose a label first.";
    if (this.desk.scheme.evidence_for_target && label.role === "target" && !fields.evidence.length) return `“${label.title}” needs evidence: select the passage that shows it and mark it.`;
    return "";
  }

  complete(fields) {
    return !this.missing(fields) && Object.keys(fields.answers).length === this.desk.questions.length;
  }

  complain(text) {
    $("form-error").textContent = text;
    $("form-error").hidden = !text;
  }

  need(fields) {
    const label = this.desk.scheme.labels.find(({ key }) => key === fields.label);
    const needed = this.desk.scheme.evidence_for_target && label?.role === "target";
    $("evidence-need").textContent = needed ? "required" : "optional";
    $("evidence-need").classList.toggle("strong", needed);
  }
}

function labelsOf(scheme, name, question) {
  const words = question ? [scheme.question, make("span", { className: "quiet", textContent: " optional" })] : [scheme.question];
  const options = scheme.labels.map((label, n) => optionOf(label, n + 1, name));
  return make("fieldset", { className: "labels", data: { question } }, make("legend", {}, ...words), ...options);
}

function optionOf(label, number, name) {
  const [title, definition] = [`${name}-${number}-title`, `${name}-${number}-definition`];
  const badge = make("span", { className: "badge", aria: { "aria-hidden": "true" }, textContent: String(number) });
  if (name === "label") badge.dataset.badgeOf = `label-${number}`;
  const radio = make("input", { type: "radio", name, value: label.key, aria: { "aria-labelledby": title, "aria-describedby": definition } });
  const words = make("span", { className: "words" }, make("strong", { id: title, textContent: label.title }), make("span", { className: "definition", id: definition, textContent: label.definition }));
  return make("label", { className: `option role-${label.role}` }, radio, badge, words);
}

function stepOf(value, title, action) {
  const key = make("kbd", { data: { keyOf: action }, aria: { "aria-hidden": "true" } });
  return make("label", {}, make("input", { type: "radio", name: "confidence", value: String(value) }), make("span", { textContent: title }), key);
}

function examplesOf(scheme) {
  const having = scheme.labels.filter(({ example }) => example);
  $("examples").hidden = !having.length;
  $("examples").querySelector("dl").replaceChildren(...having.flatMap(({ title, example }) => [make("dt", { textContent: title }), make("dd", { textContent: example })]));
}

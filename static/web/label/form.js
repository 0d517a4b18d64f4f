/**
 * Holds the label and what goes with it: its parts are made once, from the scheme, and filled for every
 * item.
 */

import { $, element, make, part } from "./dom.js";
import { choose, chooseNumber, chosenIn, groupOf, optionsOf, setChosen } from "./options.js";

/** @import { Desk, Draft, Fields, Label, Scheme } from "./desk.js" */

/** @type {[value: number, title: string, action: string][]} */
const CONFIDENCE = [
  [1, "Guessing", "guessing"],
  [2, "Fairly sure", "fairly"],
  [3, "Certain", "certain"],
];

export class Form {
  /**
   * @param {Desk} desk
   * @param {(name: string) => void} changed told which choice changed, or "" for anything else
   */
  constructor(desk, changed) {
    this.desk = desk;
    this.element = element("rating-form", HTMLFormElement);
    this.note = element("note", HTMLTextAreaElement);
    this.flagged = false;
    $("labels").replaceChildren(labelsOf(desk.scheme, "label", ""));
    $("questions").replaceChildren(...desk.questions.map((one, n) => labelsOf(one, `answer-${n}`, one.name)));
    $("questions").hidden = !desk.questions.length;
    $("confidence-steps").replaceChildren(...CONFIDENCE.map(stepOf));
    showExamples(desk.scheme);
    this.element.addEventListener("chosen", (event) => {
      if (event instanceof CustomEvent) changed(event.detail);
    });
    this.note.addEventListener("input", () => changed(""));
  }

  /**
   * Reads what is filled in, all but the evidence.
   * @returns {Omit<Fields, "evidence">}
   */
  read() {
    /** @type {Record<string, string>} */
    const answers = {};
    for (const [n, { name }] of this.desk.questions.entries()) {
      const chosen = chosenIn(groupOf(`answer-${n}`));
      if (chosen) answers[name] = chosen;
    }
    return {
      label: chosenIn(groupOf("label")),
      confidence: Number(chosenIn(groupOf("confidence"))) || null,
      note: this.note.value,
      answers,
      flagged: this.flagged,
    };
  }

  /**
   * Fills the form.
   * @param {Draft} fields
   */
  fill(fields) {
    setChosen(groupOf("label"), fields.label ?? "");
    setChosen(groupOf("confidence"), String(fields.confidence ?? ""));
    this.note.value = fields.note ?? "";
    for (const [n, { name }] of this.desk.questions.entries()) {
      setChosen(groupOf(`answer-${n}`), fields.answers?.[name] ?? "");
    }
    this.flag(Boolean(fields.flagged));
    this.complain("");
  }

  /**
   * Sets or takes back the flag.
   * @param {boolean} on
   */
  flag(on) {
    this.flagged = on;
    $("flag").setAttribute("aria-pressed", String(on));
    part($("flag"), ".words", HTMLElement).textContent = on ? "Flagged" : "Flag";
  }

  /**
   * Chooses by number, in the question that has the focus, else in the first.
   * @param {number} number
   */
  choose(number) {
    const beside = document.activeElement?.closest("#questions [role=radiogroup]");
    chooseNumber(beside ?? groupOf("label"), number, Boolean(beside));
  }

  /**
   * Chooses how sure one is, from 1 to 3.
   * @param {number} value
   */
  confidence(value) {
    const option = optionsOf(groupOf("confidence"))[value - 1];
    if (option) choose(option);
  }

  /** @param {Fields} fields */
  #label(fields) {
    return this.desk.scheme.labels.find(({ key }) => key === fields.label);
  }

  /** @param {Label | undefined} label */
  #needsEvidence(label) {
    return this.desk.scheme.evidence_for_target && label?.role === "target";
  }

  /**
   * Says, as a sentence, what is missing before it can be sent.
   * @param {Fields} fields
   */
  missing(fields) {
    const label = this.#label(fields);
    if (!label) return "Choose a label first.";
    if (!this.#needsEvidence(label) || fields.evidence.length) return "";
    return `“${label.title}” needs evidence: select the passage that shows it and mark it.`;
  }

  /**
   * Tells whether everything is answered, the questions beside it too.
   * @param {Fields} fields
   */
  complete(fields) {
    return !this.missing(fields) && Object.keys(fields.answers).length === this.desk.questions.length;
  }

  /**
   * Shows why it was not sent; takes it away with an empty text.
   * @param {string} text
   */
  complain(text) {
    $("form-error").textContent = text;
    $("form-error").hidden = !text;
  }

  /**
   * Shows whether evidence is required.
   * @param {Fields} fields
   */
  need(fields) {
    const needed = this.#needsEvidence(this.#label(fields));
    $("evidence-need").textContent = needed ? "required" : "optional";
    $("evidence-need").classList.toggle("strong", needed);
  }
}

/**
 * Makes the labels of a scheme as options.
 * @param {Scheme} scheme
 * @param {string} name
 * @param {string} question its name where it is one beside the study's own
 */
function labelsOf(scheme, name, question) {
  const optional = question ? [make("span", { className: "quiet", textContent: " optional" })] : [];
  const legend = make("legend", { id: `${name}-asked` }, scheme.question, ...optional);
  const aria = { role: "radiogroup", "aria-labelledby": legend.id };
  const options = scheme.labels.map((label, n) => optionOf(label, n + 1, name));
  return make("fieldset", { className: "labels", data: { question, name }, aria }, legend, ...options);
}

/**
 * @param {Label} label
 * @param {number} number
 * @param {string} name
 */
function optionOf(label, number, name) {
  const [title, definition] = [`${name}-${number}-title`, `${name}-${number}-definition`];
  const badge = make("span", {
    className: "badge",
    aria: { "aria-hidden": "true" },
    textContent: String(number),
  });
  if (name === "label") badge.dataset.badgeOf = `label-${number}`;
  const words = make(
    "span",
    { className: "words" },
    make("strong", { id: title, textContent: label.title }),
    make("span", { className: "definition", id: definition, textContent: label.definition }),
  );
  const aria = {
    role: "radio",
    "aria-checked": "false",
    "aria-labelledby": title,
    "aria-describedby": definition,
  };
  const className = `option role-${label.role}`;
  return make("button", { type: "button", className, value: label.key, aria }, badge, words);
}

/** @param {typeof CONFIDENCE[number]} step */
function stepOf([value, title, action]) {
  const key = make("kbd", { data: { keyOf: action }, aria: { "aria-hidden": "true" } });
  const aria = { role: "radio", "aria-checked": "false" };
  const words = make("span", { textContent: title });
  return make("button", { type: "button", value: String(value), aria }, words, key);
}

/** @param {Scheme} scheme */
function showExamples(scheme) {
  const having = scheme.labels.filter(({ example }) => example);
  $("examples").hidden = !having.length;
  const rows = having.flatMap(({ title, example }) => [
    make("dt", { textContent: title }),
    make("dd", { textContent: example }),
  ]);
  part($("examples"), "dl", HTMLElement).replaceChildren(...rows);
}

/** Finds and makes the page's elements. Texts only ever go in as text. */

/**
 * Finds the element with this id, which must be there.
 * @template {Element} T
 * @param {string} id
 * @param {new () => T} kind
 * @returns {T}
 */
export function element(id, kind) {
  const found = document.getElementById(id);
  if (!(found instanceof kind)) throw new Error(`The page has no ${kind.name} called ${id}.`);
  return found;
}

/**
 * Finds the element with this id where its kind is of no account.
 * @param {string} id
 */
export const $ = (id) => element(id, HTMLElement);

/**
 * Finds the first element below `parent` that fits, which must be there.
 * @template {Element} T
 * @param {ParentNode} parent
 * @param {string} selector
 * @param {new () => T} kind
 * @returns {T}
 */
export function part(parent, selector, kind) {
  const found = parent.querySelector(selector);
  if (!(found instanceof kind)) throw new Error(`The page has no ${kind.name} at ${selector}.`);
  return found;
}

/**
 * Finds every element below `parent` that fits.
 * @param {ParentNode} parent
 * @param {string} selector
 * @returns {HTMLElement[]}
 */
export function parts(parent, selector) {
  return [...parent.querySelectorAll(selector)].filter((found) => found instanceof HTMLElement);
}

/** @typedef {{ data?: Record<string, string>, aria?: Record<string, string> }} Attributes */

/**
 * Makes an element.
 * @template {keyof HTMLElementTagNameMap} Tag
 * @param {Tag} tag
 * @param {Partial<HTMLElementTagNameMap[Tag]> & Attributes} properties
 * @param {(Node | string)[]} children
 */
export function make(tag, properties = {}, ...children) {
  const { data = {}, aria = {}, ...rest } = properties;
  const made = document.createElement(tag);
  Object.assign(made, rest);
  Object.assign(made.dataset, data);
  for (const [name, value] of Object.entries(aria)) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

let later = 0;

/**
 * Tells whoever listens instead of looking. Said again, it is said again.
 * @param {string} text
 */
export function announce(text) {
  clearTimeout(later);
  $("announce").textContent = "";
  later = setTimeout(() => {
    $("announce").textContent = text;
  }, 60);
}

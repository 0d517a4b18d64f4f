// Making elements. Texts only ever go in as text.

export const $ = (id) => document.getElementById(id);

export function make(tag, properties = {}, ...children) {
  const { data = {}, aria = {}, ...rest } = properties;
  const element = Object.assign(document.createElement(tag), rest);
  Object.assign(element.dataset, data);
  for (const [name, value] of Object.entries(aria)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

let later = 0;

// To whoever listens instead of looking. Said again, it is said again.
export function announce(text) {
  clearTimeout(later);
  $("announce").textContent = "";
  later = setTimeout(() => ($("announce").textContent = text), 60);
}

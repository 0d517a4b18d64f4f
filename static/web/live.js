/**
 * Keeps parts of a page up to date. What came anew is written into what is there, and only where it differs:
 * so focus, a selection, an open dialog and a button that is being pressed stay as they are.
 */

/**
 * @typedef {object} Extension
 * @property {(style: string, target: Element, fragment: DocumentFragment) => boolean | Element[]} handleSwap
 */
/** @typedef {{ htmx: { defineExtension: (name: string, extension: Extension) => void } }} WithHtmx */
/** @typedef {{ verb: string, path: string }} RequestConfig */
/** @typedef {{ xhr: XMLHttpRequest, requestConfig: RequestConfig, shouldSwap: boolean }} Swap */
/** @typedef {CustomEvent<Swap>} HtmxEvent */

/**
 * Writes into a node what differs in another one.
 * @param {Node} now
 * @param {Node} next
 */
function morph(now, next) {
  if (now.isEqualNode(next)) return;
  if (!(now instanceof Element && next instanceof Element)) {
    now.nodeValue = next.nodeValue;
    return;
  }
  if (now.hasAttribute("data-sticky") && !next.hasChildNodes()) return; // what was said last stays
  morphAttributes(now, next);
  morphChildren(now, next);
}

/** @type {(now: Element, next: Element) => void} */
function morphAttributes(now, next) {
  for (const { name } of [...now.attributes]) {
    if (!next.hasAttribute(name) && name !== "open") now.removeAttribute(name);
  }
  for (const { name, value } of next.attributes) {
    if (now.getAttribute(name) !== value) now.setAttribute(name, value);
  }
}

/**
 * Writes children. An element with an id is the same wherever it stands now; others are by their place.
 * @type {(now: Element, next: Element) => void}
 */
function morphChildren(now, next) {
  const known = new Map([...now.children].filter(({ id }) => id).map((child) => [child.id, child]));
  let at = now.firstChild;
  for (const wanted of [...next.childNodes]) {
    while (at && idOf(at) && !next.querySelector(`:scope > #${CSS.escape(idOf(at))}`)) at = drop(at);
    const same = idOf(wanted) ? known.get(idOf(wanted)) : at;
    if (!same || same.nodeName !== wanted.nodeName || idOf(same) !== idOf(wanted)) {
      now.insertBefore(wanted, at);
      continue;
    }
    if (same === at) at = at.nextSibling;
    else now.insertBefore(same, at);
    morph(same, wanted);
  }
  while (at) at = drop(at);
}

/** @param {Node} node */
const idOf = (node) => (node instanceof Element ? node.id : "");

/**
 * Removes a node; returns the one after it.
 * @param {ChildNode} node
 */
function drop(node) {
  const following = node.nextSibling;
  node.remove();
  return following;
}

const { htmx } = /** @type {typeof globalThis & WithHtmx} */ (globalThis);
htmx.defineExtension("morph", {
  handleSwap(style, target, fragment) {
    if (style !== "morph") return false;
    if (fragment.firstElementChild) morph(target, fragment.firstElementChild);
    return [target];
  },
});

/**
 * Says why the page is not up to date; takes it away with an empty text.
 * @param {string} text
 */
const stale = (text) => {
  const said = document.getElementById("stale");
  if (!said || said.textContent === text) return;
  said.textContent = text;
  said.hidden = !text;
};

// Nobody looks: the next look after that brings everything up to date.
document.addEventListener("htmx:beforeRequest", (event) => {
  const { detail } = /** @type {HtmxEvent} */ (event);
  if (document.hidden && detail.requestConfig.verb === "get") event.preventDefault();
});

// A sign-in page in place of the answer would end up inside this one.
document.addEventListener("htmx:beforeSwap", (event) => {
  const { detail } = /** @type {HtmxEvent} */ (event);
  const { xhr, requestConfig } = detail;
  const signedOut = new URL(xhr.responseURL).pathname !== new URL(requestConfig.path, location.href).pathname;
  if (signedOut) detail.shouldSwap = false;
  stale(signedOut ? "You have been signed out, so this page stands still. Reload it to sign in." : "");
});
document.addEventListener("htmx:responseError", () =>
  stale("The server met an error, so these figures are not up to date. Trying again."),
);
document.addEventListener("htmx:sendError", () =>
  stale("The server can't be reached, so these figures are not up to date. Trying again."),
);

// Dialogs are opened and closed by buttons that name them. Without this module such a button does what it
// would after.
document.addEventListener("click", (event) => {
  const button = event.target instanceof Element ? event.target.closest("button") : null;
  if (!button) return;
  const dialog = document.getElementById(button.dataset.opens ?? "");
  if (dialog instanceof HTMLDialogElement) {
    event.preventDefault();
    dialog.showModal();
    const closes = dialog.querySelector("[data-closes]");
    if (closes instanceof HTMLElement) closes.focus();
  } else if ("closes" in button.dataset || button.type === "submit") button.closest("dialog")?.close();
});
document.documentElement.dataset.running = ""; // else the page says that it could not load

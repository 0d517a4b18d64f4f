// Parts of a page that keep up by themselves. What came anew is written into what is there, and only where it differs: so
// focus, a selection, an open dialog and a button that is being pressed stay as they are.

function morph(now, next) {
  if (now.isEqualNode(next)) return;
  if (now.nodeType !== Node.ELEMENT_NODE) {
    now.nodeValue = next.nodeValue;
    return;
  }
  if ("sticky" in now.dataset && !next.hasChildNodes()) return; // what was said last stays until something else is said
  attributes(now, next);
  children(now, next);
}

function attributes(now, next) {
  for (const { name } of [...now.attributes]) if (!next.hasAttribute(name) && name !== "open") now.removeAttribute(name);
  for (const { name, value } of next.attributes) if (now.getAttribute(name) !== value) now.setAttribute(name, value);
}

// An element with an id is the same wherever it stands now; others are by their place.
function children(now, next) {
  const known = new Map([...now.children].filter(({ id }) => id).map((child) => [child.id, child]));
  let at = now.firstChild;
  for (const wanted of [...next.childNodes]) {
    while (at?.id && !next.querySelector(`:scope > #${CSS.escape(at.id)}`)) at = drop(at);
    const same = wanted.id ? known.get(wanted.id) : at;
    if (!same || same.nodeName !== wanted.nodeName || (same.id ?? "") !== (wanted.id ?? "")) {
      now.insertBefore(wanted, at);
      continue;
    }
    if (same === at) at = at.nextSibling;
    else now.insertBefore(same, at);
    morph(same, wanted);
  }
  while (at) at = drop(at);
}

function drop(node) {
  const following = node.nextSibling;
  node.remove();
  return following;
}

htmx.defineExtension("morph", {
  handleSwap(style, target, fragment) {
    if (style !== "morph") return false;
    morph(target, fragment.firstElementChild);
    return [target];
  },
});

const stale = (text) => {
  const said = document.getElementById("stale");
  if (!said || said.textContent === text) return;
  said.textContent = text;
  said.hidden = !text;
};

// Nobody looks: the next look after that brings everything up to date.
document.addEventListener("htmx:beforeRequest", (event) => {
  if (document.hidden && event.detail.requestConfig.verb === "get") event.preventDefault();
});

// A sign-in page in place of the answer would end up inside this one.
document.addEventListener("htmx:beforeSwap", (event) => {
  const { xhr, requestConfig } = event.detail;
  const signedOut = new URL(xhr.responseURL).pathname !== new URL(requestConfig.path, location.href).pathname;
  if (signedOut) event.detail.shouldSwap = false;
  stale(signedOut ? "You have been signed out, so this page stands still. Reload it to sign in." : "");
});
document.addEventListener("htmx:responseError", () => stale("The server met an error, so these figures are not up to date. Trying again."));
document.addEventListener("htmx:sendError", () => stale("The server can't be reached, so these figures are not up to date. Trying again."));

// Dialogs are opened and closed by buttons that name them. Without this module such a button does what it would after.
document.addEventListener("click", (event) => {
  const button = event.target.closest("button");
  const dialog = button && document.getElementById(button.dataset.opens);
  if (dialog) {
    event.preventDefault();
    dialog.showModal();
    dialog.querySelector("[data-closes]")?.focus();
  } else if (button && ("closes" in button.dataset || button.type === "submit")) button.closest("dialog")?.close();
});

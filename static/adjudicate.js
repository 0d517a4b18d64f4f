// The adjudication room: keys, dialogs, and whose passages stand out. The page works without any of it.

const typing = (element) => element.matches("textarea, select, input:not([type=radio], [type=checkbox])");
const opinions = [...document.querySelectorAll(".opinion")];
const dialogOpen = () => document.querySelector("dialog[open]");
const overlays = document.getElementById("overlays");

function show(id) {
  const dialog = document.getElementById(id);
  if (!dialog || dialogOpen()) return;
  dialog.showModal();
  dialog.querySelector("textarea")?.focus();
}

// Whose passages stand out: those of the card that has the pointer, else the focus.

function emphasise(card) {
  const text = document.getElementById("response-text");
  if (!text) return;
  text.classList.toggle("one-rater", Boolean(card));
  for (const piece of text.querySelectorAll("[data-by]")) {
    piece.classList.toggle("lit", piece.dataset.by === card?.dataset.by);
  }
  for (const one of opinions) one.classList.toggle("lit", one === card);
}

const focused = () => document.activeElement?.closest(".opinion");

for (const card of opinions) {
  card.addEventListener("pointerenter", () => emphasise(card));
  card.addEventListener("pointerleave", () => emphasise(focused()));
  card.addEventListener("focusin", () => emphasise(card));
  card.addEventListener("focusout", (event) => card.contains(event.relatedTarget) || emphasise(null));
}

function step(by) {
  const now = opinions.indexOf(focused());
  const next = opinions[now < 0 ? (by > 0 ? 0 : opinions.length - 1) : now + by];
  next?.focus();
  next && document.querySelector(`.begin[data-by="${CSS.escape(next.dataset.by)}"]`)?.scrollIntoView({ block: "nearest" });
}

// Dialogs

document.addEventListener("click", (event) => {
  const opener = event.target.closest("[data-dialog]");
  if (opener) {
    event.preventDefault();
    show(opener.dataset.dialog);
  }
  const closer = event.target.closest("[data-close]");
  if (closer?.closest("dialog[open]")) {
    event.preventDefault();
    closer.closest("dialog").close();
  }
});

for (const one of document.querySelectorAll("[data-dialog][hidden]")) one.hidden = false; // those that only a script can open

const refused = document.querySelector("dialog[data-open]");
if (refused) show(refused.id);

// A form that is on its way is not sent again: the second would be told that somebody has decided already.
let sent = false;
document.addEventListener("submit", (event) => {
  if (event.target.method === "dialog") return;
  if (sent) event.preventDefault();
  sent = true;
});
window.addEventListener("pageshow", () => (sent = false));

// Keys

const KEYS = {
  r: () => document.getElementById("reason")?.focus(),
  b: () => show("send-back"),
  n: () => document.querySelector("[data-next]")?.click(),
  j: () => step(1),
  k: () => step(-1),
  h: () => overlays?.click(),
  "?": () => show("keys"),
};

function act(event, action) {
  event.preventDefault();
  action();
}

document.addEventListener("keydown", (event) => {
  const { key, target } = event;
  if (key === "Enter" && (event.ctrlKey || event.metaKey)) {
    const form = dialogOpen()?.querySelector("form[method=post]") ?? (dialogOpen() ? null : document.getElementById("decision"));
    return act(event, () => (form ? form.requestSubmit() : dialogOpen() || KEYS.n()));
  }
  if (event.ctrlKey || event.metaKey || event.altKey || dialogOpen()) return;
  if (key === "Escape" && typing(target)) target.blur();
  if (typing(target)) return;
  const option = /^[1-9]$/.test(key) && document.querySelector(`#decision [data-position="${key}"]`);
  if (option) {
    return act(event, () => {
      option.checked = true;
      option.focus();
    });
  }
  if (focused() && (key === "ArrowDown" || key === "ArrowUp")) return act(event, () => step(key === "ArrowDown" ? 1 : -1));
  const action = KEYS[key.toLowerCase()];
  if (action) act(event, action);
});

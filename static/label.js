// The raters' page: keeps the place on an item alive, counts active seconds, and never says "saved" before the server did.

const IDLE_AFTER = 60_000; // a pause longer than this is not work
const KEEP_EVERY = 60_000;

let active = 0;
let seen = performance.now();

function touch() {
  const now = performance.now();
  if (now - seen < IDLE_AFTER) active += now - seen;
  seen = now;
}

for (const kind of ["keydown", "pointermove", "pointerdown", "wheel", "scroll", "touchmove"]) {
  document.addEventListener(kind, touch, { passive: true, capture: true });
}

function say(text, failed = false) {
  const state = document.getElementById("save-state");
  if (!state) return;
  state.textContent = text;
  state.classList.toggle("failed", failed);
}

// Signing in again, in another tab, changes the token; the page's own would be refused from then on.
const token = () => document.cookie.match(/(?:^|; )csrftoken=([^;]+)/)?.[1] ?? document.querySelector("[name=csrfmiddlewaretoken]").value;
const signedOut = "Not saved: you have been signed out. Sign in again in another tab, then submit again here.";

document.addEventListener("htmx:configRequest", (event) => {
  event.detail.formData.set("csrfmiddlewaretoken", token());
});

document.addEventListener("htmx:beforeRequest", () => say("Saving…"));

document.addEventListener("htmx:afterSwap", () => {
  active = 0;
  seen = performance.now();
  document.querySelectorAll(".reading").forEach((column) => column.scrollTo(0, 0));
});

// A sign-in page in place of the answer would wipe the form.
document.addEventListener("htmx:beforeSwap", (event) => {
  if (!new URL(event.detail.xhr.responseURL).pathname.startsWith("/sign-in")) return;
  event.detail.shouldSwap = false;
  say(signedOut, true);
});

// The form stays as it is, with its key: sending it again can't count twice.
document.addEventListener("htmx:sendError", () => say("Not saved: the server can't be reached. Your label is still here; submit again when you are back online.", true));
document.addEventListener("htmx:timeout", () => say("Not saved yet: no answer. Your label is still here; submit again.", true));
document.addEventListener("htmx:responseError", (event) => {
  const { status, responseText } = event.detail.xhr;
  if (status === 422) say(`Not saved: ${responseText}`, true);
  else if (status === 403) say(signedOut, true);
  else say("Not saved: the server met an error. Your label is still here; submit again.", true);
});

// Before htmx reads the form, and also where it is too early for htmx and the browser sends the form itself.
document.addEventListener(
  "submit",
  ({ target }) => {
    touch();
    if (target.id === "rating-form") target.elements.active_seconds.value = (active / 1000).toFixed(1);
  },
  { capture: true },
);

// The browser points at the missing label; this is for those who don't see it.
document.addEventListener("invalid", () => say("Choose a label first.", true), { capture: true });

setInterval(async () => {
  const workspace = document.querySelector("[data-keep]");
  if (!workspace || document.hidden) return;
  try {
    const answer = await fetch(workspace.dataset.keep, { method: "POST", headers: { "X-CSRFToken": token() } });
    if (answer.status === 409) say("Somebody else has taken this place meanwhile. You can still submit: your label is kept.", true);
  } catch {
    // Offline: the place is kept for its lease, and a label sent later is kept in any case.
  }
}, KEEP_EVERY);

/**
 * Runs the raters' page. What is chosen goes into a draft at once, what is submitted into the outbox, and the
 * next item is shown without waiting; the server's receipts come in behind.
 */

import { Clock } from "./clock.js";
import { askToSkip, showKeys, showSettings } from "./dialogs.js";
import { $, announce, parts } from "./dom.js";
import { Drafts } from "./drafts.js";
import { Elsewhere } from "./elsewhere.js";
import { Form } from "./form.js";
import { Guidelines } from "./guidelines.js";
import { Keys } from "./keys.js";
import { notice, unnotice } from "./notices.js";
import { Outbox } from "./outbox.js";
import { Passages } from "./passages.js";
import { focusReading } from "./pressing.js";
import { Queue } from "./queue.js";
import { Reading } from "./reading.js";
import { Server } from "./server.js";
import { countReceipt, showState, takePace } from "./state.js";
import { randomId, Store } from "./store.js";
import { Tabs } from "./tabs.js";
import { Troubles } from "./troubles.js";
import { Undo } from "./undo.js";

/** @import { Desk, Fields, Item, Preferences } from "./desk.js" */
/** @import { Answer, Entry, LabelSent, Receipt, SkipSent } from "./outbox.js" */
/** @import { Outcome } from "./server.js" */

/** @type {Desk} */
const desk = JSON.parse($("desk").textContent);
const store = new Store(`arbiter:${desk.study.slug}:${desk.rater}`);
const server = new Server(desk.urls, desk.rater, (outcome) => {
  troubles.heard(outcome);
  guidelines.heard(outcome);
});
const guidelines = new Guidelines(desk, server);
const outbox = new Outbox(store, send);
const queue = new Queue(desk, server, outbox);
const drafts = new Drafts(store, server, (state) => {
  $("draft-state").dataset.state = state;
});
const clock = new Clock(desk.break_after, suggestBreak);
const form = new Form(desk, changed);
const reading = new Reading(desk);
const passages = new Passages({ reading, server, current: () => queue.current, changed: () => changed("") });
const keys = new Keys(desk.scheme.labels, desk.preferences, act);
const elsewhere = new Elsewhere({ queue, server, drafts, clock, next, refresh });
const tabs = new Tabs(store.prefix, (key) => elsewhere.answered(key));
const undo = new Undo({ server, outbox, queue, drafts, store, show });
const signIn = $("workspace").dataset.signIn ?? "";
const troubles = new Troubles({ outbox, queue, drafts, undo, more, signIn });

/**
 * Reads all that is filled in.
 * @returns {Fields}
 */
const fields = () => ({ ...form.read(), evidence: passages.characters() });

// One item

/**
 * Shows an item, with what was begun.
 * @param {Item} item
 */
function show(item) {
  const { fields: begun, active } = drafts.restore(item);
  reading.show(item);
  form.fill(begun);
  passages.show(begun.evidence ?? []);
  form.need(fields());
  clock.begin(active);
  $("draft-state").dataset.state = "";
  unnotice("lost");
  unnotice("elsewhere");
  if (item.answer) undo.explain(item, leave);
  else unnotice("reopened");
  if (item.lost) elsewhere.lost();
  closeMore();
  $("panel-body").scrollTo(0, 0);
  refresh();
}

/**
 * Takes what has just been filled in.
 * @param {string} name of the choice, or "" for anything else
 */
function changed(name) {
  const item = queue.current;
  if (!item) return;
  item.begun = true;
  const now = fields();
  drafts.change(item, now, clock.seconds);
  form.need(now);
  if (!form.missing(now)) form.complain("");
  const chose = name === "label" || name.startsWith("answer-");
  if (keys.autoAdvance && chose && form.complete(now)) submit();
}

/** Submits the label and goes on, or says what is missing. */
function submit() {
  const item = queue.current;
  if (!item) return;
  const now = fields();
  const missing = form.missing(now);
  if (missing) {
    form.complain(missing);
    if (now.label) openMore();
    return announce(missing);
  }
  const title = desk.scheme.labels.find(({ key }) => key === now.label)?.title ?? "";
  const sent = { id: randomId(), key: item.key, title, base: item.base };
  sendOff(item, { kind: "label", ...sent, fields: now, active: clock.seconds });
}

/** Asks for a reason, then skips the item and goes on. */
function skip() {
  const item = queue.current;
  if (!item) return;
  if (item.answer) return announce("You have labelled this response; it can be changed, not skipped.");
  askToSkip((reason) => {
    const sent = { id: randomId(), key: item.key, title: "Skip", reason };
    if (queue.current === item) sendOff(item, { kind: "skip", ...sent });
  });
}

/**
 * Puts what was given for an item into the outbox, and goes on to the next.
 * @param {Item} item
 * @param {LabelSent | SkipSent} sent
 */
function sendOff(item, sent) {
  outbox.add(sent);
  drafts.drop(item.key);
  queue.finish(item.key);
  undo.forget();
  tabs.answered(item.key);
  if (!item.earlier) unnotice("changed");
  else {
    notice("changed", "Your earlier label is changed.", [
      ["Back to your labels", toMine],
      ["Go on here", () => unnotice("changed")],
    ]);
  }
  next();
  outbox.flush();
}

/**
 * Sends what lies in the outbox.
 * @param {Entry} entry
 * @returns {Promise<Outcome<Answer>>}
 */
function send(entry) {
  const { key } = entry;
  if (entry.kind === "skip") return queue.ask("skip", { key, reason: entry.reason });
  const { id, base, active, fields: sent } = entry;
  return queue.ask("submit", { key, submission: id, base, active_seconds: active, ...sent });
}

/** Shows the next item. */
function next() {
  const item = queue.advance();
  if (!item) {
    idle();
    return;
  }
  show(item);
  focusReading();
  announce(item.lost ? "" : "Next response.");
}

/** Leaves a label that was opened to be changed as it was. */
function leave() {
  const item = queue.current;
  if (!item?.answer) return;
  drafts.drop(item.key);
  queue.finish(item.key);
  undo.forget();
  if (item.earlier) return toMine();
  next();
}

const toMine = () => location.assign(desk.urls.mine);

/** Asks for more, as there is nothing to show, once what waits has been sent. */
async function idle() {
  unnotice("lost");
  unnotice("reopened");
  refresh();
  if (!outbox.waiting().length && !queue.asking) await more();
}

/** Asks for more items. */
async function more() {
  await queue.ask("next", {});
  arrived();
}

/** Deals with an answer of the server's that may have brought items. */
function arrived() {
  if (!queue.current && queue.next.length) next();
  else if (queue.current?.lost) elsewhere.lost();
  refresh();
}

/** Shows the state of the page as it is now. */
function refresh() {
  showState({ queue, outbox, store });
  $("workspace").dataset.item = queue.current?.key ?? "";
}

// Keys and buttons

/** @type {Record<string, (byButton: boolean) => void>} */
const ACTS = {
  submit,
  skip,
  undo: () => undo.last(),
  evidence: (byButton) => passages.begin(byButton),
  formatted: () => passages.toggleFormatted(),
  flag: () => {
    form.flag(!form.flagged);
    announce(form.flagged ? "Flagged." : "No longer flagged.");
    changed("");
  },
  guessing: () => form.confidence(1),
  fairly: () => form.confidence(2),
  certain: () => form.confidence(3),
  guidelines: () => guidelines.show(),
  keys: () => showKeys(keys),
  settings: () => showSettings(keys, desk.preferences, savePreferences),
  more: () => ($("more").dataset.open === "true" ? closeMore() : openMore()),
  again: more,
};
const ANY_TIME = new Set(["undo", "guidelines", "keys", "settings", "again"]);

/**
 * Does what a key or a button means.
 * @param {string} action
 */
function act(action, byButton = false) {
  if (!queue.current && !ANY_TIME.has(action)) return;
  const number = /^label-(\d)$/.exec(action)?.[1];
  if (number) form.choose(Number(number));
  else ACTS[action]?.(byButton);
}

const openMore = () => setMore(true);
const closeMore = () => setMore(false);

/**
 * Unfolds what is optional, or folds it away, as a narrow page does.
 * @param {boolean} open
 */
function setMore(open) {
  $("more").dataset.open = String(open);
  $("toggle-more").setAttribute("aria-expanded", String(open));
  $("toggle-more").textContent = open ? "Less" : "More";
}

/**
 * Takes the settings, and saves them at the server.
 * @param {Preferences} chosen
 */
async function savePreferences(chosen) {
  desk.preferences = chosen;
  keys.take(chosen);
  const { kind } = await server.post("preferences", chosen);
  announce(
    kind === "ok"
      ? "Settings saved."
      : "These settings hold until this page is closed; the server could not be reached.",
  );
}

/** Suggests a break. */
function suggestBreak() {
  const minutes = `${desk.break_after} minute${desk.break_after === 1 ? "" : "s"}`;
  notice(
    "break",
    `You have worked for ${minutes}. A short break keeps your eyes fresh; all you did is kept.`,
    [["Go on", () => unnotice("break")]],
  );
}

/** Sends what waits, as somebody is back, or the network is. */
function awake() {
  outbox.flush();
  drafts.push();
  if ((troubles.signedOut || !queue.reached) && !outbox.waiting().length) more();
}

outbox.addEventListener("change", refresh);
outbox.addEventListener("receipt", (event) => {
  const { detail: receipt } = /** @type {CustomEvent<Receipt>} */ (event);
  countReceipt(receipt);
  tabs.answered(receipt.entry.key);
  arrived();
});
outbox.addEventListener("problem", () => (queue.current ? refresh() : more()));
addEventListener("online", awake);
addEventListener("focus", awake);
addEventListener("pagehide", () => drafts.hurry());
addEventListener("pageshow", ({ persisted }) => persisted && more());
addEventListener("storage", ({ key }) => {
  if (!key?.startsWith(`${store.prefix}out:`)) return;
  troubles.show();
  refresh();
});
addEventListener(
  "beforeunload",
  (event) => store.fragile && outbox.waiting().length && event.preventDefault(),
);
document.addEventListener("visibilitychange", () => (document.hidden ? drafts.hurry() : awake()));
form.element.addEventListener("submit", (event) => {
  event.preventDefault();
  submit();
});
for (const button of parts(document, "[data-act]")) {
  button.addEventListener("click", () => act(button.dataset.act ?? "", true));
}

takePace(desk.pace);
queue.take(desk);
for (const item of queue.next) item.begun = Boolean(item.draft) || drafts.has(item);
troubles.show();
queue.asking++; // until it is known what to begin with
const wanted = new URL(location.href).searchParams.get("change");
if (wanted) history.replaceState(null, "", location.pathname); // a reload takes up what was begun
(wanted ? undo.change(wanted) : undo.resume()).then((resumed) => {
  queue.asking--;
  if (!resumed) next();
});
outbox.flush();
document.documentElement.dataset.running = ""; // else the page says that it could not load

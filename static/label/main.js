// The raters' page. What is chosen goes into a draft at once, what is submitted into the outbox, and the next item is shown
// without waiting; the server's receipts come in behind.

import { Clock } from "./clock.js";
import { askToSkip, showKeys, showSettings } from "./dialogs.js";
import { $, announce } from "./dom.js";
import { Drafts } from "./drafts.js";
import { Elsewhere } from "./elsewhere.js";
import { Form } from "./form.js";
import { Guidelines } from "./guidelines.js";
import { Keys } from "./keys.js";
import { notice, unnotice } from "./notices.js";
import { Outbox } from "./outbox.js";
import { Passages } from "./passages.js";
import { Queue } from "./queue.js";
import { Reading } from "./reading.js";
import { Server } from "./server.js";
import { showState } from "./state.js";
import { randomId, Store } from "./store.js";
import { Tabs } from "./tabs.js";
import { Troubles } from "./troubles.js";
import { Undo } from "./undo.js";

const desk = JSON.parse($("desk").textContent);
const store = new Store(`arbiter:${desk.study.slug}:${desk.rater}`);
const server = new Server(desk.urls, desk.rater, (outcome) => {
  troubles.heard(outcome);
  guidelines.heard(outcome);
});
const guidelines = new Guidelines(desk, server);
const outbox = new Outbox(store, send);
const queue = new Queue(desk, server, outbox);
const drafts = new Drafts(store, server, (state) => ($("draft-state").dataset.state = state));
const clock = new Clock(desk.break_after, suggestBreak);
const form = new Form(desk, changed);
const reading = new Reading(desk);
const passages = new Passages({ reading, server, current: () => queue.current, changed: () => changed("") });
const keys = new Keys(desk.scheme.labels, desk.preferences, act);
const elsewhere = new Elsewhere({ queue, server, drafts, clock, next, refresh });
const tabs = new Tabs(store.prefix, (key) => elsewhere.answered(key));
const undo = new Undo({ server, outbox, queue, drafts, store, show });
const troubles = new Troubles({ outbox, queue, drafts, undo, more, signIn: $("workspace").dataset.signIn });

const fields = () => ({ ...form.read(), evidence: passages.characters() });

// One item

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
  form.element.parentElement.scrollTo(0, 0);
  refresh();
}

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
  const title = desk.scheme.labels.find(({ key }) => key === now.label).title;
  sendOff(item, { kind: "label", title, base: item.base, fields: now, active: clock.seconds });
}

function skip() {
  const item = queue.current;
  if (!item) return;
  if (item.answer) return announce("You have labelled this response; it can be changed, not skipped.");
  askToSkip((reason) => queue.current === item && sendOff(item, { kind: "skip", title: "Skip", reason }));
}

function sendOff(item, entry) {
  outbox.add({ id: randomId(), key: item.key, ...entry });
  drafts.drop(item.key);
  queue.finish(item.key);
  undo.forget();
  tabs.answered(item.key);
  next();
  outbox.flush();
}

function send({ id, kind, key, base, fields: sent, active, reason }) {
  if (kind === "skip") return queue.ask("skip", { key, reason });
  return queue.ask("submit", { key, submission: id, base, active_seconds: active, ...sent });
}

function next() {
  const item = queue.advance();
  if (!item) return idle();
  show(item);
  $("item-heading").focus({ preventScroll: true });
  announce(item.lost ? "" : "Next response.");
}

function leave() {
  const item = queue.current;
  if (!item?.answer) return;
  drafts.drop(item.key);
  queue.finish(item.key);
  undo.forget();
  next();
}

// Nothing to show: more is asked for, once what waits has been sent.
async function idle() {
  unnotice("lost");
  unnotice("reopened");
  refresh();
  if (!outbox.waiting().length && !queue.asking) await more();
}

async function more() {
  await queue.ask("next", {});
  arrived();
}

function arrived() {
  if (!queue.current && queue.next.length) next();
  else if (queue.current?.lost) elsewhere.lost();
  refresh();
}

function refresh() {
  showState({ queue, outbox, store });
  $("workspace").dataset.item = queue.current?.key ?? "";
}

// Keys and buttons

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

function act(action, byButton = false) {
  if (!queue.current && !ANY_TIME.has(action)) return;
  const number = /^label-(\d)$/.exec(action)?.[1];
  if (number) form.choose(Number(number));
  else ACTS[action]?.(byButton);
}

const openMore = () => setMore(true);
const closeMore = () => setMore(false);

// On a narrow page, what is optional folds away.
function setMore(open) {
  $("more").dataset.open = String(open);
  $("toggle-more").setAttribute("aria-expanded", String(open));
  $("toggle-more").textContent = open ? "Less" : "More";
}

async function savePreferences(chosen) {
  desk.preferences = chosen;
  takePreferences();
  const { kind } = await server.post("preferences", chosen);
  announce(kind === "ok" ? "Settings saved." : "These settings hold until this page is closed; the server could not be reached.");
}

function takePreferences() {
  keys.take(desk.preferences);
  keys.autoAdvance = desk.preferences.auto_advance ?? false;
}

function suggestBreak() {
  const minutes = `${desk.break_after} minute${desk.break_after === 1 ? "" : "s"}`;
  notice("break", `You have worked for ${minutes}. A short break keeps your eyes fresh; all you did is kept.`, [["Go on", () => unnotice("break")]]);
}

// Somebody is back, or the network is: what waits is sent now.
function awake() {
  outbox.flush();
  drafts.push();
  if ((troubles.signedOut || !queue.reached) && !outbox.waiting().length) more();
}

outbox.addEventListener("change", refresh);
outbox.addEventListener("receipt", ({ detail }) => (showState.receipt(detail), tabs.answered(detail.entry.key), arrived()));
outbox.addEventListener("problem", () => (queue.current ? refresh() : more()));
addEventListener("online", awake);
addEventListener("focus", awake);
addEventListener("pagehide", () => drafts.hurry());
addEventListener("pageshow", ({ persisted }) => persisted && more());
addEventListener("storage", ({ key }) => key?.startsWith(`${store.prefix}out:`) && (troubles.show(), refresh()));
addEventListener("beforeunload", (event) => store.fragile && outbox.waiting().length && event.preventDefault());
document.addEventListener("visibilitychange", () => (document.hidden ? drafts.hurry() : awake()));
form.element.addEventListener("submit", (event) => (event.preventDefault(), submit()));
for (const button of document.querySelectorAll("[data-act]")) button.addEventListener("click", () => act(button.dataset.act, true));

takePreferences();
showState.pace(desk.pace);
queue.take(desk);
for (const item of queue.next) item.begun = Boolean(item.draft) || drafts.has(item);
troubles.show();
queue.asking++; // until it is known what to begin with
undo.resume().then((resumed) => (queue.asking--, resumed || next()));
outbox.flush();

// What the server did not take is told, with a way out that loses nothing; and a label can be taken back or changed.

import assert from "node:assert/strict";
import { beforeEach, mock, test } from "node:test";
import { Drafts } from "#label/drafts.js";
import { Outbox } from "#label/outbox.js";
import { Queue } from "#label/queue.js";
import { Store } from "#label/store.js";
import { FakeServer, freshPage, freshStorage, noticesShown, pressOnNotice, settled } from "./standins.js";

freshPage(); // before the modules that look for one
const { Troubles } = await import("#label/troubles.js");
const { Undo } = await import("#label/undo.js");

const FIELDS = { label: "yes", confidence: 2, note: "why", answers: {}, flagged: false, evidence: [] };
const LABEL = { kind: "label", id: "first", key: "k1", title: "Yes", base: 0, fields: FIELDS, active: 9 };
const SKIP = { kind: "skip", id: "first", key: "k1", title: "Skip", reason: "unclear" };
const CONFLICT = { kind: "conflict", error: "Labelled elsewhere.", data: { revision: 4 } };
const REFUSED = { kind: "refused", error: "No such label." };
const OK = { kind: "ok", data: {} };

let answers;
let sent;
let page;

/** Opens a page whose one item was labelled; what is sent gets these answers one after the other. */
function openPage(...given) {
  answers = given;
  sent = [];
  const store = new Store("study:rater");
  const server = new FakeServer();
  const outbox = new Outbox(store, async (entry) => {
    sent.push(entry);
    return answers.shift() ?? OK;
  });
  const queue = new Queue({ ahead: 3 }, server, outbox);
  const drafts = new Drafts(store, server, () => {});
  const shown = [];
  const undo = new Undo({ server, outbox, queue, drafts, store, show: (item) => shown.push(item) });
  const troubles = new Troubles({ outbox, queue, drafts, undo, more: () => {}, signIn: "/sign-in" });
  queue.pool.set("k1", { key: "k1", base: 0, draft: null });
  queue.finish("k1");
  page = { store, server, outbox, queue, drafts, undo, troubles, shown };
  return page;
}

async function give(entry) {
  page.outbox.add(entry);
  await page.outbox.flush();
}

beforeEach(() => {
  freshStorage();
  freshPage();
  mock.timers.reset();
  mock.timers.enable({ apis: ["setTimeout"] });
});

test("a conflict is told once, also after a reload, until something was done about it", async () => {
  openPage(CONFLICT);
  await give(LABEL);
  const text = "A response that you labelled “Yes” here had been labelled in another window meanwhile.";
  assert.deepEqual(noticesShown(), [text]);
  freshPage();
  openPage().troubles.show();
  assert.deepEqual(noticesShown(), [text]);
  assert.deepEqual(sent, []);
});

test("of two windows' labels this one replaces the other as its next revision, with all that was filled in", async () => {
  openPage(CONFLICT);
  await give(LABEL);
  await pressOnNotice("Replace it with this");
  const [, again] = sent;
  assert.deepEqual([again.key, again.base, again.fields], ["k1", 4, FIELDS]);
  assert.notEqual(again.id, "first");
  assert.deepEqual([noticesShown(), page.outbox.all()], [[], []]);
});

test("or the other stays, and this one is gone", async () => {
  openPage(CONFLICT);
  await give(LABEL);
  await pressOnNotice("Leave it");
  assert.equal(sent.length, 1);
  assert.deepEqual([noticesShown(), page.outbox.all(), page.queue.next], [[], [], []]);
});

test("a label that was not taken is told and opens again with all that was filled in", async () => {
  openPage(REFUSED);
  await give(LABEL);
  assert.deepEqual(noticesShown(), ["“Yes”, on an earlier response, was not taken: No such label."]);
  await pressOnNotice("Open it");
  assert.equal(page.shown[0].key, "k1");
  assert.deepEqual(page.drafts.restore(page.shown[0]), { fields: FIELDS, active: 9 });
  assert.deepEqual([noticesShown(), page.outbox.all()], [[], []]);
});

test("or it is dropped, and its response comes back", async () => {
  openPage(REFUSED);
  await give(LABEL);
  await pressOnNotice("Drop it");
  assert.deepEqual(
    page.queue.next.map(({ key }) => key),
    ["k1"],
  );
  assert.equal(page.queue.done.has("k1"), false);
});

test("a label that was not taken and is at the server by now opens as a change to it", async () => {
  openPage(REFUSED);
  page.server.usual = { kind: "ok", data: { item: { key: "k1", base: 2, answer: { label: "no" } } } };
  await give({ ...LABEL, base: 1 });
  await pressOnNotice("Open it");
  assert.deepEqual(page.drafts.restore(page.shown[0]).fields, FIELDS);
  assert.deepEqual(page.store.get("reopened"), { key: "k1", base: 2, earlier: false });
});

test("where it can't be had right now it stays as it is, and is told", async () => {
  openPage(REFUSED);
  page.server.usual = { kind: "offline", error: "The server can't be reached." };
  await give({ ...LABEL, base: 1 });
  await pressOnNotice("Open it");
  assert.equal(page.outbox.problems().length, 1);
  assert.match(noticesShown().join(), /can't be reopened before the server answers. Nothing is lost/);
});

test("a skip that was not taken can be tried again", async () => {
  openPage(REFUSED);
  await give(SKIP);
  assert.deepEqual(noticesShown(), ["A skip was not taken: No such label."]);
  await pressOnNotice("Try again");
  assert.deepEqual(
    sent.map(({ id, reason }) => [id, reason]),
    [
      ["first", "unclear"],
      ["first", "unclear"],
    ],
  );
  assert.deepEqual(page.outbox.all(), []);
});

test("signed out is told, and taken back by the next answer; no answer says nothing of it", () => {
  const { troubles } = openPage();
  troubles.heard({ kind: "signed-out", error: "" });
  troubles.heard({ kind: "offline", error: "" });
  assert.match(noticesShown().join(), /^You have been signed out. Nothing is lost/);
  troubles.heard(OK);
  assert.deepEqual(noticesShown(), []);
  troubles.heard({ kind: "signed-out", error: "Somebody else.", data: { kind: "other-person" } });
  assert.deepEqual(noticesShown(), ["Somebody else."]);
});

test("the last label, never sent, is taken back with all that was filled in, and is not sent", async () => {
  openPage();
  page.outbox.add(LABEL);
  await page.undo.last();
  assert.deepEqual([sent, page.outbox.all()], [[], []]);
  assert.deepEqual(page.drafts.restore(page.shown[0]), { fields: FIELDS, active: 9 });
  assert.equal(page.queue.current.key, "k1");
});

test("the last label, tried before, may be at the server: it is sent again before it is changed", async () => {
  openPage({ kind: "offline", error: "" }, { kind: "offline", error: "" });
  await give(LABEL);
  await page.undo.last();
  assert.equal(sent.length, 2);
  assert.deepEqual([page.shown, page.outbox.all().length], [[], 1]);
  assert.match(noticesShown().join(), /on its way to the server/);
});

test("a label that was open to be changed is so after a reload, unless it has been changed elsewhere", async () => {
  openPage().undo.open({ key: "k1", base: 1, answer: {} }, true);
  const answered = (base) => ({ kind: "ok", data: { item: { key: "k1", base, answer: {} } } });
  openPage().server.usual = answered(1);
  assert.equal(await page.undo.resume(), true);
  assert.equal(page.shown[0].earlier, true);
  openPage().server.usual = { kind: "offline", error: "" };
  assert.equal(await page.undo.resume(), false);
  openPage().server.usual = answered(2);
  assert.equal(await page.undo.resume(), false);
  openPage().server.usual = answered(1);
  assert.equal(await page.undo.resume(), false);
  await settled();
});

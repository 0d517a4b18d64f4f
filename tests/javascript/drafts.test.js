// What somebody typed is in the browser at once, at the server soon, and never taken for kept before it is.

import assert from "node:assert/strict";
import { beforeEach, mock, test } from "node:test";
import { Drafts } from "#label/drafts.js";
import { Store } from "#label/store.js";
import { FakeServer, freshStorage, settled } from "./standins.js";

const OFFLINE = { kind: "offline", error: "The server can't be reached." };
const DAY = 24 * 3600 * 1000;
const NOW = 100 * DAY;

const item = (more = {}) => ({ key: "k1", base: 0, draft: null, ...more });
const note = (text) => ({
  label: "",
  confidence: null,
  note: text,
  answers: {},
  flagged: false,
  evidence: [],
});

let server;

/** Opens a page: drafts over the browser's storage; its states are told in order. */
function openPage() {
  const told = [];
  const drafts = new Drafts(new Store("study:rater"), server, (state) => told.push(state));
  return { drafts, told };
}

const notesSent = () => server.sent.map(({ body }) => body.draft.note);

async function wait(milliseconds) {
  mock.timers.tick(milliseconds);
  await settled();
}

beforeEach(() => {
  freshStorage();
  server = new FakeServer();
  mock.timers.reset();
  mock.timers.enable({ apis: ["setTimeout", "Date"], now: NOW });
});

test("a change is in the browser at once: a reload before anything was sent brings it back", () => {
  openPage().drafts.change(item(), note("half a sentence"), 12);
  assert.deepEqual(server.sent, []);
  const { fields, active } = openPage().drafts.restore(item());
  assert.deepEqual([fields.note, active], ["half a sentence", 12]);
});

test("changes are sent together once one pauses, and said to be kept only then", async () => {
  const { drafts, told } = openPage();
  for (const text of ["a", "ab", "abc"]) drafts.change(item(), note(text), 1);
  await wait(1_000);
  assert.deepEqual(notesSent(), ["abc"]);
  assert.deepEqual(told, ["dirty", "dirty", "dirty", "kept"]);
});

test("without an answer it is said to be here alone, and the newest is sent again by itself", async () => {
  server.answers = [OFFLINE, OFFLINE];
  const { drafts, told } = openPage();
  drafts.change(item(), note("first"), 1);
  await wait(1_000);
  assert.equal(told.at(-1), "local");
  drafts.change(item(), note("second"), 1);
  await wait(1_000);
  await wait(10_000);
  assert.deepEqual(notesSent(), ["first", "second", "second"]);
  assert.equal(told.at(-1), "kept");
});

test("what is typed while a draft is on its way is not taken for kept", async () => {
  const { drafts, told } = openPage();
  let arrive;
  server.answers = [() => new Promise((resolve) => (arrive = () => resolve({ kind: "ok", data: {} })))];
  drafts.change(item(), note("before"), 1);
  await wait(1_000);
  drafts.change(item(), note("before and after"), 1);
  arrive();
  await settled();
  assert.equal(told.at(-1), "dirty");
  await wait(1_000);
  assert.deepEqual(notesSent(), ["before", "before and after"]);
  assert.equal(told.at(-1), "kept");
});

test("drafts of several items are all sent, though the network fails at the first", async () => {
  server.answers = [OFFLINE];
  const { drafts } = openPage();
  drafts.change(item({ key: "k1" }), note("one"), 1);
  drafts.change(item({ key: "k2" }), note("two"), 1);
  await wait(1_000);
  await wait(10_000);
  assert.deepEqual(notesSent(), ["one", "one", "two"]);
});

for (const kind of ["refused", "unknown"]) {
  test(`one that the server does not take (${kind}) stays in the browser and is not sent for ever`, async () => {
    server.answers = [{ kind, error: "No." }];
    const { drafts, told } = openPage();
    drafts.change(item(), note("kept here"), 1);
    await wait(1_000);
    await wait(60_000);
    assert.deepEqual([server.sent.length, told.at(-1)], [1, "local"]);
    assert.equal(openPage().drafts.restore(item()).fields.note, "kept here");
  });
}

test("a page that goes sends along all that the server does not have", () => {
  const { drafts } = openPage();
  drafts.change(item({ key: "k1" }), note("one"), 1);
  drafts.change(item({ key: "k2" }), note("two"), 1);
  drafts.hurry();
  assert.deepEqual(notesSent(), ["one", "two"]);
  assert.ok(server.sent.every(({ options }) => options.keepalive));
});

test("what was submitted is no draft any more, here or on its way", async () => {
  const { drafts } = openPage();
  drafts.change(item(), note("sent"), 1);
  drafts.drop("k1");
  await wait(60_000);
  assert.deepEqual(server.sent, []);
  assert.equal(openPage().drafts.has(item()), false);
});

for (const [where, at, expected] of [
  ["another browser, later", NOW + 1, "theirs"],
  ["another browser, before", NOW - 1, "mine"],
  ["this browser", NOW, "mine"],
]) {
  test(`of two drafts the newer is taken up: the server's is from ${where}`, () => {
    const { drafts } = openPage();
    drafts.change(item(), note("mine"), 1);
    assert.equal(drafts.restore(item({ draft: { ...note("theirs"), at } })).fields.note, expected);
  });
}

test("a draft for an earlier revision is not taken up for a later one", () => {
  const { drafts } = openPage();
  drafts.change(item({ base: 0 }), note("old"), 7);
  const { fields, active } = drafts.restore(item({ base: 1, answer: note("as it was sent") }));
  assert.deepEqual([fields.note, active], ["as it was sent", 0]);
});

test("changes to a label that was opened again are taken up over the label itself", () => {
  const { drafts } = openPage();
  drafts.change(item({ base: 1 }), note("changed"), 1);
  const reopened = item({ base: 1, answer: { ...note("as it was sent"), at: NOW + DAY } });
  assert.equal(drafts.restore(reopened).fields.note, "changed");
});

test("drafts of a month ago are cleared away, and so is what is no draft; others stay", () => {
  const store = new Store("study:rater");
  openPage().drafts.keep(item({ key: "old" }), {
    fields: note("old"),
    base: 0,
    active: 1,
    at: NOW - 31 * DAY,
  });
  openPage().drafts.keep(item({ key: "new" }), {
    fields: note("new"),
    base: 0,
    active: 1,
    at: NOW - 29 * DAY,
  });
  globalThis.localStorage.setItem("study:rater:draft:broken", "{");
  openPage();
  assert.deepEqual(store.names("draft:"), ["draft:new"]);
});

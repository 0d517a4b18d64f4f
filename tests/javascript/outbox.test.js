// Nothing that was given to the outbox is lost, sent out of order or left unsaid.

import assert from "node:assert/strict";
import { beforeEach, mock, test } from "node:test";
import { Outbox, stateOf } from "#label/outbox.js";
import { Store } from "#label/store.js";
import { freshStorage, randomFrom, settled } from "./standins.js";

const OK = { kind: "ok", data: {} };
const OFFLINE = { kind: "offline", error: "The server can't be reached." };
const SIGNED_OUT = { kind: "signed-out", error: "You have been signed out." };
const TROUBLE = { kind: "trouble", error: "The server met an error." };
const UNKNOWN = { kind: "unknown", error: "No such response." };
const REFUSED = { kind: "refused", error: "No such label." };
const CONFLICT = { kind: "conflict", error: "Labelled elsewhere.", data: { revision: 4 } };

const label = (id) => ({
  kind: "label",
  id,
  key: `key-${id}`,
  title: "Yes",
  base: 0,
  fields: { label: "yes" },
  active: 3,
});
const skip = (id) => ({ kind: "skip", id, key: `key-${id}`, title: "Skip", reason: "unclear" });

/** Opens a tab: an outbox over the browser's storage, which answers one after the other, then the last for ever. */
function openTab(...answers) {
  const sent = [];
  const send = async (entry) => {
    sent.push(entry.id);
    const answer = answers.length > 1 ? answers.shift() : answers[0];
    return typeof answer === "function" ? answer(entry) : answer;
  };
  const outbox = new Outbox(new Store("study:rater"), send);
  return { outbox, sent, answerFromNowOn: (...then) => answers.splice(0, answers.length, ...then) };
}

const ids = (entries) => entries.map(({ id }) => id);

beforeEach(() => {
  freshStorage();
  mock.timers.reset();
  mock.timers.enable({ apis: ["setTimeout", "Date"] });
});

test("labels are sent in the order they were given, and forgotten with their receipts", async () => {
  const { outbox, sent } = openTab(OK);
  const receipts = [];
  outbox.addEventListener("receipt", ({ detail }) => receipts.push(detail.entry.id));
  for (const id of ["c", "a", "b"]) outbox.add(label(id));
  await outbox.flush();
  assert.deepEqual(sent, ["c", "a", "b"]);
  assert.deepEqual(receipts, sent);
  assert.deepEqual(outbox.all(), []);
});

test("the order holds though the clock stands still, or is set back", () => {
  const { outbox } = openTab(OK);
  mock.timers.setTime(50_000);
  outbox.add(label("z"));
  outbox.add(label("m"));
  mock.timers.reset();
  mock.timers.enable({ apis: ["Date"], now: 1_000 });
  outbox.add(label("a"));
  assert.deepEqual(ids(outbox.all()), ["z", "m", "a"]);
});

test("without an answer everything stays, later ones untried, and goes out in order once there is one", async () => {
  const { outbox, sent, answerFromNowOn } = openTab(OFFLINE);
  for (const id of ["a", "b", "c"]) outbox.add(label(id));
  await outbox.flush();
  assert.deepEqual(sent, ["a"]);
  assert.deepEqual(
    outbox.waiting().map(({ id, tried }) => [id, tried]),
    [
      ["a", 1],
      ["b", 0],
      ["c", 0],
    ],
  );
  assert.equal(stateOf(outbox)[0], "waiting");
  answerFromNowOn(OK);
  mock.timers.tick(60_000); // by itself
  await settled();
  assert.deepEqual(sent, ["a", "a", "b", "c"]);
  assert.equal(stateOf(outbox)[0], "saved");
});

test("it tries again by itself for as long as it takes", async () => {
  const { outbox, sent, answerFromNowOn } = openTab(OFFLINE);
  outbox.add(label("a"));
  await outbox.flush();
  for (let minute = 0; minute < 20; minute++) {
    mock.timers.tick(60_000);
    await settled();
  }
  assert.equal(sent.length, 21);
  answerFromNowOn(OK);
  mock.timers.tick(60_000);
  await settled();
  assert.deepEqual(outbox.all(), []);
});

test("an expired session loses nothing: what waits is sent once one has signed in again", async () => {
  const { outbox, sent, answerFromNowOn } = openTab(OK, SIGNED_OUT);
  for (const id of ["a", "b", "c"]) outbox.add(label(id));
  await outbox.flush();
  assert.deepEqual(ids(outbox.waiting()), ["b", "c"]);
  assert.deepEqual(stateOf(outbox), ["signed-out", "2 labels wait in this browser until you sign in again."]);
  answerFromNowOn(OK);
  await outbox.flush();
  assert.deepEqual(sent, ["a", "b", "b", "c"]);
});

test("a reload while something is on its way sends the same submission again, and the rest in order", async () => {
  const before = openTab(() => new Promise(() => {})); // the page goes before the answer comes
  for (const id of ["a", "b", "c"]) before.outbox.add(label(id));
  before.outbox.flush();
  await settled();
  const after = openTab(OK);
  const given = after.outbox.all();
  assert.deepEqual(given[0].fields, { label: "yes" });
  await after.outbox.flush();
  assert.deepEqual([before.sent, after.sent], [["a"], ["a", "b", "c"]]);
});

test("two tabs that send at once leave nothing behind and make no second submission", async () => {
  const first = openTab(OK);
  const second = openTab(OK);
  for (const id of ["a", "b"]) first.outbox.add(label(id));
  second.outbox.add(label("c"));
  await Promise.all([first.outbox.flush(), second.outbox.flush()]);
  await Promise.all([first.outbox.flush(), second.outbox.flush()]); // what the other put back while it was sending
  assert.deepEqual([...new Set([...first.sent, ...second.sent])].sort(), ["a", "b", "c"]);
  assert.deepEqual(first.outbox.all(), []);
  assert.deepEqual(second.outbox.all(), []);
});

test("what a tab left behind is sent by the one that stays", async () => {
  const closed = openTab(OFFLINE);
  closed.outbox.add(label("a"));
  await closed.outbox.flush();
  const open = openTab(OK);
  open.outbox.add(label("b"));
  await open.outbox.flush();
  assert.deepEqual(open.sent, ["a", "b"]);
});

for (const [name, answer] of [
  ["conflict", CONFLICT],
  ["refused", REFUSED],
]) {
  test(`what is not taken (${name}) is told and kept with all of it, and is not sent again by itself`, async () => {
    const { outbox, sent } = openTab(answer, OK);
    let told = 0;
    outbox.addEventListener("problem", () => told++);
    outbox.add(label("a"));
    outbox.add(label("b"));
    await outbox.flush();
    await outbox.flush();
    assert.deepEqual(sent, ["a", "b"]);
    assert.equal(told, 1);
    const [entry] = openTab(OK).outbox.problems(); // after a reload too
    assert.deepEqual(entry.fields, { label: "yes" });
    assert.deepEqual(
      { ...entry.problem, revision: entry.problem.revision ?? null },
      { kind: name, error: answer.error, revision: answer.data?.revision ?? null },
    );
    assert.equal(stateOf(outbox)[0], "refused");
  });
}

test("one that the server does not know holds up no other, and waits", async () => {
  const { outbox, sent } = openTab(UNKNOWN, OK);
  for (const id of ["a", "b"]) outbox.add(label(id));
  await outbox.flush();
  assert.deepEqual(sent, ["a", "b"]);
  assert.deepEqual(ids(outbox.waiting()), ["a"]);
});

test("one at which the server fails again and again holds up the others no longer", async () => {
  const { outbox } = openTab(({ id }) => (id === "a" ? TROUBLE : OK));
  for (const id of ["a", "b"]) outbox.add(label(id));
  for (let flushed = 0; flushed < 3; flushed++) await outbox.flush();
  assert.deepEqual(ids(outbox.waiting()), ["a", "b"]);
  await outbox.flush();
  assert.deepEqual(ids(outbox.waiting()), ["a"]);
});

test("what is given while others are sent follows them, once", async () => {
  let outbox;
  const tab = openTab(({ id }) => {
    if (id === "a") outbox.add(label("b"));
    return OK;
  });
  outbox = tab.outbox;
  outbox.add(label("a"));
  await Promise.all([outbox.flush(), outbox.flush()]);
  assert.deepEqual(tab.sent, ["a", "b"]);
});

test("a browser that keeps nothing still sends, and it is known that the page must stay", async () => {
  globalThis.localStorage.broken = true;
  const { outbox, sent } = openTab(OFFLINE, OK);
  outbox.add(label("a"));
  await outbox.flush();
  assert.equal(outbox.store.fragile, true);
  await outbox.flush();
  assert.deepEqual(sent, ["a", "a"]);
  assert.equal(outbox.store.fragile, false);
});

test("what waits is counted in words", async () => {
  const { outbox } = openTab(OFFLINE);
  outbox.add(skip("s"));
  await outbox.flush();
  assert.equal(stateOf(outbox)[1], "1 skip waits in this browser; it is sent when the server answers.");
  outbox.add(label("a"));
  outbox.add(label("b"));
  assert.equal(
    stateOf(outbox)[1],
    "2 labels and 1 skip wait in this browser; they are sent when the server answers.",
  );
});

/** Plays one random course of giving, sending, waiting, failing and reloading; returns what was given and what was counted. */
async function play(seed, mayReload) {
  const random = randomFrom(seed);
  const given = [];
  const counted = []; // by the server, which knows a submission again
  const count = (id) => counted.includes(id) || counted.push(id);
  const open = () => {
    const tab = { gone: false };
    const answer = ({ id }) => {
      if (tab.gone) return new Promise(() => {});
      const fate = random();
      if (fate >= 0.25) count(id);
      return fate < 0.45 ? OFFLINE : OK; // what was sent did not arrive, or its receipt did not
    };
    return Object.assign(tab, openTab(answer));
  };
  const tabs = [open(), ...(mayReload ? [] : [open()])];
  for (let step = 0; step < 60; step++) {
    const [what, at] = [random(), Math.floor(random() * tabs.length)];
    const { outbox } = tabs[at];
    if (what < 0.4) outbox.add(label(given[given.push(`id-${step}`) - 1]));
    else if (what < 0.7) outbox.flush();
    else if (what < 0.8 && mayReload) {
      tabs[at].gone = true;
      tabs[at] = open();
    } else mock.timers.tick(10_000);
    if (random() < 0.5) await settled();
  }
  for (const tab of tabs) tab.gone = true;
  const last = openTab(({ id }) => {
    count(id);
    return OK;
  });
  await last.outbox.flush();
  assert.deepEqual(last.outbox.all(), []);
  return { given, counted };
}

test("through failures and reloads in any order every label is counted once, in the order given", async () => {
  for (let seed = 1; seed <= 200; seed++) {
    const { given, counted } = await play(seed, true);
    assert.deepEqual(counted, given, `seed ${seed}`);
  }
});

test("through failures in two tabs in any order every label is counted once", async () => {
  for (let seed = 1; seed <= 200; seed++) {
    const { given, counted } = await play(seed, false);
    assert.deepEqual(counted.toSorted(), given.toSorted(), `seed ${seed}`);
  }
});

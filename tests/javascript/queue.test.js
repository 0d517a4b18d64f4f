// Which item is shown and which come next, whatever the server, the outbox and other tabs say in whatever order.

import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";
import { Outbox } from "#label/outbox.js";
import { Queue } from "#label/queue.js";
import { Store } from "#label/store.js";
import { FakeServer, freshStorage, settled } from "./standins.js";

const OFFLINE = { kind: "offline", error: "The server can't be reached." };
const items = (...keys) => keys.map((key) => ({ key, base: 0, draft: null }));
const more = (given, held = given.map(({ key }) => key)) => ({
  items: given,
  held,
  progress: { done: 1, left: 2 },
  paused: false,
});
const ok = (...keys) => ({ kind: "ok", data: more(items(...keys)) });

let server;
let outbox;
let queue;

/** Puts a label for this item into the outbox, where it waits. */
const give = (key) =>
  outbox.add({ kind: "label", id: `id-${key}`, key, title: "Yes", base: 0, fields: {}, active: 1 });

const next = () => queue.next.map(({ key }) => key);

beforeEach(() => {
  freshStorage();
  server = new FakeServer();
  server.usual = ok();
  outbox = new Outbox(new Store("study:rater"), () => new Promise(() => {}));
  queue = new Queue({ ahead: 3 }, server, outbox);
});

test("items come in the server's order, each once", () => {
  queue.take(more(items("c", "a")));
  queue.advance();
  queue.take(more(items("c", "a", "b")));
  assert.equal(queue.current.key, "c");
  assert.deepEqual(next(), ["a", "b"]);
});

test("what was answered, is on its way or was answered in another tab does not come again", () => {
  queue.finish("a");
  give("b");
  queue.take(more(items("a", "b", "c")));
  assert.deepEqual(next(), ["c"]);
});

test("questions are asked one after the other, so that an older answer can't undo a newer", async () => {
  let answer;
  server.answers = [() => new Promise((resolve) => (answer = resolve)), ok("b")];
  const first = queue.ask("next", {});
  const second = queue.ask("next", {});
  await settled();
  assert.equal(server.sent.length, 1);
  assert.equal(queue.asking, 2);
  answer(ok("a"));
  await Promise.all([first, second]);
  assert.deepEqual(server.sent[1].body.have, ["a"]); // it tells what the first has brought
  assert.deepEqual(next(), ["b"]); // "a" is no longer held, says the newer
  assert.equal(queue.asking, 0);
});

test("a question that fails holds up no other, and it is known whether the server was reached", async () => {
  server.answers = [OFFLINE, ok("a"), { kind: "refused", error: "No." }];
  assert.equal((await queue.ask("next", {})).kind, "offline");
  assert.equal(queue.reached, false);
  await queue.ask("next", {});
  assert.equal(queue.reached, true);
  await queue.ask("submit", {});
  assert.equal(queue.reached, true);
  assert.deepEqual(next(), ["a"]);
});

test("an answer that can't be read holds up no later one", async () => {
  server.answers = [{ kind: "ok", data: {} }, ok("a")];
  await assert.rejects(queue.ask("next", {}));
  await queue.ask("next", {});
  assert.deepEqual(next(), ["a"]);
});

test("what goes along when the page is closed is only what a browser lets go", async () => {
  await queue.ask("submit", { note: "short" });
  await queue.ask("submit", { note: "x".repeat(20_000) });
  assert.deepEqual(
    server.sent.map(({ options }) => options.keepalive),
    [true, false],
  );
});

test("the server is told what is here: shown, next and waiting, each once and not too many", async () => {
  queue.take(more(items("a", "b")));
  queue.advance();
  give("a");
  give("x");
  await queue.ask("next", {});
  assert.deepEqual(server.sent[0].body, { want: 3, have: ["a", "b", "x"] });
  for (let n = 0; n < 40; n++) give(`y${n}`);
  await queue.ask("next", {});
  assert.equal(server.sent[1].body.have.length, 24);
});

test("a place that went to somebody else goes, unless something was begun there; then it is known to be lost", () => {
  queue.take(more(items("a", "b", "c", "d")));
  queue.advance();
  queue.next[0].begun = true;
  queue.next[1].answer = { label: "yes" };
  queue.take(more([], []));
  assert.deepEqual([queue.current.key, queue.current.lost], ["a", true]);
  assert.deepEqual(
    queue.next.map(({ key, lost }) => [key, lost ?? false]),
    [
      ["b", true],
      ["c", false],
    ],
  );
});

test("what was labelled in another window is not said to have gone to somebody else", () => {
  queue.take(more(items("a")));
  queue.advance().elsewhere = true;
  queue.take(more([], []));
  assert.equal(queue.current.lost, false);
});

test("what is opened again is shown now, and what was shown comes right after it", () => {
  queue.take(more(items("a", "b", "c")));
  queue.advance();
  queue.finish("a");
  queue.advance();
  queue.reopen({ key: "a", base: 1, answer: {} });
  assert.equal(queue.current.key, "a");
  assert.deepEqual(next(), ["b", "c"]);
  assert.equal(queue.done.has("a"), false);
  queue.reopen(queue.current);
  assert.deepEqual(next(), ["b", "c"]);
});

test("an item that waits in the outbox can still be opened again, however many have passed", () => {
  queue.take(more(items("waiting")));
  give("waiting");
  for (let n = 0; n < 100; n++) queue.take(more(items(`k${n}`)));
  assert.ok(queue.pool.has("waiting"));
  assert.ok(queue.pool.size < 40);
});

test("places are kept for what is here or on its way, not for what is only being changed", () => {
  queue.take(more(items("a", "b")));
  queue.reopen({ key: "old", base: 1, answer: {} });
  give("sent");
  assert.deepEqual(queue.keys(), ["a", "b", "sent"]);
});

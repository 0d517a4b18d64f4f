// What a browser keeps, and what is done where it keeps nothing.

import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";
import { randomId, Store } from "#label/store.js";
import { freshStorage } from "./standins.js";

let storage;
let store;

beforeEach(() => {
  storage = freshStorage();
  store = new Store("study:rater");
});

test("what is kept is there after a reload, for the same rater of the same study alone", () => {
  store.set("reopened", { key: "a", base: 1, earlier: false });
  assert.deepEqual(new Store("study:rater").get("reopened"), { key: "a", base: 1, earlier: false });
  assert.equal(new Store("study:other").get("reopened"), null);
  assert.deepEqual(new Store("other:rater").names(""), []);
});

test("names are listed by how they begin", () => {
  for (const name of ["out:a", "draft:a", "out:b"]) store.set(name, { id: name });
  assert.deepEqual(store.names("out:"), ["out:a", "out:b"]);
  store.remove("out:a");
  assert.deepEqual(store.names("out:"), ["out:b"]);
});

test("what something else wrote under our name is as if it were not there", () => {
  storage.setItem("study:rater:out:a", "not JSON");
  assert.equal(store.get("out:a"), null);
});

test("where the browser is full the page keeps it, and the newer goes before what is stored", () => {
  store.set("draft:a", { at: 1 });
  storage.broken = true;
  store.set("draft:a", { at: 2 });
  store.set("draft:b", { at: 3 });
  assert.deepEqual([store.get("draft:a").at, store.fragile], [2, true]);
  assert.deepEqual(store.names("draft:").toSorted(), ["draft:a", "draft:b"]);
  storage.broken = false;
  store.set("draft:a", { at: 4 });
  store.remove("draft:b");
  assert.deepEqual([store.get("draft:a").at, store.get("draft:b"), store.fragile], [4, null, false]);
});

test("where the browser has no storage at all, everything works as long as the page is open", () => {
  delete globalThis.localStorage;
  store.set("out:a", { id: "a" });
  assert.deepEqual([store.get("out:a"), store.names("out:"), store.fragile], [{ id: "a" }, ["out:a"], true]);
  store.remove("out:a");
  assert.equal(store.get("out:a"), null);
});

test("ids are of the form that the server takes, and differ", () => {
  const ids = Array.from({ length: 1000 }, randomId);
  assert.equal(new Set(ids).size, 1000);
  assert.ok(ids.every((id) => /^[A-Za-z0-9-]{8,40}$/.test(id)));
});

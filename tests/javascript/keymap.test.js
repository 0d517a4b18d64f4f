// Which digit or action a pressed key means, on any keyboard.

import assert from "node:assert/strict";
import { test } from "node:test";
import { ACTIONS, composing, digitOf, Keymap } from "#label/keymap.js";

const LABELS = ["None", "Some", "Much", "Nonsense"].map((title) => ({ title }));
const AZERTY = ["&", "é", '"', "'", "(", "-", "è", "_", "ç"];
const OWN = new Set(["1", "2", "3", "4"]);

/** Makes a key as a browser tells of it. */
function press(key, { code = "", altGraph = false, ...held } = {}) {
  const none = { ctrlKey: false, metaKey: false, altKey: false, shiftKey: false };
  const getModifierState = (name) => name === "AltGraph" && altGraph;
  return { key, code, isComposing: false, keyCode: 0, ...none, getModifierState, ...held };
}

const meaning = (event, { preferences = {}, inField = false } = {}) =>
  new Keymap(LABELS, preferences).meaningOf(event, inField);

test("a digit is what a key types, or, where digits need Shift, its place", () => {
  for (const [at, key] of AZERTY.entries()) {
    const code = `Digit${at + 1}`;
    assert.equal(digitOf(press(key, { code })), String(at + 1));
    assert.equal(digitOf(press(String(at + 1), { code, shiftKey: true })), String(at + 1));
  }
  assert.equal(digitOf(press("Dead", { code: "Digit2" })), "2");
  assert.equal(digitOf(press("5", { code: "Numpad5" })), "5");
  assert.equal(digitOf(press("3", { code: "KeyX" })), "3"); // a layout with its digits elsewhere
});

test("what only lies where a digit lies is none", () => {
  assert.equal(digitOf(press("!", { code: "Digit1", shiftKey: true })), "");
  assert.equal(digitOf(press("~", { code: "Digit2", altGraph: true })), "");
  for (const key of ["End", "ArrowDown", "Home", "Clear", "Unidentified", "Process"]) {
    assert.equal(digitOf(press(key, { code: "Numpad1" })), "", key);
  }
  assert.equal(digitOf(press("0", { code: "Digit0" })), "");
  assert.equal(digitOf(press("à", { code: "Digit0" })), "");
});

test("on AZERTY the keys under the digits choose labels, and letters mean what they type", () => {
  assert.deepEqual(AZERTY.map((key, at) => meaning(press(key, { code: `Digit${at + 1}` }))).slice(0, 5), [
    "label-1",
    "label-2",
    "label-3",
    "label-4",
    "",
  ]);
  assert.equal(meaning(press("z", { code: "KeyW" })), "guessing");
});

test("what a key types goes before its place", () => {
  const preferences = { keys: { flag: "&" } };
  assert.equal(meaning(press("&", { code: "Digit1" }), { preferences }), "flag");
  assert.equal(meaning(press("é", { code: "Digit2" }), { preferences }), "label-2");
});

test("keys of an input method that composes are its own", () => {
  assert.equal(composing(press("Enter", { isComposing: true })), true);
  assert.equal(composing(press("Enter", { keyCode: 229 })), true);
  assert.equal(composing(press("Enter", { keyCode: 13 })), false);
});

// Every printable character, and every key with a name that a keyboard is likely to have.
const NAMED =
  "Enter Tab Escape Backspace Delete Insert ArrowUp ArrowDown ArrowLeft ArrowRight Home End PageUp PageDown Shift Control Alt " +
  "Meta CapsLock NumLock ContextMenu Dead Process Unidentified Clear F1 F5 F12";
const PRINTED = Array.from({ length: 95 }, (_, n) => String.fromCharCode(32 + n));
const EVERY_KEY = [...PRINTED, ...NAMED.split(" "), ...AZERTY, "ф", "あ", "１"];

test("no key chooses a label but the label's own, bare and outside of fields", () => {
  for (const key of EVERY_KEY) {
    const chosen = meaning(press(key)).startsWith("label-");
    assert.equal(chosen, OWN.has(key), key);
    for (const held of ["ctrlKey", "metaKey", "altKey"]) {
      assert.doesNotMatch(meaning(press(key, { [held]: true })), /^label-/, `${held} ${key}`);
    }
    assert.doesNotMatch(meaning(press(key), { inField: true }), /./, key);
    assert.doesNotMatch(meaning(press(key), { preferences: { single_keys: false } }), /./, key);
  }
});

test("a label whose key was changed is chosen by that one alone", () => {
  const preferences = { keys: { "label-1": "q" } };
  for (const key of EVERY_KEY) {
    const expected = key === "q" || key === "Q";
    assert.equal(meaning(press(key), { preferences }) === "label-1", expected, key);
  }
  assert.equal(meaning(press("&", { code: "Digit1" }), { preferences }), "");
});

test("Ctrl or Cmd with Enter sends from everywhere, Enter alone from nowhere", () => {
  for (const inField of [false, true]) {
    for (const preferences of [{}, { single_keys: false }]) {
      assert.equal(meaning(press("Enter", { ctrlKey: true }), { inField, preferences }), "submit");
      assert.equal(meaning(press("Enter", { metaKey: true }), { inField, preferences }), "submit");
      assert.equal(meaning(press("Enter"), { inField, preferences }), "");
    }
  }
});

test("every action has its usual key, and no two share one", () => {
  const usual = [...ACTIONS.map(([, key]) => key), ...OWN];
  assert.equal(new Set(usual).size, usual.length);
  for (const [action, key] of ACTIONS) {
    assert.equal(meaning(press(key)), action);
    assert.equal(meaning(press(key.toUpperCase(), { shiftKey: true })), action);
  }
});

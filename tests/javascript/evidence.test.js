// Passages are counted in characters, as the server does, whatever the text holds; and words are found in any script.

import assert from "node:assert/strict";
import { test } from "node:test";
import { tidied, toCharacters, toUnits } from "#label/evidence.js";
import { randomFrom } from "./standins.js";

const PIECES = ["a", " ", "é", "😀", "👩‍🔬", "\n", "語", "\ud83d", "\ude00", "x"];

test("units and characters lead back to each other, through emoji and halves of them", () => {
  const random = randomFrom(7);
  for (let round = 0; round < 300; round++) {
    const text = Array.from({ length: 20 }, () => PIECES[Math.floor(random() * PIECES.length)]).join("");
    const characters = Array.from(text);
    for (let count = 0; count <= characters.length; count++) {
      const units = characters.slice(0, count).join("").length;
      assert.equal(toUnits(text, count), units);
      assert.equal(toCharacters(text, units), count);
    }
  }
});

test("a passage never begins or ends inside a character, nor with whitespace", () => {
  const text = "one 😀 two";
  assert.deepEqual(tidied(text, 5, 5 + 2), { start: 4, end: 6 });
  assert.deepEqual(tidied(text, 3, 5), { start: 4, end: 6 });
  assert.deepEqual(tidied(text, 0, 4), { start: 0, end: 3 });
  assert.equal(tidied(text, 3, 4), null);
});

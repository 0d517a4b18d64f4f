// Why there is nothing to label is said as it is.

import assert from "node:assert/strict";
import { test } from "node:test";
import { stateFor } from "#label/state.js";

const QUEUE = { current: null, asking: 0, reached: true, paused: false };

/** Names the state of a page whose queue differs so, with so many labels waiting. */
function state(queue, waiting = 0, failing = "") {
  return stateFor({ ...QUEUE, ...queue }, { waiting: () => Array(waiting).fill({}), failing });
}

test("the page says that it was the last one only where the server has said so", () => {
  assert.equal(state({ current: {} }, 3, "offline"), "labelling");
  assert.equal(state({}, 1, "offline"), "waiting");
  assert.equal(state({}, 1), "fetching");
  assert.equal(state({ asking: 1 }), "fetching");
  assert.equal(state({ reached: false }), "unreachable");
  assert.equal(state({ paused: true }), "paused");
  assert.equal(state({}), "finished");
});

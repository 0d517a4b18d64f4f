/** Shows how far the rater is, what is saved, and why there is nothing to label. */

import { $ } from "./dom.js";
import { stateOf } from "./outbox.js";

/** @import { Pace, Progress } from "./desk.js" */
/** @import { Outbox, Receipt } from "./outbox.js" */
/** @import { Queue } from "./queue.js" */
/** @import { Store } from "./store.js" */

/** @typedef {"fetching" | "waiting" | "unreachable" | "paused" | "finished"} Pause why nothing is shown */

const HOUR = 3_600_000;
/** @type {{ today: number, lastHour: number, since: number, stamps: number[] }} */
const pace = { today: 0, lastHour: 0, since: 0, stamps: [] };
let extra = "";
let received = false;

/**
 * Shows the state of the page.
 * @param {{ queue: Queue, outbox: Outbox, store: Store }} parts
 */
export function showState({ queue, outbox, store }) {
  showTally(queue.progress);
  showSaving(outbox, store);
  const state = stateFor(queue, outbox);
  $("workspace").dataset.state = state;
  $("workspace").hidden = state !== "labelling";
  $("empty").hidden = state === "labelling";
  if (state !== "labelling") say(state, queue.progress.done);
}

/**
 * Takes the pace so far, as the server knows it.
 * @param {Pace} so_far
 */
export function takePace({ today, last_hour: lastHour }) {
  Object.assign(pace, { today, lastHour, since: Date.now() });
}

/**
 * Counts a receipt.
 * @param {Receipt} receipt
 */
export function countReceipt({ entry, data }) {
  received = true;
  extra = data.saved?.surplus ? ": kept as an extra, as its places were taken meanwhile" : "";
  if (entry.kind !== "label" || entry.base > 0) return;
  pace.today++;
  pace.stamps.push(Date.now());
}

/** @param {Progress} progress */
function showTally({ done, left }) {
  const [started, now] = [pace.since, Date.now()];
  pace.stamps = pace.stamps.filter((at) => now - at < HOUR);
  const lately = Math.round(pace.lastHour * Math.max(1 - (now - started) / HOUR, 0)) + pace.stamps.length;
  $("tally-count").textContent = `${done} done, ${left} left`;
  $("tally-pace").textContent = pace.today ? `${pace.today} today, ${lately} in the last hour` : "";
}

/**
 * @param {Outbox} outbox
 * @param {Store} store
 */
function showSaving(outbox, store) {
  const [state, text] = stateOf(outbox);
  const nothing = state === "saved" && !received;
  const fragile =
    store.fragile && outbox.waiting().length ? " Leave this page open: this browser keeps nothing." : "";
  const said = nothing ? "" : state === "saved" ? text + extra : text + fragile;
  const place = $("save-state");
  place.dataset.state = nothing ? "idle" : state;
  if (place.textContent !== said) place.textContent = said;
}

/**
 * Names the state of the page: labelling, or why not.
 * @param {Pick<Queue, "current" | "asking" | "reached" | "paused">} queue
 * @param {Pick<Outbox, "waiting" | "failing">} outbox
 * @returns {Pause | "labelling"}
 */
export function stateFor(queue, outbox) {
  if (queue.current) return "labelling";
  if (outbox.waiting().length && outbox.failing) return "waiting";
  if (outbox.waiting().length || queue.asking) return "fetching";
  if (!queue.reached) return "unreachable";
  return queue.paused ? "paused" : "finished";
}

/** @type {Record<Pause, [title: string, text: string]>} */
const WORDS = {
  fetching: ["One moment", "The next responses are on their way."],
  waiting: [
    "Nothing more to show for now",
    "What you have labelled waits in this browser and is sent when the server answers; then it goes on here.",
  ],
  unreachable: [
    "Nothing more to show for now",
    "The server doesn't answer, so no further responses can be fetched. " +
      "All that you have labelled is saved; look again in a moment.",
  ],
  paused: [
    "Your work here is paused",
    "The study's owner has paused it. What you have labelled is kept; look again later, or ask them.",
  ],
  finished: ["That was the last one", ""],
};

/**
 * Says why there is nothing to label.
 * @param {Pause} state
 * @param {number} done
 */
function say(state, done) {
  const nothing = state === "finished" && !done;
  const thanks = `You have labelled ${done} response${done === 1 ? "" : "s"}. Thank you.`;
  const [title, text] = nothing
    ? [
        "Nothing to label right now",
        "Every response has the raters it needs, or none has been drawn for people yet.",
      ]
    : WORDS[state];
  $("empty-title").textContent = title;
  $("empty-text").textContent = text || thanks;
  $("empty-actions").hidden = state === "fetching";
}

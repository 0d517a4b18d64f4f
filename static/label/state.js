// What the page says of itself: how far the rater is, what is saved, and why there is nothing to label.

import { $ } from "./dom.js";
import { stateOf } from "./outbox.js";

const HOUR = 3_600_000;
const pace = { today: 0, lastHour: 0, since: 0, stamps: [] };
let extra = "";
let received = false;

export function showState({ queue, outbox, store }) {
  tally(queue.progress);
  saving(outbox, store);
  const state = stateFor(queue, outbox);
  $("workspace").dataset.state = state;
  $("workspace").hidden = state !== "labelling";
  $("empty").hidden = state === "labelling";
  if (state !== "labelling") say(state, queue.progress.done);
}

showState.pace = ({ today, last_hour: lastHour }) => Object.assign(pace, { today, lastHour, since: Date.now() });

showState.receipt = ({ entry, data }) => {
  received = true;
  extra = data.saved?.surplus ? ": kept as an extra, as its places were taken meanwhile" : "";
  if (entry.kind !== "label" || entry.base > 0) return;
  pace.today++;
  pace.stamps.push(Date.now());
};

function tally({ done, left }) {
  const [started, now] = [pace.since, Date.now()];
  pace.stamps = pace.stamps.filter((at) => now - at < HOUR);
  const lately = Math.round(pace.lastHour * Math.max(1 - (now - started) / HOUR, 0)) + pace.stamps.length;
  $("tally-count").textContent = `${done} done, ${left} left`;
  $("tally-pace").textContent = pace.today ? `${pace.today} today, ${lately} in the last hour` : "";
}

function saving(outbox, store) {
  const [state, text] = stateOf(outbox);
  const nothing = state === "saved" && !received;
  const fragile = store.fragile && outbox.waiting().length ? " Leave this page open: this browser keeps nothing." : "";
  const said = nothing ? "" : state === "saved" ? text + extra : text + fragile;
  const place = $("save-state");
  place.dataset.state = nothing ? "idle" : state;
  if (place.textContent !== said) place.textContent = said;
}

function stateFor(queue, outbox) {
  if (queue.current) return "labelling";
  if (outbox.waiting().length && outbox.failing) return "waiting";
  if (outbox.waiting().length || queue.asking) return "fetching";
  if (!queue.reached) return "unreachable";
  return queue.paused ? "paused" : "finished";
}

const WORDS = {
  fetching: ["One moment", "The next responses are on their way."],
  waiting: ["Nothing more to show for now", "What you have labelled waits in this browser and is sent when the server answers; then it goes on here."],
  unreachable: ["Nothing more to show for now", "The server doesn't answer, so no further responses can be fetched. All that you have labelled is saved; look again in a moment."],
  paused: ["Your work here is paused", "The study's owner has paused it. What you have labelled is kept; look again later, or ask them."],
  finished: ["That was the last one", ""],
};

function say(state, done) {
  const nothing = state === "finished" && !done;
  const thanks = `You have labelled ${done} response${done === 1 ? "" : "s"}. Thank you.`;
  $("empty-title").textContent = nothing ? "Nothing to label right now" : WORDS[state][0];
  $("empty-text").textContent = nothing ? "Every response has the raters it needs, or none has been drawn for people yet." : WORDS[state][1] || thanks;
  $("empty-actions").hidden = state === "fetching";
}

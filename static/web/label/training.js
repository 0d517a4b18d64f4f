/**
 * Hears the keys of the training round: 1 to 9 choose a label, Ctrl or Cmd with Enter sends it, Enter goes
 * on after it.
 */

import { element } from "./dom.js";
import { digitOf, modified, sends } from "./keymap.js";
import { chooseNumber, findGroup } from "./options.js";
import { reading, scrollsReading, typing } from "./pressing.js";

const form = element("rating-form", HTMLFormElement);
const group = findGroup("label");

document.addEventListener("keydown", (event) => {
  if (event.defaultPrevented) return;
  const goesOn = !group && reading() === document.activeElement; // an outcome was read
  if (sends(event) || (event.key === "Enter" && goesOn)) {
    event.preventDefault();
    if (!event.repeat) form.requestSubmit();
    return;
  }
  if (modified(event) || typing(event.target)) return;
  const digit = group && digitOf(event);
  if (digit) {
    event.preventDefault();
    chooseNumber(group, Number(digit));
  } else scrollsReading(event);
});
document.documentElement.dataset.running = ""; // else the page says that it could not load

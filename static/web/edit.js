/**
 * Shows of a study's form what the ticked plan and switches need. Without this, all of it is there, and what
 * doesn't belong to the chosen plan is ignored.
 */

const form = formOfStudy();

/** Finds the form, which must be there. */
function formOfStudy() {
  const found = document.getElementById("set");
  if (!found) throw new Error("The page has no form.");
  return found;
}

/**
 * Finds the parts of the form that have this attribute.
 * @param {string} attribute
 */
function partsWith(attribute) {
  return [...form.querySelectorAll(`[${attribute}]`)].filter((part) => part instanceof HTMLElement);
}

/**
 * Finds what is ticked of what a selector names.
 * @param {string} selector
 */
const ticked = (selector) => form.querySelector(`${selector}:checked`);

/** Shows what is needed now. */
function show() {
  const plan = ticked("[name=plan]");
  const chosen = plan instanceof HTMLInputElement ? plan.value : "everyone";
  for (const part of partsWith("data-plan")) part.hidden = part.dataset.plan !== chosen;
  for (const part of partsWith("data-when")) part.hidden = !ticked(`[name="${part.dataset.when}"]`);
}

form.addEventListener("change", show);
show();
document.documentElement.dataset.running = ""; // else the page says that it could not load

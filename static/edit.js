// Shows of a study's form what the ticked plan and switches need. Without this, all of it is there, and what doesn't belong
// to the chosen plan is ignored.
const form = document.getElementById("set");

function show() {
  const plan = form.querySelector("[name=plan]:checked")?.value ?? "everyone";
  for (const part of form.querySelectorAll("[data-plan]")) part.hidden = part.dataset.plan !== plan;
  for (const part of form.querySelectorAll("[data-when]")) part.hidden = !form.elements[part.dataset.when].checked;
}

form.addEventListener("change", show);
show();

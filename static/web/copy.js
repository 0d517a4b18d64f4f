/**
 * Copies what a field holds, a link that is shown only once, where the browser lets pages do so.
 */

for (const button of document.querySelectorAll("button[data-copies]")) {
  const field = document.getElementById(button.getAttribute("data-copies") ?? "");
  if (!(button instanceof HTMLButtonElement && field instanceof HTMLTextAreaElement)) continue;
  button.hidden = !navigator.clipboard;
  button.addEventListener("click", async () => {
    await navigator.clipboard.writeText(field.value);
    if (button.firstElementChild) button.firstElementChild.textContent = "Copied";
  });
}

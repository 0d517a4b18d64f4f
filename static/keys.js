// Keys of the rating form: 1-9 choose a label, ctrl or cmd with enter submits. Off while typing in a field.

const typing = (element) => element.matches("textarea, select, input:not([type=radio])");

document.addEventListener("keydown", (event) => {
  const form = document.getElementById("rating-form");
  if (!form) return;
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
    event.preventDefault();
    form.requestSubmit();
    return;
  }
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.key === "Escape" && typing(event.target)) event.target.blur();
  if (typing(event.target)) return;
  const option = /^[1-9]$/.test(event.key) && form.querySelector(`[data-position="${event.key}"]`);
  if (option) {
    event.preventDefault();
    option.checked = true;
    option.focus();
  }
});

// What improves a page that works without it: menus that close, buttons that are pressed once, copying, leaving a form.
"use strict";

// A form is sent once: a second press while it is on its way does nothing. <form data-download> is answered by a file,
// which leaves the page as it is: there one may press again.
document.addEventListener("submit", (event) => {
  const form = event.target;
  if (form.hasAttribute("hx-post") || form.hasAttribute("data-download") || form.method !== "post") return;
  if (form.dataset.sent) {
    event.preventDefault();
    return;
  }
  form.dataset.sent = "yes";
});
window.addEventListener("pageshow", () => {
  for (const form of document.querySelectorAll("form[data-sent]")) delete form.dataset.sent;
});

// Menus close when one presses elsewhere or Escape.
document.addEventListener("click", (event) => {
  for (const menu of document.querySelectorAll("details.menu[open], details.more[open]")) {
    if (!menu.contains(event.target)) menu.open = false;
  }
  const copied = event.target.closest("[data-copies]");
  if (copied) copy(copied);
});
document.addEventListener("keydown", (event) => {
  if (event.key !== "Escape") return;
  for (const menu of document.querySelectorAll("details.menu[open], details.more[open]")) {
    menu.open = false;
    menu.querySelector("summary").focus();
  }
});

// <button type="button" data-copies="id of the text" data-copied="Copied">Copy</button>
async function copy(button) {
  await navigator.clipboard.writeText(document.getElementById(button.dataset.copies).textContent.trim());
  const label = button.textContent;
  button.textContent = button.dataset.copied;
  setTimeout(() => { button.textContent = label; }, 2000);
}

// <form data-unsaved="sentence">: leaving with changes asks first.
const changed = new Set();
document.addEventListener("input", (event) => {
  const form = event.target.closest("form[data-unsaved]");
  if (form) changed.add(form);
});
window.addEventListener("beforeunload", (event) => {
  for (const form of changed) {
    if (form.isConnected && !form.dataset.sent) event.preventDefault();
  }
});

// The error summary of an answer that htmx put in takes the focus, as it does on a page of its own.
document.addEventListener("htmx:afterSwap", (event) => {
  const summary = event.target.querySelector(".notice[autofocus]");
  if (summary) summary.focus();
});

// The keyword lab: keys press the buttons that show them, and a selected part of a hit goes into the field for a new
// keyword. Without this script the same buttons and fields are used by hand.
document.addEventListener("DOMContentLoaded", () => {
  "use strict";
  // Once a key has been used, the page that it leads to is awaited, so that a second press is no verdict on an unseen hit.
  let leaving = false;

  const isTyping = (target) => target.closest?.("input:not([type=radio]), textarea, select, [contenteditable], dialog");

  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.repeat || isTyping(event.target)) return;
    // By the key's place as well: with a Russian keyboard layout the key S types ы.
    const typed = event.code.startsWith("Key") ? event.code.slice(3) : event.key;
    const button = document.querySelector(`[data-key="${CSS.escape(typed.toLowerCase())}"]`);
    if (!button || leaving) return;
    event.preventDefault();
    if (button.form && !button.form.checkValidity()) {
      button.form.reportValidity();
      return;
    }
    leaving = true;
    button.click();
  });
  document.addEventListener("submit", (event) => {
    if (event.target.matches(".lab-verdicts, .lab-last")) {
      if (event.target.dataset.sent) event.preventDefault();
      event.target.dataset.sent = "1";
    }
  });
  window.addEventListener("pageshow", () => {
    leaving = false;
    for (const form of document.querySelectorAll("form[data-sent]")) delete form.dataset.sent;
  });

  // On a phone the tabs do not fit beside each other.
  document.querySelector(".lab-tabs [aria-current]")?.scrollIntoView({ inline: "center", block: "nearest" });

  const hit = document.getElementById("lab-hit");
  const term = document.getElementById("lab-term");
  const literal = document.getElementById("lab-literal");
  if (!hit || !literal) return;
  // What is typed may have operators; what is selected is a part of the message.
  term.addEventListener("input", () => { literal.value = ""; });
  document.addEventListener("selectionchange", () => {
    const selection = document.getSelection();
    if (!selection.rangeCount || selection.isCollapsed || !hit.contains(selection.anchorNode) || !hit.contains(selection.focusNode)) return;
    term.value = selection.toString().replace(/\s+/g, " ").trim().slice(0, term.maxLength);
    literal.value = "1";
  });
});

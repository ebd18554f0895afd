// Warns about unsaved changes in a form. An operation uses the saved values, so a dialog before it offers to save first.
// Before any other way of leaving the page, the browser warns.
(() => {
  "use strict";
  let leaving = false;

  const form = () => {
    const found = document.querySelector("#content-main form[id$=_form]");
    return found && document.querySelector("#submit-row [name=_save]") ? found : null;
  };

  const differs = (field) => {
    if (field.disabled || !field.name || field.name.includes("__prefix__")) return false;
    if (field.type === "checkbox" || field.type === "radio") return field.checked !== field.defaultChecked;
    if (field.type === "file") return field.value !== "";
    if (field.tagName === "SELECT") {
      const options = [...field.options];
      // The first option of a required autocomplete is the choice itself: there is no empty one before it.
      if (!field.multiple && !options.some((option) => option.defaultSelected)) return field.value !== "";
      return options.some((option) => option.selected !== option.defaultSelected);
    }
    return ["INPUT", "TEXTAREA"].includes(field.tagName) && field.type !== "hidden" && field.value !== field.defaultValue;
  };

  // Values that the server sent back with an error are not saved either.
  const unsaved = () => {
    const edited = form();
    return Boolean(edited) && (edited.querySelector(".errorlist, .errornote") !== null || [...edited.elements].some(differs));
  };
  window.panelUnsaved = unsaved;

  const button = (text, act, primary) => {
    const made = document.createElement("button");
    made.type = "button";
    made.className = primary ? "panel-button panel-button-primary" : "panel-button";
    made.textContent = text;
    made.addEventListener("click", act);
    return made;
  };

  const confirm = (name, address, proceed) => {
    const dialog = document.createElement("dialog");
    dialog.className = "panel-dialog";
    const text = document.createElement("p");
    text.textContent = `You have unsaved changes on this page. “${name}” uses the saved values.`;
    const choices = document.createElement("div");
    choices.className = "panel-operations";
    const save = () => {
      const then = document.createElement("input");
      Object.assign(then, { type: "hidden", name: "_then", value: address });
      form().append(then);
      leaving = true;
      form().requestSubmit(document.querySelector("#submit-row [name=_save]"));
    };
    const without = () => {
      leaving = true;
      proceed();
    };
    choices.append(
      button(`Save, then ${name}`, save, true),
      button("Continue without saving", without),
      button("Stay on this page", () => dialog.close()),
    );
    dialog.append(text, choices);
    dialog.addEventListener("close", () => dialog.remove());
    document.body.append(dialog);
    dialog.showModal();
  };

  // An icon's name is text as well; it is not part of the label.
  const named = (element) => {
    const copy = element.cloneNode(true);
    copy.querySelectorAll(".material-symbols-outlined").forEach((icon) => icon.remove());
    return copy.textContent.trim();
  };

  document.addEventListener("click", (event) => {
    const link = event.target.closest?.(".panel-operations a[href]");
    if (!link || link.closest("dialog") || link.target === "_blank" || event.ctrlKey || event.metaKey || !unsaved()) return;
    event.preventDefault();
    confirm(named(link), link.getAttribute("href"), () => location.assign(link.href));
  });
  document.addEventListener("submit", (event) => {
    if (event.target === form()) {
      leaving = true;
    } else if (event.target.closest(".panel-operations") && unsaved()) {
      event.preventDefault();
      const pressed = event.submitter || event.target.querySelector("button");
      confirm(named(pressed), event.target.getAttribute("action"), () => event.target.submit());
    }
  });
  window.addEventListener("beforeunload", (event) => {
    if (!leaving && unsaved()) event.preventDefault();
  });
  window.addEventListener("pageshow", () => { leaving = false; });
})();

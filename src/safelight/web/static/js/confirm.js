/** Asks before something is gone for good. */

import { el } from "./dom.js";

/** Resolves to true when the person agrees; Escape and "Keep" mean no. */
export function confirmed({ title, detail, yes }) {
  const dialog = document.getElementById("confirm");
  dialog.replaceChildren(
    el("h2", { id: "confirm-title" }, title),
    el("p", {}, detail),
    el("form", { method: "dialog" },
      el("button", { class: "quiet-button", value: "no", autofocus: true }, "Keep"),
      el("button", { class: "primary", value: "yes" }, yes)));
  dialog.returnValue = "no";
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => resolve(dialog.returnValue === "yes"), { once: true });
  });
}

/** Tells people things: short notices in the corner, and words for screen readers. */

import { el, icon } from "./dom.js";

const SHOWN_MS = 7000;
const MOST = 4;

/**
 * Shows a notice; `bad` ones are announced at once. With `undo` it offers that; `then` runs once,
 * when the notice has gone and nobody has undone it.
 */
export function toast(words, { bad = false, undo = null, then = () => {} } = {}) {
  const box = document.getElementById("toasts");
  let open = true;
  const end = (last) => () => {
    note.remove();
    if (open) last();
    open = false;
  };
  const close = end(then);
  const note = el("div", { class: bad ? "toast bad" : "toast", role: bad ? "alert" : "status" },
    el("p", {}, words),
    undo && el("button", { type: "button", class: "quiet-button", on: { click: end(undo) } }, "Undo"),
    el("button", { type: "button", "aria-label": "Dismiss", on: { click: close } }, icon("close")));
  box.append(note);
  while (box.children.length > MOST) box.firstElementChild.remove(); // its time goes on
  setTimeout(close, SHOWN_MS);
  return close;
}

/**
 * Shows what an exception of api.js says, after the name of what it is about if one is given;
 * anything else is a fault of the page and goes on up.
 */
export function toastError(error, about = "") {
  if (!("words" in error)) throw error;
  toast(about ? `${about}: ${error.words}` : error.words, { bad: true });
}

/** Says something to screen readers only. */
export function say(words) {
  document.getElementById("announcer").textContent = words;
}

/** Puts text on the clipboard; pages without a secure origin only have the old way. */
export async function copyText(text, what = "Link") {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    copyBySelection(text); // no permission, or plain http on another machine's name
  }
  toast(`${what} copied`);
}

function copyBySelection(text) {
  const host = document.querySelector("dialog[open]") ?? document.body;
  const field = el("textarea", { class: "sr-only", "aria-hidden": "true" });
  field.value = text;
  host.append(field);
  field.select();
  document.execCommand("copy");
  field.remove();
}

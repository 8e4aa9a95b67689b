/** What the three forms of the composer share: sending once, showing refusals, choosing a model. */

import { OnceKey } from "./api.js";
import { el } from "./dom.js";

/**
 * Sends a form by button or Ctrl+Enter. `submit(key)` sends it under an idempotency key and may
 * reject; `describe()` gives what is sent as text, so that the same wish keeps the same key.
 */
export function startForm(form, { describe, submit }) {
  const button = form.querySelector("button[type=submit]");
  const error = form.querySelector(".form-error");
  const once = new OnceKey();
  let sending = false;

  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    if (sending) return;
    sending = true;
    error.hidden = true;
    button.setAttribute("aria-busy", "true");
    try {
      await submit(once.for(describe()));
      once.used();
    } catch (failure) {
      if (!("words" in failure)) throw failure;
      error.textContent = failure.words;
      error.hidden = false;
    } finally {
      sending = false;
      button.removeAttribute("aria-busy");
    }
  });
  form.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || !(event.ctrlKey || event.metaKey)) return;
    event.preventDefault();
    if (!button.disabled) form.requestSubmit(button);
  });
}

/** Fills the model choice of a form; `onChange(model)` is called for the first and each later one. */
export function fillModels(form, models, onChange) {
  const select = form.elements.model;
  const about = form.querySelector("[data-model-about]");
  select.replaceChildren(...models.map((model) => el("option", { value: model.id }, model.title || model.id)));
  select.closest("label").hidden = models.length === 0;
  const tell = () => {
    const model = models.find((one) => one.id === select.value);
    if (!model) return;
    about.textContent = [model.description, price(model.price_micros)].filter(Boolean).join(" ");
    onChange(model);
  };
  select.onchange = tell;
  tell();
}

function price(micros) {
  if (micros === 0) return "Free.";
  return Number.isFinite(micros) ? `About ${(micros / 1_000_000).toFixed(3)} a picture.` : "";
}

/** Who is at the page: shows the sign-in panel to strangers and the page to account holders. */

import { api, Problem, wire } from "./api.js";
import { toastError } from "./toast.js";

/** Calls `onSignedIn` each time somebody has come in; `enter` tries with the cookie at hand. */
export function startSession({ panel, app, signOut, onSignedIn, onSignedOut }) {
  const form = panel.querySelector("form");
  const error = form.querySelector(".form-error");
  let inside = false;

  function leave() {
    inside = false;
    app.hidden = true;
    signOut.hidden = true;
    panel.hidden = false;
    onSignedOut();
    form.elements.key.focus();
  }

  function welcome() {
    if (inside) return;
    inside = true;
    form.reset();
    error.hidden = true;
    panel.hidden = true;
    app.hidden = false;
    signOut.hidden = false;
    onSignedIn();
  }

  if (new URLSearchParams(location.search).get("login") === "expired") {
    error.textContent = "This login link was used or has expired. `safelight login` prints another.";
    error.hidden = false;
  }

  async function enter() {
    try {
      await api.account();
      welcome();
    } catch (failure) {
      if (!(failure instanceof Problem)) return; // away: the banner says so and we come back here
      if (failure.status !== 401) toastError(failure);
    }
  }

  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    error.hidden = true;
    try {
      await api.signIn(form.elements.key.value.trim());
      welcome();
    } catch (failure) {
      error.textContent = failure.words;
      error.hidden = false;
    }
  });
  signOut.addEventListener("click", () => api.signOut().then(leave, toastError));
  wire.addEventListener("signed-out", leave);
  return { enter, isInside: () => inside };
}

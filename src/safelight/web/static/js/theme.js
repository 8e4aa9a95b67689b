/** Switches between the dark and the light room, and remembers the choice. */

import { icon } from "./dom.js";

const KEY = "safelight-theme";

function current() {
  const chosen = document.documentElement.dataset.theme;
  if (chosen) return chosen;
  return matchMedia("(prefers-color-scheme: light)").matches ? "light" : "dark";
}

function draw(button) {
  const dark = current() === "dark";
  const label = dark ? "Switch to the light theme" : "Switch to the dark theme";
  button.replaceChildren(icon(dark ? "sun" : "moon"));
  button.setAttribute("aria-label", label);
  button.title = label;
}

function remember(theme) {
  try {
    localStorage.setItem(KEY, theme);
  } catch {
    // Storage is blocked: the choice holds until the page closes.
  }
}

export function startTheme(button) {
  draw(button);
  matchMedia("(prefers-color-scheme: light)").addEventListener("change", () => draw(button));
  button.addEventListener("click", () => {
    const next = current() === "dark" ? "light" : "dark";
    document.documentElement.dataset.theme = next;
    remember(next);
    draw(button);
  });
}

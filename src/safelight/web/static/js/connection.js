/** Notices that the server is away, says so quietly, and knocks until it is back. */

import { ping, wire } from "./api.js";

const FIRST_KNOCK_MS = 1500;
const LAST_KNOCK_MS = 15_000;

/** Watches the wire; calls `onBack` once each time the server returns. */
export function startConnection(banner, onBack) {
  let away = false;
  let wait = FIRST_KNOCK_MS;

  async function knock() {
    if (!away) return;
    if (await ping()) {
      arrived();
      return;
    }
    wait = Math.min(wait * 1.6, LAST_KNOCK_MS);
    setTimeout(knock, wait);
  }

  function left() {
    if (away) return;
    away = true;
    wait = FIRST_KNOCK_MS;
    banner.textContent = "The server is away. Reconnecting; work in progress goes on without this page.";
    banner.hidden = false;
    setTimeout(knock, wait);
  }

  function arrived() {
    if (!away) return;
    away = false;
    banner.hidden = true;
    onBack();
  }

  wire.addEventListener("away", left);
  wire.addEventListener("back", arrived);
  window.addEventListener("offline", left);
}

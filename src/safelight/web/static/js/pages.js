/** The two pages of this document: the studio, and the notifications at #notifications. */

const NAME = "#notifications";

/** Shows what the address says once somebody is in; `onNotifications` fills that page each time. */
export function startPages({ studio, notifications, link, onNotifications }) {
  let inside = false;

  function show({ moveFocus }) {
    const chosen = inside && location.hash === NAME;
    notifications.hidden = !chosen;
    studio.hidden = chosen;
    link.hidden = !inside;
    if (chosen) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
    document.title = chosen ? "Notifications · Safelight" : "Safelight";
    if (chosen) onNotifications();
    if (chosen && moveFocus) notifications.focus();
  }

  window.addEventListener("hashchange", () => show({ moveFocus: true }));
  return {
    enter: () => {
      inside = true;
      show({ moveFocus: false });
    },
    leave: () => {
      inside = false;
      link.hidden = true;
    },
  };
}

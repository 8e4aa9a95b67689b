/**
 * The two pages of this document: the studio, and the notifications at #notifications. The id of a
 * job or batch, such as #job_01m8…, is the studio with that result in sight.
 */

const NAME = "#notifications";
const SUBJECT = /^#((?:job|bat)_[0-9a-z]+)$/;

/**
 * Shows what the address says once somebody is in; `onNotifications` fills that page each time,
 * `onSubject` brings a result into sight.
 */
export function startPages({ studio, notifications, link, onNotifications, onSubject }) {
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
    const [, subject] = (inside && SUBJECT.exec(location.hash)) || [];
    if (subject) onSubject(subject);
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

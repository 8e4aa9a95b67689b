/** The three tabs of the composer, also reachable by address (#create, #import, #model). */

export function startTabs(list) {
  const tabs = [...list.querySelectorAll("[role=tab]")];
  const nameOf = (tab) => tab.getAttribute("aria-controls");

  function show(name) {
    const chosen = tabs.find((tab) => nameOf(tab) === name) ?? tabs[0];
    for (const tab of tabs) {
      const active = tab === chosen;
      tab.setAttribute("aria-selected", String(active));
      tab.tabIndex = active ? 0 : -1;
      document.getElementById(nameOf(tab)).hidden = !active;
    }
    document.body.dataset.tab = nameOf(chosen);
    return chosen;
  }

  function go(name) {
    history.replaceState(null, "", `#${name}`);
    return show(name);
  }

  list.addEventListener("click", (event) => {
    const tab = event.target.closest("[role=tab]");
    if (tab) go(nameOf(tab));
  });
  list.addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!step) return;
    event.preventDefault();
    const at = tabs.indexOf(document.activeElement);
    go(nameOf(tabs[(at + step + tabs.length) % tabs.length])).focus();
  });
  // An address of another page of this document leaves the tabs as they are.
  window.addEventListener("hashchange", () => {
    const name = location.hash.slice(1);
    if (!name || tabs.some((tab) => nameOf(tab) === name)) show(name);
  });
  show(location.hash.slice(1));
  return { go };
}

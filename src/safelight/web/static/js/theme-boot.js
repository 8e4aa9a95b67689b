/* Sets the chosen theme before the first paint, so that the page never flashes the other one. */
(function boot() {
  var chosen = null;
  try {
    chosen = localStorage.getItem("safelight-theme");
  } catch (refused) {
    chosen = null; // storage is blocked: follow the system
  }
  if (chosen === "dark" || chosen === "light") {
    document.documentElement.dataset.theme = chosen;
  }
})();

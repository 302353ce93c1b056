// Numbers beside entries of the menu, asked for when the page is there and every half minute while it is looked at.
(() => {
  const EVERY_MS = 30000;
  const ADDRESS = "/admin/badges/";
  const MENU = "#nav-sidebar-apps";

  function show(badges) {
    for (const old of document.querySelectorAll(`${MENU} .bo-badge`)) old.remove();
    for (const [address, number] of Object.entries(badges)) {
      for (const link of document.querySelectorAll(`${MENU} a[href="${address}"]`)) {
        const badge = document.createElement("span");
        badge.className = "bo-badge";
        badge.textContent = number > 99 ? "99+" : String(number);
        link.append(badge);
      }
    }
  }

  async function ask() {
    if (document.hidden) return;
    try {
      const answer = await fetch(ADDRESS, { headers: { Accept: "application/json" }, credentials: "same-origin" });
      if (answer.ok && (answer.headers.get("content-type") || "").includes("json")) show((await answer.json()).badges);
    } catch {
      // the next one
    }
  }

  document.addEventListener("DOMContentLoaded", () => {
    if (!document.querySelector(MENU)) return;
    ask();
    setInterval(ask, EVERY_MS);
    document.addEventListener("visibilitychange", ask);
  });
})();

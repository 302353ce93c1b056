// The theme's scroll areas have an English name by default: they get the page's own.
document.addEventListener("DOMContentLoaded", () => {
  const label = document.querySelector("[data-scroll-label]")?.dataset.scrollLabel;
  if (label && window.SimpleBar) SimpleBar.defaultOptions.ariaLabel = label;
});

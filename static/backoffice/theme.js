// The theme's scroll areas have an English name by default: they get the page's own.
document.addEventListener("DOMContentLoaded", () => {
  const label = document.querySelector("[data-scroll-label]")?.dataset.scrollLabel;
  if (label && window.SimpleBar) SimpleBar.defaultOptions.ariaLabel = label;
});

// The command search (Ctrl + K) by keyboard: Enter opens the result that is marked, the first one as soon as results are
// there, and waits for them where it came before. The theme's own forgets to mark one, and fails without.
document.addEventListener("alpine:init", () => {
  const themes = window.searchCommand;
  if (!themes) return;
  window.searchCommand = () => {
    const theme = themes();
    return {
      ...theme,
      shownFor: null, // the words that the results belong to
      openFor: null, // the words that Enter was pressed for, before their results came
      handleContentLoaded(event) {
        theme.handleContentLoaded.call(this, event);
        this.shownFor = this.$refs.searchInputCommand.value;
        this.currentIndex = this.totalItems ? 1 : 0;
        const opens = this.openFor !== null && this.openFor === this.shownFor;
        this.openFor = null;
        if (opens) this.selectItem(false, false);
      },
      selectItem(addHistory, inNewTab = false) {
        const words = this.$refs.searchInputCommand.value;
        if (words !== this.shownFor) {
          this.openFor = words;
          return;
        }
        if (this.items?.[this.currentIndex - 1]) theme.selectItem.call(this, addHistory, inNewTab);
      },
    };
  };
});

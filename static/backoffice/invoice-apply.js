// The sum of the orders that are ticked, and the fields of a new title where one is chosen. Without this the page works
// all the same: the service adds up, and fields of a new title are read for a new title alone.
document.addEventListener("DOMContentLoaded", () => {
  const form = document.getElementById("invoice-apply");
  if (!form) return;
  const boxes = [...form.querySelectorAll("input[name=orders]")];
  const all = form.querySelector("[data-all]");
  const title = form.querySelector("select[name=title]");
  const fields = form.querySelector("[data-new-title]");

  function add() {
    const ticked = boxes.filter((box) => box.checked);
    const fen = ticked.reduce((sum, box) => sum + Math.round(Number(box.dataset.amount) * 100), 0);
    form.querySelector("[data-count]").textContent = ticked.length;
    form.querySelector("[data-total]").textContent = (fen / 100).toFixed(2);
    all.checked = ticked.length === boxes.length;
    all.indeterminate = ticked.length > 0 && !all.checked;
  }

  function show() {
    fields.hidden = title.value !== "new";
  }

  all.closest("label").hidden = false;
  all.addEventListener("change", () => {
    boxes.forEach((box) => (box.checked = all.checked));
    add();
  });
  boxes.forEach((box) => box.addEventListener("change", add));
  title.addEventListener("change", show);
  add();
  show();
});

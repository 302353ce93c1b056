// Paints the 48 half hours of a tariff. The hidden field `slots` holds 48 digits and is all that is sent.
(function () {
  const form = document.getElementById("price-editor");
  if (!form) return;
  const field = form.querySelector('input[name="slots"]');
  const strip = document.getElementById("bo-paint");
  const periods = document.getElementById("bo-periods");
  const brushes = [...form.querySelectorAll(".bo-brush")];
  const classes = brushes.map((brush) => ({ key: brush.dataset.class, name: brush.textContent.trim() }));
  let slots = /^[0-4]{48}$/.test(field.value) ? [...field.value].map(Number) : Array(48).fill(2);
  let chosen = 0;
  let painting = false;

  const clock = (slot) => String(Math.floor(slot / 2)).padStart(2, "0") + ":" + (slot % 2 ? "30" : "00");
  const cells = slots.map((_, slot) => {
    const cell = document.createElement("button");
    cell.type = "button";
    cell.dataset.slot = slot;
    strip.append(cell);
    return cell;
  });

  function draw() {
    field.value = slots.join("");
    cells.forEach((cell, slot) => {
      const rate = classes[slots[slot]];
      cell.className = "bo-rate-" + rate.key;
      cell.title = clock(slot) + "–" + clock(slot + 1) + " " + rate.name;
      cell.setAttribute("aria-label", cell.title);
    });
    periods.replaceChildren();
    for (let start = 0; start < 48; ) {
      let end = start;
      while (end < 48 && slots[end] === slots[start]) end += 1;
      const row = periods.insertRow();
      row.insertCell().textContent = clock(start) + "–" + clock(end);
      const cell = row.insertCell();
      const swatch = document.createElement("i");
      swatch.className = "bo-swatch bo-rate-" + classes[slots[start]].key;
      cell.append(swatch, classes[slots[start]].name);
      start = end;
    }
  }

  function paint(slot) {
    slots[slot] = chosen;
    draw();
  }

  brushes.forEach((brush) =>
    brush.addEventListener("click", () => {
      chosen = Number(brush.dataset.code);
      brushes.forEach((other) => other.setAttribute("aria-checked", String(other === brush)));
    }),
  );
  strip.addEventListener("pointerdown", (event) => {
    const cell = event.target.closest("button");
    if (!cell) return;
    event.preventDefault();
    painting = true;
    paint(Number(cell.dataset.slot));
  });
  strip.addEventListener("pointermove", (event) => {
    if (!painting) return;
    const cell = document.elementFromPoint(event.clientX, event.clientY)?.closest("#bo-paint button");
    if (cell) paint(Number(cell.dataset.slot));
  });
  window.addEventListener("pointerup", () => (painting = false));
  window.addEventListener("pointercancel", () => (painting = false));
  strip.addEventListener("keydown", (event) => {
    const slot = Number(event.target.dataset.slot);
    if (event.key === "Enter" || event.key === " ") {
      event.preventDefault();
      paint(slot);
    } else if (event.key === "ArrowRight" || event.key === "ArrowLeft") {
      event.preventDefault();
      cells[(slot + (event.key === "ArrowRight" ? 1 : 47)) % 48].focus();
    }
  });
  document.getElementById("bo-apply").addEventListener("click", () => {
    const from = Number(document.getElementById("bo-from").value);
    const to = Number(document.getElementById("bo-to").value);
    for (let slot = from; slot < to; slot += 1) slots[slot] = chosen;
    draw();
  });

  // Sums on the page are for the eye; the server adds decimals itself.
  const units = (text) => {
    const found = /^(\d{1,5})(?:\.(\d{1,5}))?$/.exec(text.trim());
    return found ? Number(found[1]) * 100000 + Number((found[2] || "").padEnd(5, "0")) : null;
  };
  function sums() {
    form.querySelectorAll("tr[data-class]").forEach((row) => {
      const [first, second] = [...row.querySelectorAll("input")].map((input) => units(input.value));
      const sum = first === null || second === null ? null : first + second;
      row.querySelector("[data-total]").textContent =
        sum === null ? "–" : Math.floor(sum / 100000) + "." + String(sum % 100000).padStart(5, "0").replace(/0{1,3}$/, "");
    });
  }
  form.addEventListener("input", sums);
  draw();
  sums();
})();

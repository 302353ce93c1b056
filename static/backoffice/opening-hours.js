// Rows of days and times over the one text field that is sent (apps/sites/hours.py says how it is written). A text
// that cannot be read is left as it is, in the field.
(function () {
  const words = document.getElementById("bo-hours-words");
  const field = document.querySelector("input[data-opening-hours]");
  if (!words || !field) return;
  const { days, always, row: rowName, from, until, add, remove } = JSON.parse(words.textContent);
  const rows = parse(field.value);
  if (!rows) return;

  const box = document.createElement("div");
  box.className = "bo-hours";
  field.after(box);
  field.type = "hidden";

  function parse(text) {
    const parts = text.replaceAll("；", ";").split(";").map((part) => part.trim()).filter(Boolean);
    const found = [];
    const named = new Set();
    for (const part of parts) {
      const match = /^(?:([1-7](?:-[1-7])?(?:,[1-7](?:-[1-7])?)*)\s+)?(\d\d:\d\d-\d\d:\d\d(?:,\s*\d\d:\d\d-\d\d:\d\d)*)$/.exec(part);
      if (!match) return null;
      const chosen = new Set();
      for (const piece of (match[1] || "").split(",").filter(Boolean)) {
        const [first, last] = piece.split("-").map(Number);
        for (let day = first; day <= (last || first); day += 1) chosen.add(day);
      }
      chosen.forEach((day) => named.add(day));
      for (const range of match[2].split(",")) {
        const [since, to] = range.trim().split("-");
        found.push({ days: chosen, named: Boolean(match[1]), since, to });
      }
    }
    for (const one of found) if (!one.named) one.days = new Set([1, 2, 3, 4, 5, 6, 7].filter((day) => !named.has(day)));
    return found.length ? found.map((one) => ({ days: new Set(one.days), since: one.since, to: one.to })) : null;
  }

  function text() {
    const byDay = [1, 2, 3, 4, 5, 6, 7].map((day) =>
      rows.filter((row) => row.days.has(day) && row.since && row.to).map((row) => `${row.since}-${row.to}`).sort().join(",")
    );
    if (byDay.every((one) => one === byDay[0])) return byDay[0];
    const groups = new Map();
    byDay.forEach((ranges, day) => ranges && groups.set(ranges, [...(groups.get(ranges) || []), day + 1]));
    return [...groups].map(([ranges, found]) => `${found.join(",")} ${ranges}`).join("; ");
  }

  function draw() {
    field.value = text();
    box.replaceChildren();
    rows.forEach((row, index) => {
      const line = document.createElement("div");
      line.className = "bo-hours-row";
      line.setAttribute("role", "group");
      line.setAttribute("aria-label", `${rowName} ${index + 1}`);
      days.forEach((name, place) => {
        const label = document.createElement("label");
        const tick = document.createElement("input");
        tick.type = "checkbox";
        tick.checked = row.days.has(place + 1);
        tick.addEventListener("change", () => {
          tick.checked ? row.days.add(place + 1) : row.days.delete(place + 1);
          field.value = text();
        });
        label.append(tick, name);
        line.append(label);
      });
      line.append(time(row, "since", from), "–", time(row, "to", until));
      if (rows.length > 1) line.append(button(remove, () => rows.splice(index, 1)));
      box.append(line);
    });
    const below = document.createElement("div");
    below.className = "bo-hours-row";
    below.append(
      button(add, () => rows.push({ days: new Set([6, 7]), since: "09:00", to: "18:00" })),
      button(always, () => rows.splice(0, rows.length, { days: new Set([1, 2, 3, 4, 5, 6, 7]), since: "00:00", to: "24:00" }))
    );
    box.append(below);
  }

  function time(row, end, label) {
    const input = document.createElement("input");
    input.value = row[end];
    input.size = 5;
    input.maxLength = 5;
    input.placeholder = "00:00";
    input.setAttribute("aria-label", label);
    input.addEventListener("input", () => {
      row[end] = input.value.trim().replace("：", ":").replace(/^(\d):/, "0$1:");
      field.value = text();
    });
    return input;
  }

  function button(label, act) {
    const made = document.createElement("button");
    made.type = "button";
    made.className = "bo-button bo-plain";
    made.textContent = label;
    made.addEventListener("click", () => {
      act();
      draw();
    });
    return made;
  }

  draw();
})();

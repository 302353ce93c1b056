// The wall display: nobody touches it. What it shows comes anew every five seconds; what it could not get is said, and
// the old figures stay with their time.
(() => {
  const EVERY_MS = 5_000;
  const byId = (id) => document.getElementById(id);

  function element(tag, words, kind) {
    const made = document.createElement(tag);
    made.textContent = words;
    if (kind) made.className = kind;
    return made;
  }

  function row(cells) {
    const made = document.createElement("tr");
    made.append(...cells.map((words) => element("td", words)));
    return made;
  }

  function tile(one) {
    const made = element("div", "", "tile");
    const figure = element("p", "");
    figure.append(element("b", one.value), " ", element("span", one.unit));
    made.append(element("h2", one.title), figure, element("p", one.change, `change ${one.tone}`));
    return made;
  }

  function state(one) {
    const made = element("div", "", `state ${one.tone}`);
    made.append(element("b", one.count), element("span", one.label));
    return made;
  }

  let chart;
  function draw(data) {
    const text = "#cbd5e1";
    const rule = "#1e3a4f";
    const size = Math.max(12, Math.round(window.innerWidth / 120));
    const axis = { axisLabel: { color: text, fontSize: size }, nameTextStyle: { color: text, fontSize: size }, splitLine: { lineStyle: { color: rule } } };
    const names = data.names;
    chart ??= echarts.init(byId("days"), null, { renderer: "svg" });
    chart.setOption({
      animation: false,
      color: ["#34d399", "#60a5fa", "#fbbf24"],
      legend: { top: 0, textStyle: { color: text, fontSize: size } },
      grid: { left: 8, right: 8, top: size * 4, bottom: 4, containLabel: true },
      xAxis: { type: "category", data: data.labels, axisLabel: { color: text, fontSize: size }, axisLine: { lineStyle: { color: rule } } },
      yAxis: [
        { type: "value", name: names.yuan, ...axis },
        { type: "value", name: names.kwh, ...axis, splitLine: { show: false } },
      ],
      series: [
        { type: "bar", stack: "yuan", name: names.electricity, data: data.series.electricity },
        { type: "bar", stack: "yuan", name: names.service, data: data.series.service },
        { type: "line", yAxisIndex: 1, name: names.energy, data: data.series.energy, symbolSize: size / 2 },
      ],
    });
  }

  function show(data) {
    byId("at").textContent = data.at;
    byId("tiles").replaceChildren(...data.tiles.map(tile));
    byId("stations").replaceChildren(...data.stations.map((one) => row([one.name, one.charging, one.energy, one.income])));
    if (data.guns) {
      byId("guns").replaceChildren(...data.guns.map(state));
      byId("power").textContent = data.power;
    }
    if (data.alarms) {
      byId("alarms").replaceChildren(...data.alarms.map((one) => row([one.at, one.kind, one.where])));
      byId("quiet").hidden = data.alarms.length > 0;
    }
    draw(data.days);
  }

  document.addEventListener("DOMContentLoaded", () => {
    const live = byId("live");
    const fine = live.textContent;
    draw(JSON.parse(byId("data").textContent).days);
    window.addEventListener("resize", () => chart.resize());
    setInterval(async () => {
      try {
        const answer = await fetch(document.body.dataset.address);
        if (!answer.ok || answer.redirected) throw new Error(String(answer.status));
        show(await answer.json());
        live.textContent = fine;
        document.body.classList.remove("lost");
      } catch {
        live.textContent = live.dataset.lost;
        document.body.classList.add("lost");
      }
    }, EVERY_MS);
  });
})();

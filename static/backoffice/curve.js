// A charge over time. The table beside it has the same numbers, from the same points.
document.addEventListener("DOMContentLoaded", () => {
  const box = document.getElementById("curve-chart");
  const source = document.getElementById("curve-data");
  if (!box || !source || typeof echarts === "undefined") return;
  const data = JSON.parse(source.textContent);
  const [power, soc, voltage, current, energy, temperature] = data.series.map((values) =>
    values.map((value, index) => [data.minutes[index], value]),
  );
  const chart = echarts.init(box, null, { renderer: "svg" });

  function draw() {
    const dark = document.documentElement.classList.contains("dark");
    const text = dark ? "#d1d5db" : "#4b5563";
    const rule = dark ? "#374151" : "#e5e7eb";
    const axis = { axisLabel: { color: text }, nameTextStyle: { color: text }, splitLine: { lineStyle: { color: rule } } };
    const [powerName, socName, voltageName, currentName, energyName, temperatureName] = data.names;
    const line = { type: "line", showSymbol: false, connectNulls: false };
    chart.setOption(
      {
        aria: { enabled: true, label: { description: box.dataset.label } },
        animation: false,
        color: dark
          ? ["#34d399", "#60a5fa", "#fbbf24", "#f472b6", "#a78bfa", "#94a3b8"]
          : ["#057a55", "#2563eb", "#b45309", "#be185d", "#6d28d9", "#475569"],
        legend: {
          top: 0,
          textStyle: { color: text },
          selected: { [voltageName]: false, [currentName]: false, [energyName]: false },
        },
        grid: { left: 8, right: 8, top: 56, bottom: 22, containLabel: true },
        tooltip: {
          trigger: "axis",
          backgroundColor: dark ? "#1f2937" : "#ffffff",
          borderColor: rule,
          textStyle: { color: text },
        },
        xAxis: { type: "value", name: box.dataset.minutes, nameLocation: "middle", nameGap: 26, min: "dataMin", max: "dataMax", ...axis, splitLine: { show: false } },
        yAxis: [
          { type: "value", name: powerName, ...axis },
          { type: "value", name: "%, °C", ...axis, splitLine: { show: false } },
        ],
        series: [
          { ...line, name: powerName, data: power, areaStyle: { opacity: 0.12 } },
          { ...line, name: socName, data: soc, yAxisIndex: 1 },
          { ...line, name: temperatureName, data: temperature, yAxisIndex: 1 },
          { ...line, name: voltageName, data: voltage },
          { ...line, name: currentName, data: current },
          { ...line, name: energyName, data: energy },
        ],
      },
      true,
    );
  }

  draw();
  new MutationObserver(draw).observe(document.documentElement, { attributes: true, attributeFilter: ["class"] });
  new ResizeObserver(() => chart.resize()).observe(box);
});

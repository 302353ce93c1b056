// A report as a chart: fees stacked, energy as a line. The table below has the same numbers, from the same rows.
document.addEventListener("DOMContentLoaded", () => {
  const box = document.getElementById("report-chart");
  const source = document.getElementById("report-data");
  if (!box || !source || typeof echarts === "undefined") return;
  const data = JSON.parse(source.textContent);
  const chart = echarts.init(box, null, { renderer: "svg" });

  function draw() {
    const dark = document.documentElement.classList.contains("dark");
    const text = dark ? "#d1d5db" : "#4b5563";
    const rule = dark ? "#374151" : "#e5e7eb";
    const axis = { axisLabel: { color: text }, nameTextStyle: { color: text }, splitLine: { lineStyle: { color: rule } } };
    const bar = { type: "bar", stack: "yuan", barMaxWidth: 28 };
    chart.setOption(
      {
        aria: { enabled: true, label: { description: box.dataset.label } },
        animation: false,
        color: dark ? ["#34d399", "#60a5fa", "#fbbf24"] : ["#057a55", "#2563eb", "#b45309"],
        legend: { top: 0, textStyle: { color: text } },
        grid: { left: 8, right: 8, top: 56, bottom: 4, containLabel: true },
        tooltip: {
          trigger: "axis",
          backgroundColor: dark ? "#1f2937" : "#ffffff",
          borderColor: rule,
          textStyle: { color: text },
        },
        xAxis: {
          type: "category",
          data: data.labels,
          axisLabel: { color: text, hideOverlap: true, width: 120, overflow: "truncate" },
          axisLine: { lineStyle: { color: rule } },
        },
        yAxis: [
          { type: "value", name: data.names.yuan, ...axis },
          { type: "value", name: data.names.kwh, ...axis, splitLine: { show: false } },
        ],
        series: [
          { ...bar, name: data.names.electricity, data: data.electricity },
          { ...bar, name: data.names.service, data: data.service, itemStyle: { borderRadius: [3, 3, 0, 0] } },
          { type: "line", name: data.names.energy, yAxisIndex: 1, data: data.energy, symbolSize: 6 },
        ],
      },
      true,
    );
  }

  draw();
  new MutationObserver(draw).observe(document.documentElement, { attributes: true, attributeFilter: ["class"] });
  new ResizeObserver(() => chart.resize()).observe(box);
});

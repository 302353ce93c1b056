// The overview: charts (each has a table beside it with the same numbers, from the same rows), the tree of stations,
// and what renews itself.
(() => {
  const RENEW_MS = 20_000;

  function colours() {
    const dark = document.documentElement.classList.contains("dark");
    return {
      text: dark ? "#d1d5db" : "#4b5563",
      rule: dark ? "#374151" : "#e5e7eb",
      ground: dark ? "#1f2937" : "#ffffff",
      series: dark ? ["#34d399", "#60a5fa", "#fbbf24"] : ["#057a55", "#2563eb", "#b45309"],
    };
  }

  function series(data) {
    const names = data.names;
    const bar = { type: "bar", barMaxWidth: 22 };
    const line = { type: "line", name: names.energy, yAxisIndex: 1, data: data.series.energy, smooth: false, symbolSize: 6 };
    if (data.series.orders) return [{ ...bar, name: names.orders, data: data.series.orders, itemStyle: { borderRadius: [3, 3, 0, 0] } }, line];
    return [
      { ...bar, stack: "yuan", name: names.electricity, data: data.series.electricity },
      { ...bar, stack: "yuan", name: names.service, data: data.series.service, itemStyle: { borderRadius: [3, 3, 0, 0] } },
      line,
    ];
  }

  function chart(box, data) {
    const drawn = echarts.init(box, null, { renderer: "svg" });
    function draw() {
      const { text, rule, ground, series: palette } = colours();
      const axis = { axisLabel: { color: text }, nameTextStyle: { color: text }, splitLine: { lineStyle: { color: rule } } };
      drawn.setOption(
        {
          aria: { enabled: true, label: { description: box.dataset.label } },
          animation: false,
          color: palette,
          legend: { top: 0, textStyle: { color: text } },
          grid: { left: 8, right: 8, top: 56, bottom: 4, containLabel: true },
          tooltip: { trigger: "axis", backgroundColor: ground, borderColor: rule, textStyle: { color: text } },
          xAxis: { type: "category", data: data.labels, axisLabel: { color: text }, axisLine: { lineStyle: { color: rule } } },
          yAxis: [
            { type: "value", name: data.series.orders ? data.names.orders : data.names.yuan, ...axis },
            { type: "value", name: data.names.kwh, ...axis, splitLine: { show: false } },
          ],
          series: series(data),
        },
        true,
      );
    }
    draw();
    new MutationObserver(draw).observe(document.documentElement, { attributes: true, attributeFilter: ["class"] });
    new ResizeObserver(() => drawn.resize()).observe(box);
  }

  async function page(address) {
    const answer = await fetch(address, { headers: { "X-Requested-With": "fetch" } });
    if (!answer.ok || answer.redirected) throw new Error(String(answer.status));
    return answer.text();
  }

  // --- The tree ---

  function tree(nav) {
    const at = `at=${encodeURIComponent(nav.dataset.chosen)}`;
    const found = nav.querySelector("#bo-tree-found");
    const all = nav.querySelector("#bo-tree-all");

    async function fill(branch) {
      branch.innerHTML = await page(`${nav.dataset.address}?station=${branch.dataset.branch}&${at}`);
    }
    nav.addEventListener("click", async (event) => {
      const twist = event.target.closest("button.bo-twist");
      if (!twist) return;
      const branch = twist.closest("li").querySelector("ul");
      branch.hidden = !branch.hidden;
      twist.setAttribute("aria-expanded", String(!branch.hidden));
      if (branch.dataset.branch && !branch.hidden) await fill(branch).catch(lost);
    });

    let asked = 0;
    nav.querySelector("#bo-tree-search").addEventListener("input", (event) => {
      const words = event.target.value.trim();
      const mine = ++asked;
      found.hidden = !words;
      all.hidden = Boolean(words);
      if (!words) return;
      setTimeout(async () => {
        if (mine !== asked) return;
        const html = await page(`${nav.dataset.address}?q=${encodeURIComponent(words)}&${at}`).catch(lost);
        if (mine === asked && html) found.innerHTML = html;
      }, 250);
    });

    const chosen = nav.querySelector("[aria-current]");
    if (chosen && all.scrollHeight > all.clientHeight) {
      all.scrollTop = chosen.getBoundingClientRect().top - all.getBoundingClientRect().top - 60;
    }
    return {
      renew() {
        const states = JSON.parse(document.getElementById("tree-states")?.textContent ?? "{}");
        for (const shown of nav.querySelectorAll("[data-guns]")) {
          const [charging, guns, tone] = states[shown.dataset.guns] ?? [0, 0, "neutral"];
          shown.firstElementChild.className = `bo-dot bo-${tone}`;
          shown.lastElementChild.textContent = `${charging}/${guns}`;
        }
        for (const branch of nav.querySelectorAll(".bo-branch[data-branch]")) {
          if (!branch.hidden && branch.childElementCount && !branch.contains(document.activeElement)) fill(branch).catch(lost);
        }
      },
    };
  }

  // --- What renews itself ---

  function lost() {
    document.getElementById("bo-live")?.classList.add("bo-lost");
  }

  async function renew(stations) {
    const now = document.getElementById("overview-now");
    if (document.hidden || !now) return;
    try {
      const html = new DOMParser().parseFromString(await page(now.dataset.renew), "text/html");
      for (const id of ["overview-now", "overview-todo"]) {
        const fresh = html.getElementById(id);
        const old = document.getElementById(id);
        if (fresh && old && !old.contains(document.activeElement)) old.replaceWith(document.adoptNode(fresh));
      }
      stations?.renew();
    } catch {
      lost();
    }
  }

  document.addEventListener("DOMContentLoaded", () => {
    for (const name of ["days", "hours"]) {
      const box = document.getElementById(`${name}-chart`);
      const source = document.getElementById(`${name}-data`);
      if (box && source && typeof echarts !== "undefined") chart(box, JSON.parse(source.textContent));
    }
    const nav = document.getElementById("bo-tree");
    const stations = nav && tree(nav);
    if (nav && window.matchMedia("(max-width: 1023px)").matches) nav.querySelector("details").open = false;
    setInterval(() => renew(stations), RENEW_MS);
  });
})();

// The wall of a station's guns. A socket brings the cards that changed; where there is none, the page is asked for anew.
document.addEventListener("DOMContentLoaded", () => {
  const wall = document.getElementById("gun-wall");
  if (!wall) return;
  const live = document.getElementById("bo-live");
  const words = document.getElementById("bo-live-words");
  const clock = document.getElementById("bo-refreshed");
  const empty = document.getElementById("gun-wall-empty");
  const chips = [...document.querySelectorAll("[data-show]")];
  const SILENCE_MS = 25000;
  const POLL_MS = 8000;
  const LONGEST_PAUSE_MS = 30000;
  let shown = new URLSearchParams(location.hash.slice(1)).get("state") || "all";
  let socket = null;
  let tries = 0;
  let heardAt = Date.now();
  let refused = false;

  document.getElementById("station").addEventListener("change", (event) => event.target.form.submit());

  function say(state) {
    live.classList.toggle("bo-lost", state === "lost");
    live.querySelector(".bo-dot").className = `bo-dot bo-${{ live: "success", polling: "warning", lost: "danger" }[state]}`;
    words.textContent = { live: live.dataset.live, polling: live.dataset.polling, lost: live.dataset.lostWords }[state];
    live.dataset.state = state;
  }

  function filter() {
    let visible = 0;
    for (const card of wall.children) {
      card.hidden = shown !== "all" && card.dataset.state !== shown;
      if (!card.hidden) visible += 1;
    }
    if (wall.children.length) empty.textContent = empty.dataset.none;
    empty.hidden = visible > 0;
    for (const chip of chips) {
      const chosen = chip.dataset.show === shown;
      chip.classList.toggle("bo-chosen", chosen);
      chip.setAttribute("aria-pressed", String(chosen));
    }
  }

  function sort() {
    const order = (a, b) => a.dataset.rank - b.dataset.rank || (a.dataset.code < b.dataset.code ? -1 : 1);
    const wanted = [...wall.children].sort(order);
    wanted.forEach((card, place) => {
      if (wall.children[place] !== card) wall.insertBefore(card, wall.children[place]);
    });
  }

  function put(html) {
    const box = document.createElement("template");
    box.innerHTML = html.trim();
    const card = box.content.firstElementChild;
    const old = document.getElementById(card.id);
    const focus = old && old.contains(document.activeElement) ? document.activeElement : null;
    const place = focus && (focus.dataset.do || "body");
    if (old) old.replaceWith(card);
    else wall.append(card);
    htmx.process(card);
    if (place) card.querySelector(place === "body" ? ".bo-gun-body" : `[data-do="${place}"]`)?.focus();
  }

  function take(message) {
    heardAt = Date.now();
    clock.textContent = message.at;
    if (!message.cards) return;
    for (const html of message.cards) put(html);
    for (const pk of message.gone) document.getElementById(`gun-${pk}`)?.remove();
    for (const chip of chips) chip.querySelector("b").textContent = message.counts[chip.dataset.show];
    const active = document.activeElement;
    sort();
    if (active !== document.activeElement && wall.contains(active)) active.focus();
    filter();
  }

  function connect() {
    const scheme = location.protocol === "https:" ? "wss:" : "ws:";
    const own = new WebSocket(`${scheme}//${location.host}${wall.dataset.socket}`);
    socket = own;
    own.onmessage = (event) => {
      tries = 0;
      if (live.dataset.state !== "live") say("live");
      take(JSON.parse(event.data));
    };
    own.onclose = (event) => {
      if (own !== socket) return;
      socket = null;
      refused = event.code >= 4400 && event.code < 4500;
      say(refused ? "lost" : "polling");
      if (refused) return;
      poll();
      setTimeout(connect, Math.min(LONGEST_PAUSE_MS, 1000 * 2 ** tries++));
    };
  }

  async function poll() {
    try {
      const answer = await fetch(location.pathname + location.search, { credentials: "same-origin" });
      const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
      const cards = fresh.getElementById("gun-wall");
      if (!answer.ok || !cards) throw new Error("no wall");
      const counts = {};
      for (const chip of fresh.querySelectorAll("[data-show]")) counts[chip.dataset.show] = chip.querySelector("b").textContent;
      const known = new Set([...cards.children].map((card) => card.id));
      const gone = [...wall.children].filter((card) => !known.has(card.id)).map((card) => card.id.slice(4));
      take({
        at: fresh.getElementById("bo-refreshed").textContent,
        cards: [...cards.children].map((card) => card.outerHTML),
        gone,
        counts,
      });
      say("polling");
    } catch {
      say("lost");
    }
  }

  for (const chip of chips) {
    chip.addEventListener("click", () => {
      shown = chip.dataset.show;
      history.replaceState(null, "", shown === "all" ? location.pathname + location.search : `#state=${shown}`);
      filter();
    });
  }
  setInterval(() => {
    if (document.hidden || refused) return;
    if (socket === null) poll();
    else if (Date.now() - heardAt > SILENCE_MS) socket.close();
  }, POLL_MS);
  filter();
  connect();
});

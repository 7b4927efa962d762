"use strict";
// Puts the newest board in the page every few seconds, and says so when it cannot: an old page must not look like a new one.
(() => {
  const EVERY = 3000, PATIENCE = 6000; // a server answers within 4 s, also when its database does not
  const board = document.getElementById("board"), live = document.getElementById("live");
  if (!board || !live) return; // a page that does not change
  let shown = board.innerHTML, last = new Date(), busy = false;

  const say = (text, late) => {
    if (live.textContent !== text) live.textContent = text;
    live.classList.toggle("late", late);
  };

  const focused = () => { // what the keyboard is at, so that it stays there
    const here = board.contains(document.activeElement) && document.activeElement;
    if (!here) return null;
    const holder = here.closest("[id]"), href = here.getAttribute("href");
    if (href) return `a[href="${CSS.escape(href)}"]`;
    return holder && holder !== board ? `#${CSS.escape(holder.id)} ${here.localName}` : null;
  };

  const show = (text) => {
    if (text === shown) return;
    const states = new Map([...board.querySelectorAll("details[id]")].map((each) => [each.id, each.open]));
    const at = focused();
    board.innerHTML = shown = text; // made by our server, where everything is escaped
    for (const each of board.querySelectorAll("details[id]")) {
      if (states.has(each.id)) each.open = states.get(each.id);
    }
    if (at) board.querySelector(at)?.focus({ preventScroll: true });
    const summary = board.querySelector(".summary");
    if (summary) document.title = board.dataset.title + summary.textContent;
  };

  const refresh = async () => {
    if (busy || document.hidden) return;
    busy = true;
    try {
      const answer = await fetch(board.dataset.from, {
        cache: "no-store", redirect: "manual", signal: AbortSignal.timeout(PATIENCE),
      });
      if (answer.type === "opaqueredirect" || answer.status === 401) return location.reload();
      if (!answer.ok) throw new Error("status " + answer.status);
      show(await answer.text());
      last = new Date();
      say("Live", false);
    } catch (error) {
      say("No answer since " + last.toISOString().slice(11, 19) + " UTC: what is below is old", true);
    } finally {
      busy = false;
    }
  };

  say("Live", false);
  setInterval(refresh, EVERY);
  document.addEventListener("visibilitychange", refresh);
})();

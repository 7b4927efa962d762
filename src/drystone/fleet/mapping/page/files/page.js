"use strict";
// Puts the newest board in the page every few seconds, and says so when it cannot: an old page must not look like a new one.
(() => {
  const EVERY = 3000, PATIENCE = 6000; // a mapper answers within 4 s, also when its database does not
  const board = document.getElementById("board"), live = document.getElementById("live");
  let shown = board.innerHTML, last = new Date(), busy = false;

  const say = (text, late) => {
    if (live.textContent !== text) live.textContent = text;
    live.classList.toggle("late", late);
  };

  const show = (text) => {
    if (text === shown) return;
    const open = [...board.querySelectorAll("details[open]")].map((each) => each.id);
    board.innerHTML = shown = text; // made by our server, where everything is escaped
    for (const each of board.querySelectorAll("details")) each.open = open.includes(each.id);
    const summary = board.querySelector(".summary");
    if (summary) document.title = "Fleet: " + summary.textContent;
  };

  const refresh = async () => {
    if (busy || document.hidden) return;
    busy = true;
    try {
      const answer = await fetch("/status/board", {
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

// Keeps the page fresh: fetches the changing part again, and says so when the node no longer answers.
"use strict";
const EVERY_MS = 5000;
const main = document.getElementById("main");
const lost = document.getElementById("lost");

async function refresh() {
  if (document.hidden) return;
  try {
    // The header says that nobody clicked: looking by itself keeps no session alive.
    const answer = await fetch(main.dataset.fresh, {
      cache: "no-store", headers: { "x-cloudy-refresh": "1" }, signal: AbortSignal.timeout(EVERY_MS * 2),
    });
    if (!answer.ok) throw new Error(answer.statusText);
    const text = await answer.text();
    // What a person has opened or is about to press stays.
    const busy = main.querySelector("details[open]") || (main.contains(document.activeElement) && document.activeElement !== main);
    if (text !== main.dataset.last && !busy) {
      main.innerHTML = text;
      main.dataset.last = text;
    }
    lost.hidden = true;
  } catch {
    lost.hidden = false;
  }
}

async function loop() {
  await refresh();
  setTimeout(loop, EVERY_MS);
}

document.addEventListener("visibilitychange", refresh);
setTimeout(loop, EVERY_MS);

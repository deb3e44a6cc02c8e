// Keeps the page fresh: fetches the changing part again, at once while a job tells how far it is, and says so when the node no longer
// answers.
"use strict";
const EVERY_MS = 5000;
// While something is on its way of which nobody tells.
const SOON_MS = 1000;
const main = document.querySelector("[data-fresh]");
const lost = document.getElementById("lost");

// Whether a field is not as the page came.
function filledIn() {
  const changed = (field) => field.value !== field.defaultValue || field.checked !== field.defaultChecked;
  const chosen = (list) => list.selectedIndex !== Math.max(0, [...list.options].findIndex((option) => option.defaultSelected));
  return [...main.querySelectorAll("input:not([type=hidden]), textarea")].some(changed) || [...main.querySelectorAll("select")].some(chosen);
}

async function refresh() {
  if (document.hidden) return;
  try {
    // The header says that nobody clicked: looking by itself keeps no session alive.
    const answer = await fetch(main.dataset.fresh, {
      cache: "no-store", headers: { "x-cloudy-refresh": "1" }, signal: AbortSignal.timeout(EVERY_MS * 2),
    });
    if (!answer.ok) throw new Error(answer.statusText);
    // Whoever is logged in no more is led elsewhere.
    if (answer.redirected) return location.reload();
    const text = await answer.text();
    // What a person has opened, typed, chosen or is about to press stays.
    const busy = main.querySelector("details[open]") || filledIn() || (main.contains(document.activeElement) && document.activeElement !== main);
    if (text !== main.dataset.last && !busy) {
      main.innerHTML = text;
      main.dataset.last = text;
    }
    lost.hidden = true;
  } catch {
    lost.hidden = false;
  }
}

// While something is being done, the node tells when there is news; without that, the page looks every few seconds all the same.
let watching = null;

async function watch() {
  const busy = () => !document.hidden && main.querySelector("progress");
  if (watching || !main.dataset.events || !busy()) return;
  watching = new AbortController();
  try {
    const answer = await fetch(main.dataset.events, {
      cache: "no-store", headers: { accept: "text/event-stream", "x-cloudy-refresh": "1" }, signal: watching.signal,
    });
    if (!answer.ok) throw new Error(answer.statusText);
    const news = answer.body.getReader();
    while (busy() && !(await news.read()).done) await refresh();
  } catch {
    // The page looks by itself.
  } finally {
    watching.abort();
    watching = null;
  }
}

async function loop() {
  await refresh();
  watch();
  setTimeout(loop, !watching && main.querySelector("progress") ? SOON_MS : EVERY_MS);
}

document.addEventListener("visibilitychange", () => {
  if (document.hidden) watching?.abort();
  else refresh().then(watch);
});
watch();
setTimeout(loop, EVERY_MS);

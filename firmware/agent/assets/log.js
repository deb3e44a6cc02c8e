// Goes on showing what an app says while its page is open. Without it, the last lines stand there as they were when the page came.
"use strict";
const AGAIN_MS = 5000;
// However much an app says, the page stays light.
const MOST_CHARS = 256 * 1024;
const log = document.getElementById("log");
const note = document.getElementById("log-note");
let following = null;
let chars = 0;

function show(news) {
  const atEnd = log.scrollHeight - log.scrollTop - log.clientHeight < 40;
  if (news.first) {
    log.replaceChildren();
    chars = 0;
  }
  const text = (news.missed ? ["…"] : []).concat(news.lines).map((line) => line + "\n").join("");
  if (text) {
    log.append(text);
    chars += text.length;
  }
  while (chars > MOST_CHARS && log.firstChild !== log.lastChild) {
    chars -= log.firstChild.length;
    log.firstChild.remove();
  }
  note.textContent = news.unknown ?? (chars ? "" : note.dataset.empty);
  if (atEnd) log.scrollTop = log.scrollHeight;
}

async function follow() {
  if (following || document.hidden) return;
  following = new AbortController();
  let over = false;
  try {
    // The header says that nobody clicked: looking by itself keeps no session alive.
    const answer = await fetch(log.dataset.follow, {
      cache: "no-store", headers: { accept: "text/event-stream", "x-cloudy-refresh": "1" }, signal: following.signal,
    });
    // An app that is there no more, or a session that has ended: nothing comes of asking again.
    over = answer.status >= 400 && answer.status < 500;
    if (answer.ok) {
      const pieces = answer.body.pipeThrough(new TextDecoderStream()).getReader();
      let rest = "";
      for (let piece = await pieces.read(); !piece.done; piece = await pieces.read()) {
        const lines = (rest + piece.value).split("\n");
        rest = lines.pop();
        for (const line of lines) if (line.startsWith("data: ")) show(JSON.parse(line.slice(6)));
      }
    }
  } catch {
    // It is asked again.
  } finally {
    following.abort();
    following = null;
  }
  if (!over) setTimeout(follow, AGAIN_MS);
}

document.addEventListener("visibilitychange", () => {
  if (document.hidden) following?.abort();
  else follow();
});
log.scrollTop = log.scrollHeight;
follow();

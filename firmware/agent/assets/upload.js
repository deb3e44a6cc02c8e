// Sends a file as it is, and says how far it is: a form would have the node hold all of it in memory.
"use strict";
const form = document.getElementById("upload");
const [bar, wrong, button] = ["progress", "[role=alert]", "button"].map((what) => form.querySelector(what));

form.hidden = false;
form.addEventListener("submit", (event) => {
  event.preventDefault();
  const file = form.elements.file.files[0];
  if (!file) return;
  const query = { name: file.name, visibility: form.elements.visibility.value };
  // What the browser takes it for, without parameters.
  const kind = file.type.split(";")[0];
  if (kind) query["media-type"] = kind;
  const request = new XMLHttpRequest();
  const end = (why) => {
    button.disabled = false;
    bar.hidden = true;
    wrong.hidden = false;
    wrong.textContent = why;
  };
  request.upload.onprogress = (at) => {
    bar.max = at.total;
    bar.value = at.loaded;
  };
  request.onerror = () => end(document.getElementById("lost").textContent);
  request.onload = () => {
    if (request.status === 201) return location.assign("/files");
    let why = request.statusText;
    try {
      why = JSON.parse(request.responseText).detail;
    } catch {
      // It stays with the status.
    }
    end(why);
  };
  button.disabled = true;
  bar.hidden = false;
  wrong.hidden = true;
  request.open("POST", form.action + "?" + new URLSearchParams(query));
  request.setRequestHeader("X-CSRF-Token", form.elements.csrf.value);
  request.setRequestHeader("Content-Type", "application/octet-stream");
  request.send(file);
});

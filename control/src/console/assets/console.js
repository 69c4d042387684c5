// Keeps pages fresh and asks before what cannot be undone. Every page works without it.
"use strict";

// Parts come as text from this console only, escaped where it was made.
const policy = window.trustedTypes
  ? trustedTypes.createPolicy("console", { createHTML: (text) => text })
  : { createHTML: (text) => text };

/** Shows times in the browser's own zone, and how long calls have lasted. */
function showTimes(within) {
  const lang = document.documentElement.lang;
  const format = new Intl.DateTimeFormat(lang, { dateStyle: "medium", timeStyle: "medium" });
  for (const time of within.querySelectorAll("time[data-utc]")) {
    const at = new Date(Number(time.dataset.utc));
    time.dateTime = at.toISOString();
    const fine = "fine" in time.dataset;
    time.textContent = format.format(at) + (fine ? `.${String(at % 1000).padStart(3, "0")}` : "");
  }
  for (const time of within.querySelectorAll("time[data-since]")) {
    const ms = Math.max(0, Date.now() - Number(time.dataset.since));
    const whole = Math.floor(ms / 1000);
    const two = (number) => String(number).padStart(2, "0");
    const [hours, minutes, seconds] = [whole / 3600, (whole / 60) % 60, whole % 60].map(Math.floor);
    const clock = hours > 0 ? `${hours}:${two(minutes)}` : `${minutes}`;
    time.textContent = `${clock}:${two(seconds)}`;
  }
}

/** Puts a part in place; what had the focus, was open or moved in it is so again. */
function replace(id, html) {
  const part = document.getElementById(id);
  if (!part) {
    return;
  }
  const focused = part.contains(document.activeElement) ? document.activeElement.id : "";
  const open = Array.from(part.querySelectorAll("details[open]"), (details) => details.id);
  const moved = [...part.querySelectorAll(".scroll[id]")].map((rows) => [rows.id, rows.scrollLeft]);
  part.innerHTML = policy.createHTML(html);
  showTimes(part);
  for (const [rows, left] of moved) {
    document.getElementById(rows)?.scrollTo({ left, behavior: "instant" });
  }
  for (const details of part.querySelectorAll("details")) {
    details.open = details.id !== "" && open.includes(details.id);
  }
  if (focused) {
    document.getElementById(focused)?.focus();
  }
}

/** Listens to what changes, and says when nothing can be heard. */
function keepFresh(live) {
  const stale = document.getElementById("stale");
  const stream = new EventSource(live.dataset.stream);
  stream.addEventListener("part", (event) => replace(event.lastEventId, event.data));
  stream.addEventListener("over", () => {
    stream.close();
    location.assign("/sign-in");
  });
  stream.onopen = () => { stale.hidden = true; };
  stream.onerror = () => {
    stale.hidden = false;
    // A refusal ends the stream for good; a lost connection is tried again by itself.
    if (stream.readyState === EventSource.CLOSED) {
      setTimeout(() => keepFresh(live), 30000);
    }
  };
}

document.addEventListener("submit", (event) => {
  const sure = event.target.dataset.sure;
  if (sure && !window.confirm(sure)) {
    event.preventDefault();
  }
});

for (const input of document.querySelectorAll("input[data-into]")) {
  input.parentElement.hidden = false;
  input.addEventListener("change", async () => {
    const file = input.files[0];
    if (file) {
      document.getElementById(input.dataset.into).value = await file.text();
    }
  });
}

showTimes(document);
const live = document.getElementById("live");
if (live) {
  keepFresh(live);
  setInterval(() => showTimes(live), 1000);
}

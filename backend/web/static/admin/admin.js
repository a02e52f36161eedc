// Keeps parts of a page fresh while somebody looks at them, and leaves open what is open.
const EVERY = 5000;

for (const region of document.querySelectorAll("[data-refresh]")) keepFresh(region);

function keepFresh(region) {
  const note = document.querySelector("[data-refreshed]");
  let shown = region.innerHTML;
  let seen = new Date();

  async function refresh() {
    if (isInUse(region)) return;
    try {
      const answer = await fetch(region.dataset.refresh, {headers: {Accept: "text/html"}});
      if (answer.redirected) return location.reload(); // the session has ended
      if (!answer.ok) throw new Error(answer.status);
      const text = await answer.text();
      seen = new Date();
      note.textContent = `Refreshed at ${seen.toLocaleTimeString()}, every 5 seconds.`;
      note.classList.remove("is-bad");
      if (text !== shown && !isInUse(region)) {
        region.innerHTML = shown = text;
        const verdict = region.querySelector("#verdict");
        if (verdict) document.title = `${verdict.textContent} · Lookalike`;
      }
    } catch {
      note.textContent = `The server has not answered since ${seen.toLocaleTimeString()}; what is above is from then.`;
      note.classList.add("is-bad");
    }
  }

  let timer = 0;
  async function next() {
    clearTimeout(timer);
    if (document.hidden) return; // `visibilitychange` goes on
    await refresh();
    timer = setTimeout(next, EVERY);
  }
  document.addEventListener("visibilitychange", next);
  timer = setTimeout(next, EVERY);
}

// What a person has opened, or stands in with the keyboard, is not taken away.
function isInUse(region) {
  return region.contains(document.activeElement) || region.querySelector("details[open]");
}

// Parts of pages, fetched as the server makes them.

export async function fetchPage(address, options = {}) {
  const answer = await fetch(address, { headers: { Accept: "text/html" }, ...options });
  if (answer.redirected && new URL(answer.url).pathname.endsWith("/sign-in")) return null;
  if (!(answer.headers.get("Content-Type") ?? "").startsWith("text/html")) return null;
  return new DOMParser().parseFromString(await answer.text(), "text/html");
}

// Put parts of a page, by their ids, in the place of those that are shown; keep the focus.
export function swap(page, ids) {
  const focused = document.activeElement;
  for (const id of ids) {
    const [old, fresh] = [document.getElementById(id), page.getElementById(id)];
    if (!old || !fresh) continue;
    const open = new Set([...old.querySelectorAll("details[open]")].map(nameOf));
    const isShown = old.querySelector("#show-filters")?.checked;
    const put = document.importNode(fresh, true);
    for (const it of put.querySelectorAll("details")) it.open ||= open.has(nameOf(it));
    const box = put.querySelector("#show-filters");
    if (box && isShown) box.checked = true;
    old.replaceWith(put);
    if (old.contains(focused)) sameAs(focused, put)?.focus({ preventScroll: true });
  }
}

function nameOf(details) {
  const link = details.closest("li")?.querySelector("a")?.href;
  return details.closest("fieldset")?.querySelector("legend")?.textContent ?? link ?? details.className;
}

function sameAs(element, within) {
  if (element.id) return document.getElementById(element.id);
  return [...within.querySelectorAll("input, select, button")].find(
    (it) => it.name === element.name && (it.type === "range" || it.value === element.value),
  );
}

export function say(text) {
  const place = document.getElementById("said");
  if (place) place.textContent = text;
}

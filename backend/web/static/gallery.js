// The pages of the gallery work without this: it saves loading whole pages, and reports events.
import { fetchPage, say, swap } from "./swap.js";
import { followShopper } from "./shopper.js";
import { startPhoto, takesPhotos } from "./photo.js";

const PARTS = ["search", "picked", "browse", "similar", "shop-as"];

document.documentElement.classList.add("scripted");

function addressOf(form) {
  const query = new URLSearchParams();
  const controls = new Map([...form.elements].map((it) => [it.name, it]));
  for (const [name, value] of new FormData(form)) {
    if (value !== "" && value !== controls.get(name)?.dataset?.default) query.append(name, value);
  }
  const text = query.toString();
  return location.pathname + (text ? `?${text}` : "");
}

let latest = 0; // of several answers that are under way only the last one counts
let path = location.pathname; // of what is shown

async function go(address, { push = true, parts = PARTS } = {}) {
  const mine = ++latest;
  const page = await fetchPage(address);
  if (mine !== latest) return;
  if (!page) return location.assign(address);
  swap(page, parts);
  document.title = page.title;
  if (push) history.pushState({}, "", address);
  const shown = document.querySelectorAll("#grid > li, #similar .grid > li").length;
  say(shown ? `${shown} products are shown` : "No product fits");
}

async function showMore(link) {
  const page = await fetchPage(link.href);
  const items = page && [...page.querySelectorAll("#grid > li")];
  if (!items?.length) return location.assign(link.href);
  const grid = document.getElementById("grid");
  const first = document.importNode(items[0], true);
  grid.append(first, ...items.slice(1).map((it) => document.importNode(it, true)));
  const next = page.getElementById("more");
  if (next) link.href = next.href;
  else link.parentElement.remove();
  first.querySelector("a").focus({ preventScroll: true });
  say(`${items.length} more products are shown`);
}

document.addEventListener("change", (event) => {
  const form = event.target.form;
  if (form?.id === "filters") go(addressOf(form), { parts: ["browse", "search", "shop-as"] });
  else if (form?.id === "dials") go(addressOf(form), { parts: ["similar", "shop-as"] });
});

document.addEventListener("submit", (event) => {
  if (event.target.id === "filters" || event.target.id === "search") {
    event.preventDefault();
    go(addressOf(event.target), { parts: ["picked", "browse", "search", "shop-as"] });
  }
});

document.addEventListener("click", (event) => {
  if (event.metaKey || event.ctrlKey || event.shiftKey) return;
  const link = event.target.closest("a");
  if (link?.id === "more") {
    event.preventDefault();
    showMore(link);
  } else if (link?.matches(".chip")) {
    event.preventDefault();
    go(link.href, { parts: ["browse", "search", "shop-as"] });
  }
});

// The menu closes like one: by Escape, and by a click beside it.
document.addEventListener("keydown", (event) => {
  const menu = document.getElementById("shop-as");
  if (event.key !== "Escape" || !menu?.open) return;
  menu.open = false;
  menu.querySelector("summary").focus();
});
document.addEventListener("pointerdown", (event) => {
  const menu = document.getElementById("shop-as");
  if (menu?.open && !menu.contains(event.target)) menu.open = false;
});

addEventListener("popstate", () => {
  if (location.pathname === path) go(location.href, { push: false });
  else location.reload();
});

// A busy server refuses images for a moment: ask again a few times.
const tries = new WeakMap();
document.addEventListener(
  "error",
  (event) => {
    const image = event.target;
    if (!(image instanceof HTMLImageElement) || !image.src.includes("/thumbnails/")) return;
    const many = (tries.get(image) ?? 0) + 1;
    tries.set(image, many);
    if (many > 3) return image.classList.add("failed");
    setTimeout(() => {
      image.src = image.src;
    }, 700 * many);
  },
  true,
);

followShopper();
if (document.getElementById("photo")) startPhoto();
takesPhotos(async (file) => {
  if (!document.getElementById("photo")) {
    const address = document.getElementById("gallery").dataset.photo;
    const page = await fetchPage(address);
    if (!page) return location.assign(address);
    document.getElementById("gallery").replaceWith(
      document.importNode(page.getElementById("gallery"), true),
    );
    history.pushState({}, "", address);
    path = location.pathname;
    document.title = page.title;
  }
  startPhoto(file);
});

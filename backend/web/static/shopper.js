// "Shop as": report what a shopper does, and show what is recommended then.
import { fetchPage, say, swap } from "./swap.js";

const LISTED = "lookalike.listed";
const SAID = {
  cart: "Put in the cart",
  purchase: "Bought",
  like: "Liked",
  dislike: "Noted: not for you",
};

function gallery() {
  return document.getElementById("gallery").dataset;
}

async function report(sku, kind, listed) {
  const { deeds, csrf, shopper } = gallery();
  const body = new URLSearchParams({ kind, sku, as: shopper });
  if (listed) body.set("recommendation_id", listed);
  const headers = { Accept: "application/json", "X-Csrf-Token": csrf };
  const answer = await fetch(deeds, { method: "POST", headers, body });
  if (!answer.ok) return false;
  const page = await fetchPage(gallery().picked);
  if (page) swap(page, ["picked"]);
  return true;
}

export function followShopper() {
  document.addEventListener("click", (event) => {
    const link = event.target.closest("a[data-listed]");
    if (link) sessionStorage.setItem(LISTED, JSON.stringify(link.dataset));
  });
  const product = document.getElementById("product");
  if (!product || !gallery().shopper || !document.getElementById("deeds")) return;
  const { sku } = product.dataset;
  const from = JSON.parse(sessionStorage.getItem(LISTED) ?? "null");
  sessionStorage.removeItem(LISTED);
  if (from?.sku === sku) report(sku, "click", from.listed);
  else report(sku, "view");
  document.getElementById("deeds").addEventListener("submit", async (event) => {
    event.preventDefault();
    const kind = event.submitter.value;
    event.submitter.disabled = true;
    const done = await report(sku, kind, from?.sku === sku ? from.listed : null);
    event.submitter.disabled = false;
    if (done) {
      event.submitter.dataset.done = SAID[kind];
      event.submitter.textContent = SAID[kind];
    }
    say(done ? `${SAID[kind]}. The recommendations have changed.` : "This was not stored.");
  });
}

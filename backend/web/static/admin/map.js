// The map of the vectors: names the product under the pointer, and goes through them by arrow keys.
const map = document.querySelector("[data-map]");
if (map) begin(map);

function begin(map) {
  const drawing = map.querySelector("svg");
  const ring = drawing.querySelector("circle");
  const under = map.querySelector("[data-under]");
  let loading = null;
  let chosen = null; // a category, null: all
  let at = -1;

  const load = () => loading ??= fetch(map.dataset.map).then((answer) => answer.json());

  const visible = ({points}) => points.filter((it) => chosen === null || it[2] === chosen);

  function show(point, categories) {
    const [x, y, category, sku, name] = point;
    ring.setAttribute("cx", x);
    ring.setAttribute("cy", y);
    const image = new Image(96, 128);
    image.className = "thumb";
    image.alt = "";
    image.src = map.dataset.image.replace("SKU", encodeURIComponent(sku));
    under.replaceChildren(image, `${name} · ${categories[category]}`);
  }

  async function step(by) {
    const found = await load();
    const points = visible(found);
    if (!points.length) return;
    at = (at + by + points.length) % points.length;
    show(points[at], found.categories);
  }

  drawing.addEventListener("pointermove", async (event) => {
    const found = await load();
    const box = drawing.getBoundingClientRect();
    const x = 1000 * (event.clientX - box.left) / box.width;
    const y = 1000 * (event.clientY - box.top) / box.height;
    let best = null, least = 40 ** 2;
    for (const [i, it] of visible(found).entries()) {
      const distance = (it[0] - x) ** 2 + (it[1] - y) ** 2;
      if (distance < least) [least, best, at] = [distance, it, i];
    }
    if (best) show(best, found.categories);
  });
  drawing.addEventListener("keydown", (event) => {
    const by = {ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1}[event.key];
    if (!by) return;
    event.preventDefault();
    step(by);
  });
  for (const button of map.querySelectorAll("[data-category]")) {
    button.addEventListener("click", () => {
      const category = Number(button.dataset.category);
      chosen = chosen === category ? null : category;
      at = -1;
      for (const it of map.querySelectorAll("[data-category]")) {
        it.setAttribute("aria-pressed", chosen === Number(it.dataset.category));
      }
      for (const path of drawing.querySelectorAll("path")) {
        path.classList.toggle("faint", chosen !== null && !path.classList.contains(`c${chosen}`));
      }
    });
  }
}

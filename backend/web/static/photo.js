// Search by a photograph: it is made smaller here, shown, and sent with the box that is dragged.
import { dragBox } from "./box.js";
import { fetchPage, say, swap } from "./swap.js";

const LONGEST = 1280;
let current = null; // the photograph that is searched by
let running = null; // aborts the search before

export function takesPhotos(use) {
  addEventListener("paste", (event) => {
    const file = [...(event.clipboardData?.files ?? [])].find(isImage);
    if (file) use(file);
  });
  addEventListener("dragover", (event) => {
    if (event.dataTransfer?.types.includes("Files")) event.preventDefault();
  });
  addEventListener("drop", (event) => {
    const file = [...(event.dataTransfer?.files ?? [])].find(isImage);
    if (!file) return;
    event.preventDefault();
    use(file);
  });
}

export function startPhoto(file) {
  const root = document.getElementById("photo");
  if (!root.dataset.started) {
    root.dataset.started = "true";
    for (const id of ["file", "shoot"]) {
      document.getElementById(id).addEventListener("change", (event) => {
        if (event.target.files[0]) show(event.target.files[0]);
      });
    }
    document.getElementById("photo-form").addEventListener("submit", (event) => {
      if (current) {
        event.preventDefault();
        search(null);
      }
    });
    dragBox(document.getElementById("stage"), document.getElementById("box"), search);
    document.getElementById("stage").addEventListener("click", takePart);
  }
  if (file) show(file);
}

// The parts that the server has found: a frame for each, and a button to compare it alone.
function drawParts() {
  for (const part of document.querySelectorAll("#parts > li")) {
    const [left, top, right, bottom] = boxOf(part).map((it) => it * 100);
    part.style.left = `${left}%`;
    part.style.top = `${top}%`;
    part.style.width = `${right - left}%`;
    part.style.height = `${bottom - top}%`;
  }
}

function takePart(event) {
  const part = event.target.closest("#parts button")?.parentElement;
  if (!part) return;
  document.getElementById("box").dispatchEvent(new CustomEvent("place", { detail: boxOf(part) }));
}

function boxOf(part) {
  return part.dataset.box.split(",").map(Number);
}

function isImage(file) {
  return file.type.startsWith("image/");
}

async function show(file) {
  current = await smaller(file);
  const image = document.getElementById("photo-shown");
  URL.revokeObjectURL(image.src);
  image.src = URL.createObjectURL(current);
  for (const id of ["stage", "box-help"]) document.getElementById(id).hidden = false;
  document.getElementById("choose").textContent = "Another photograph";
  document.getElementById("photo").classList.add("chosen");
  document.getElementById("box").dispatchEvent(new Event("reset"));
  document.getElementById("parts").replaceChildren(); // of the photograph before
  await search(null);
}

// Cameras make images of many megabytes; what cannot be read here is sent as it is.
async function smaller(file) {
  let bitmap;
  try {
    bitmap = await createImageBitmap(file);
  } catch {
    return file;
  }
  const scale = Math.min(1, LONGEST / Math.max(bitmap.width, bitmap.height));
  if (scale === 1 && file.size < 500_000) return file;
  const canvas = document.createElement("canvas");
  canvas.width = Math.round(bitmap.width * scale);
  canvas.height = Math.round(bitmap.height * scale);
  const context = canvas.getContext("2d");
  context.fillStyle = "#fff"; // of transparent images
  context.fillRect(0, 0, canvas.width, canvas.height);
  context.drawImage(bitmap, 0, 0, canvas.width, canvas.height);
  return new Promise((done) => canvas.toBlob((it) => done(it ?? file), "image/jpeg", 0.92));
}

async function search(box) {
  running?.abort();
  running = new AbortController();
  const body = new FormData();
  body.set("image", current, "photograph");
  if (box) body.set("box", box.map((it) => it.toFixed(4)).join(","));
  const headers = { Accept: "text/html", "X-Csrf-Token": document.getElementById("gallery").dataset.csrf };
  const results = document.getElementById("results");
  results.classList.add("busy");
  results.setAttribute("aria-busy", "true");
  const wait = results.querySelector(".empty");
  if (wait) wait.hidden = false;
  if (wait) wait.textContent = "Searching … The first search takes longer: the network is loaded.";
  try {
    const address = document.getElementById("photo-form").action;
    const page = await fetchPage(address, { method: "POST", body, headers, signal: running.signal });
    if (page?.getElementById("results")) {
      swap(page, box ? ["results"] : ["results", "parts"]); // the parts are those of the whole
      drawParts();
    } else fail(page?.querySelector("main p")?.textContent);
    const many = document.querySelectorAll("#results .grid > li").length;
    if (many) say(`${many} products look like it`);
  } catch (error) {
    if (error.name === "AbortError") return;
    fail();
  }
}

function fail(reason) {
  const results = document.getElementById("results");
  results.classList.remove("busy");
  results.removeAttribute("aria-busy");
  const said = document.createElement("p");
  said.className = "warning";
  said.setAttribute("role", "alert");
  said.textContent = reason ?? "The search failed. Try again.";
  results.replaceChildren(said);
}

// A box on an image: dragged by a pointer, or moved by the keyboard. Numbers are fractions.

const LEAST = 0.05;
const STEP = 0.04;

export function dragBox(stage, box, onChange) {
  let at = null; // left, top, right, bottom; null: the whole image
  let from = null;
  let timer = 0;

  function draw() {
    const [left, top, right, bottom] = at ?? [0, 0, 1, 1];
    box.style.left = `${left * 100}%`;
    box.style.top = `${top * 100}%`;
    box.style.width = `${(right - left) * 100}%`;
    box.style.height = `${(bottom - top) * 100}%`;
    box.classList.toggle("whole", at === null);
    const percent = (at ?? [0, 0, 1, 1]).map((it) => Math.round(it * 100));
    box.setAttribute(
      "aria-label",
      at
        ? `Compared part: from ${percent[0]} to ${percent[2]} percent across, ${percent[1]} to ${percent[3]} percent down`
        : "Compared part: the whole photograph",
    );
  }

  function place(event) {
    const area = stage.getBoundingClientRect();
    const x = (event.clientX - area.left) / area.width;
    const y = (event.clientY - area.top) / area.height;
    return [Math.min(1, Math.max(0, x)), Math.min(1, Math.max(0, y))];
  }

  stage.addEventListener("pointerdown", (event) => {
    if (event.button || event.target.closest("button")) return; // a button offers a part
    event.preventDefault();
    from = place(event);
    stage.setPointerCapture(event.pointerId);
  });
  stage.addEventListener("pointermove", (event) => {
    if (!from) return;
    const to = place(event);
    at = [
      Math.min(from[0], to[0]),
      Math.min(from[1], to[1]),
      Math.max(from[0], to[0]),
      Math.max(from[1], to[1]),
    ];
    draw();
  });
  stage.addEventListener("pointerup", () => {
    if (!from) return;
    from = null;
    if (at && (at[2] - at[0] < LEAST || at[3] - at[1] < LEAST)) at = null; // a tap: all of it
    draw();
    onChange(at);
  });
  stage.addEventListener("pointercancel", () => {
    from = null;
  });
  box.addEventListener("reset", () => {
    at = null;
    draw();
  });
  box.addEventListener("place", (event) => {
    at = event.detail;
    draw();
    onChange(at);
  });
  box.addEventListener("keydown", (event) => {
    const moves = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
    const move = moves[event.key];
    if (!move && event.key !== "Escape") return;
    event.preventDefault();
    if (move) at = moved(at ?? [0.2, 0.2, 0.8, 0.8], move, event.shiftKey);
    else at = null;
    draw();
    clearTimeout(timer);
    timer = setTimeout(() => onChange(at), 350);
  });
  draw();
}

function moved([left, top, right, bottom], [across, down], resizes) {
  const [x, y] = [across * STEP, down * STEP];
  if (resizes) {
    return [
      left,
      top,
      Math.min(1, Math.max(left + LEAST, right + x)),
      Math.min(1, Math.max(top + LEAST, bottom + y)),
    ];
  }
  const dx = Math.min(1 - right, Math.max(-left, x));
  const dy = Math.min(1 - bottom, Math.max(-top, y));
  return [left + dx, top + dy, right + dx, bottom + dy];
}

"""Same-item retrieval on a simulated street, with and without the region that is found.

    python benchmarks/street.py IMAGES PHOTOGRAPHS [--products 800] [--queries 100]
        [--skip 0] [--seed 7]

IMAGES is a folder of catalogue images, searched below it; PHOTOGRAPHS has a folder of photographs
for each kind of clothes, of which only those are grounds that `backend.lab.training.regions` leaves
out. The index holds the clean catalogue images. A query is one of them: cut out, turned, pasted at
a random scale and place, blurred, and stored as a JPEG. Rows: the cut-out alone on white; the
composite as it is; the true box; the first region that is found; the offered region that fits best,
as a client that looks would take it. "Served" is the vector that a query by this image is compared
by: its look is moved to its class where it is taken for a photograph, and where something was
pasted on it that is compared; "own" is the vector of the image, or of its box, as it is. The share
of composites that are taken for composed is printed, too.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from random import Random

import numpy as np
from PIL import Image

from backend.embedders import Compute, FloatArray, load
from backend.embedders.lookalike_blocks import BlocksEmbedder
from backend.embedders.regions import Frame
from backend.images.box import Box
from backend.images.decode import Size, size_within
from backend.images.limits import ImageLimits
from backend.lab.evaluation.splits import fraction_of
from backend.lab.training.regions import HELD_OUT_PHOTOGRAPHS
from backend.lab.training.street import Street, cut_out, lay_ground, overlap, shoot
from backend.search.query_image import EmbeddedQuery, embed_image

WHOLE: Frame = (0.0, 0.0, 1.0, 1.0)
GROUNDS = {"a corner of a photograph": False, "all of a photograph": True}


class Opened:
    """The parts of an image that is open."""

    def __init__(self, image: Image.Image) -> None:
        self.image = image

    def open(self, box: Box | None, size: Size | int | None = None) -> Image.Image:
        """Return a part in its own size, or with `size` as its longer side; None: the whole."""
        box = box or Box(*WHOLE)
        part = self.image.crop(box.pixels(*self.image.size, limits=ImageLimits()))
        return (
            part.resize(size_within(size, *part.size[::-1])[::-1])
            if isinstance(size, int)
            else part
        )


def pasted(
    cut: Image.Image, photograph: Path, random: Random, *, whole: bool
) -> tuple[Image.Image, Frame]:
    """Return a composite, and where the product lies on it."""
    ground = lay_ground(Image.open(photograph).convert("RGB"), random, whole=whole)
    street = Street(image=ground)
    street.paste(cut, random, scale=random.uniform(0.4, 0.8))
    return shoot(street.image, random), street.pasted[0].box


def clean(cut: Image.Image, random: Random) -> Image.Image:
    """Return the cut-out alone on white, blurred and stored like a composite."""
    street = Street(image=Image.new("RGB", (336, 448), "white"))
    street.paste(cut, random, scale=0.95, angle=0)
    return shoot(street.image, random)


class Recall:
    """Counts how often the product itself comes first."""

    def __init__(self, embedder: BlocksEmbedder, index: FloatArray) -> None:
        self._embedder, self._index = embedder, index
        self._found: dict[str, list[tuple[bool, bool]]] = {}

    def ask(self, row: str, image: Image.Image, truth: int, box: Frame | None = None) -> bool:
        """Ask by one image, or by its box; tell whether a part of it was compared."""
        found = embed_image(Opened(image), self._embed, Box(*box) if box else None)
        vectors = (found.vector, found.vector if found.own is None else found.own)
        served, own = (int((self._index @ each).argmax()) == truth for each in vectors)
        self._found.setdefault(row, []).append((served, own))
        return found.compared is not None

    def _embed(self, image: Image.Image) -> EmbeddedQuery:
        found = self._embedder.embed_query(image)
        return EmbeddedQuery(fingerprint=self._embedder.fingerprint, **found._asdict())

    def table(self) -> str:
        """Return the figures as a table."""
        lines = [f"{row:28} {'served':>7} {'own':>7}" for row in [""]]
        for row, found in self._found.items():
            served, own = np.mean(found, axis=0)
            lines.append(f"{row:28} {served:7.3f} {own:7.3f}")
        return "\n".join(lines)


def ask_all(
    embedder: BlocksEmbedder,
    recall: Recall,
    files: Sequence[Path],
    grounds: Sequence[Path],
    *,
    whole: bool,
    queries: int,
    seed: int,
) -> None:
    """Ask by composites of the first products that can be cut out."""
    random, right, offered, composed = Random(seed), 0, 0, 0
    asked = 0
    for number, path in enumerate(files):
        cut = cut_out(Image.open(path))
        if cut is None or asked == queries:
            continue
        asked += 1
        image, box = pasted(cut, random.choice(grounds), random, whole=whole)
        seen = embedder.embed_query(image)
        boxes = [one.box for one in seen.regions]
        best = max(boxes, key=lambda one: overlap(one, box), default=WHOLE)
        first = boxes[0] if boxes else WHOLE
        right += overlap(first, box) > 0.5
        offered += overlap(best, box) > 0.5
        recall.ask("clean", clean(cut, random), number)
        composed += recall.ask("as it is", image, number)
        for row, part in (("true box", box), ("first region", first), ("best region", best)):
            recall.ask(row, image, number, part)
    print(f"first region fits {right / asked:.3f}, one of those offered {offered / asked:.3f}")
    print(f"taken for composed {composed / asked:.3f}")


def main() -> None:
    """Print a table for each ground."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("images", type=Path)
    parser.add_argument("photographs", type=Path)
    parser.add_argument("--products", type=int, default=800)
    parser.add_argument("--queries", type=int, default=100)
    parser.add_argument("--skip", type=int, default=0, help="articles before the first one")
    parser.add_argument("--seed", type=int, default=7, help="decides the composites")
    asked = parser.parse_args()
    files = sorted(asked.images.rglob("*.jpg"))
    Random(1).shuffle(files)
    files = files[asked.skip : asked.skip + asked.products]
    embedder = load("lookalike-blocks", compute=Compute(threads=1))
    assert isinstance(embedder, BlocksEmbedder)
    index = embedder.embed([Image.open(path).convert("RGB") for path in files])
    grounds = [
        path
        for path in sorted(asked.photographs.rglob("*.jpg"))
        if fraction_of(path.name) < HELD_OUT_PHOTOGRAPHS
    ]
    for name, whole in GROUNDS.items():
        recall = Recall(embedder, index)
        print(f"\nground: {name}")
        ask_all(
            *(embedder, recall, files, grounds),
            whole=whole,
            queries=asked.queries,
            seed=asked.seed,
        )
        print(recall.table(), flush=True)


if __name__ == "__main__":
    main()

"""What adaptation to a shop brings, by what the shop's feed tells, and on groups not fitted on.

    python benchmarks/adapting.py DATA_FOLDER [--bought bought_together.csv] [--draws 5]

The folder holds a catalogue of at most 12,000 products that was indexed by `lookalike-blocks`; its
features are read, and no image is opened. The file names two skus in each row that were bought
together, below a header.

Columns: mAP@5 of the type, of colour and type, of gender and type; recall@10 of the variants
(`group_id`); hit@10, the share of the products with partners of which one is among the ten nearest.
The first table fits and asks all products, as a shop does, and says which map and which weights
were chosen. In the second, the groups are parted at random into two halves, as often as `--draws`
says. One half is fitted on and the products of the other ask, both ways; in brackets the standard
deviation over these runs. All of it is for the map that a shop with `group_id` gets: *groups*, the
words of names weighed .7, kind 0, colours evened. Types, genders, colours and co-purchases only
judge.
"""

from __future__ import annotations

import argparse
import csv
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from sqlalchemy import select

from backend import generations
from backend.adaptation.choosing import Mask, Shop, choose, words_to_read
from backend.adaptation.fitting import GROUPS, Codes, LookFitter, even_colours
from backend.adaptation.judging import Figures, Judge
from backend.adaptation.name_words import Words, guess_groups
from backend.adaptation.reading import read_sample
from backend.database.engine import Database
from backend.database.models import Product
from backend.embedders import FloatArray
from backend.embedders.block_statistics import BlockStatistics
from backend.embedders.kept_features import COLOUR
from backend.embedders.lookalike_blocks import shipped_statistics

NEIGHBOURS = 10
WORDS = 0.7
COLUMNS = ("article_type", "base_colour+article_type", "gender+article_type", "variants", "hit@10")

Partners = Mapping[int, set[int]]
"""Position of a product -> the positions of those that were bought with it."""


@dataclass(frozen=True)
class Measured:
    """A shop whose groups come from its feed, and what its customers bought together."""

    shop: Shop
    partners: Partners

    def figures(self, statistics: BlockStatistics, queries: Codes) -> Figures:
        """Return all figures of the vectors by these statistics, asked by some positions."""
        vectors = statistics.project(self.shop.features)
        judge = Judge(labels=self.shop.labels, groups=self.shop.groups, queries=queries)
        asked = np.array([each for each in queries if each in self.partners], np.intp)
        if not len(asked):
            return judge.figures(vectors)
        hits = [bool(self.partners[one] & near) for one, near in nearest(vectors, asked)]
        return {**judge.figures(vectors), "hit@10": float(np.mean(hits))}


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--bought", type=Path, help="pairs of skus that were bought together")
    parser.add_argument("--draws", type=int, default=5, help="how often the groups are parted")
    asked = parser.parse_args()
    measured = read(asked.folder, asked.bought)
    print(f"{'':34}", *(f"{name:>25}" for name in COLUMNS))
    of_all(measured)
    of_halves(measured, asked.draws)


def read(folder: Path, bought: Path | None) -> Measured:
    """Read the features and labels of a data folder, and the pairs of a file."""
    with Database(f"sqlite:///{folder / 'lookalike.sqlite'}").read() as session:
        active = generations.active(session)
        sample = read_sample(session, active.features or "")
        sold = (Product.removed_at.is_(None), Product.image_digest.is_not(None))
        skus = session.scalars(select(Product.sku).where(*sold).order_by(Product.id)).all()
    if sample is None or len(sample.shop.features) != len(skus):
        raise SystemExit("the features of some products are not stored, or they are too many")
    place = {sku: position for position, sku in enumerate(skus)}
    partners: dict[int, set[int]] = {}
    for one, other in pairs(bought):
        if one in place and other in place:
            partners.setdefault(place[one], set()).add(place[other])
    return Measured(sample.shop, partners)


def pairs(file: Path | None) -> Iterator[tuple[str, str]]:
    """Yield the first two values of each row below the header."""
    if file is None:
        return
    with file.open(newline="") as opened:
        rows = csv.reader(opened)
        next(rows)
        yield from ((row[0], row[1]) for row in rows)


def of_all(measured: Measured) -> None:
    """Adapt to the whole shop by what it tells, and ask with all of its products."""
    shop, everything = measured.shop, np.arange(len(measured.shop.features))
    print_row("as shipped", [measured.figures(shipped_statistics(), everything)])
    without = np.full_like(shop.groups, -1)
    known = {
        "images alone": replace(shop, groups=without, words=(), guessed=True),
        "images, names": replace(shop, groups=guess_groups(shop.words), guessed=True),
        "images, group_id": replace(shop, words=()),
        "images, names, group_id": shop,
    }
    for name, one in known.items():
        choice = choose(one, shipped_statistics())
        print_row(name, [measured.figures(choice.statistics, everything)])
        found = choice.statistics
        weights = f"kind {found.kind_weight}, colour {found.colour_weight}"
        print(f"    {choice.mix.name}, words {choice.mix.words}, {weights}")


def of_halves(measured: Measured, draws: int) -> None:
    """Fit on half of the groups, and ask with the products of the other half."""
    shop = measured.shop
    halves = [half for seed in range(draws) for half in parted(shop.groups, seed)]
    print(f"\n{'groups not fitted on, and names':34}")
    shipped = [measured.figures(shipped_statistics(), np.flatnonzero(~half)) for half in halves]
    print_row("as shipped", shipped)
    for name in ("of no product", "of that half", "of all products"):
        found = []
        for half in halves:
            words = {
                "of no product": (),
                "of that half": words_to_read(shop, half),
                "of all products": shop.words,
            }[name]
            found.append(measured.figures(fitted(shop, half, words), np.flatnonzero(~half)))
        print_row(name, found)


def parted(groups: Codes, seed: int) -> tuple[Mask, Mask]:
    """Part the groups at random; tell for each half which products are in it."""
    numbers = np.random.RandomState(seed).permutation(np.unique(groups))
    half = np.isin(groups, numbers[: len(numbers) // 2])
    return half, ~half


def fitted(shop: Shop, half: Mask, words: Sequence[Words]) -> BlockStatistics:
    """Fit the map of a shop with groups to the groups of a half and to the words of names."""
    fitter = LookFitter(shop.look, np.where(half, shop.groups, -1), words)
    found = fitter.fit(replace(GROUPS, words=WORDS if words else 0.0))
    return replace(
        shipped_statistics(),
        mean=found.mean.astype(np.float32),
        components=found.components.astype(np.float16),
        kind_weight=0.0,
        colour_map=even_colours(shop.features[:, COLOUR]),
    )


def nearest(vectors: FloatArray, asked: Codes) -> Iterator[tuple[int, set[int]]]:
    """Yield each position that is asked for with the positions of its ten nearest."""
    for start in range(0, len(asked), 500):
        part = asked[start : start + 500]
        similarities = vectors[part] @ vectors.T
        similarities[np.arange(len(part)), part] = -np.inf
        found = np.argpartition(-similarities, NEIGHBOURS, axis=1)[:, :NEIGHBOURS]
        yield from ((int(one), set(near.tolist())) for one, near in zip(part, found, strict=True))


def print_row(name: str, runs: Sequence[Figures]) -> None:
    """Print the mean of each figure, and the standard deviation of several runs."""
    cells = []
    for column in COLUMNS:
        values = [one[column] for one in runs if column in one]
        spread = f" ({np.std(values):.3f})" if len(values) > 1 else ""
        cells.append(f"{np.mean(values):.3f}{spread}" if values else "")
    print(f"{name:34}", *(f"{cell:>25}" for cell in cells), flush=True)


if __name__ == "__main__":
    main()

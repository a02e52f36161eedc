"""What goes with a new product, on the pairs of a real shop, by the code that answers.

    python benchmarks/cold_start.py SHOP.zip [--embedder SPEC | --vectors FILE.npz] [--queries N]

The zip holds `articles.csv`, `bought_together.csv` (article_id, other_article_id) and `images/`. A
database of its own gets the articles, their vectors and the pairs. Each article that has pairs is
asked for with `Together.of`, as `GET /v1/products/{sku}/together` does:

- cold: all pairs that name it are deleted before the question; its partners are right
- half known: of its pairs, drawn by the seed, one half is deleted; the products of this half are
  right, those of the other half are left out of the list

One line for each list: hit@10 with its standard error; then the halves of the shop that the digest
of a product's code makes. A term is left out of the formula by setting its factor. The vectors are
those of an embedder, or `names` and `vectors` of a file.
"""

from __future__ import annotations

import argparse
import csv
import io
import random
import tempfile
import zipfile
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from PIL import Image
from sqlalchemy import delete, insert
from sqlalchemy.orm import Session

from backend.database.engine import Database
from backend.database.migrate import migrate
from backend.database.models import ACTIVE, Generation, Product, ProductPartners
from backend.embedders import FloatArray, load
from backend.events.decay import growth
from backend.events.partners import ROW
from backend.lab.evaluation.splits import fraction_of
from backend.lab.recommending.trial import InMemory
from backend.recommendations import formula
from backend.recommendations.together import Together
from backend.vectors import Vector

NOW = datetime(2026, 1, 1, tzinfo=UTC)
K = 10
Lists = Callable[[int, Sequence[int]], list[int]]
"""(article, articles to leave out) -> the list."""


class Shop:
    """The articles with their partners, numbered from 1, in a database."""

    def __init__(self, archive: zipfile.ZipFile, names: Sequence[str], db: Database) -> None:
        rows = {row["article_id"]: row for row in _table(archive, "articles.csv")}
        self.names, self.db = names, db
        self.groups = [rows[name]["product_code"] for name in names]
        ids = {name: at for at, name in enumerate(names, start=1)}
        self.partners: dict[int, set[int]] = defaultdict(set)
        self.naming: dict[int, set[int]] = defaultdict(set)
        for row in _table(archive, "bought_together.csv"):
            if row["article_id"] in ids and row["other_article_id"] in ids:
                one, other = ids[row["article_id"]], ids[row["other_article_id"]]
                self.partners[one].add(other)
                self.naming[other].add(one)
        products = [
            {
                "id": ids[name],
                "sku": name,
                "group_id": rows[name]["product_code"],
                "gender": rows[name]["index_group_name"],
                "article_type": rows[name]["product_type_name"],
            }
            for name in names
        ]
        db.write(lambda session: session.execute(insert(Product), products))
        db.write(lambda session: session.execute(insert(ProductPartners), self._packed()))

    def _packed(self) -> list[dict[str, object]]:
        return [self._row(one, others) for one, others in self.partners.items()]

    def _row(self, article: int, others: Collection[int]) -> dict[str, object]:
        rows = np.empty(len(others), ROW)
        rows["other"] = sorted(others, reverse=True)
        rows["score"], rows["times"] = growth(NOW), 1
        return {"product_id": article, "packed": rows.tobytes()}

    @contextmanager
    def without(self, article: int, others: Collection[int] | None) -> Iterator[None]:
        """Delete an article's pairs with some others, None for all, in both directions."""
        gone = self.partners.keys() | self.partners[article] if others is None else set(others)
        left = {it: self.partners[it] - {article} for it in self.naming[article] & gone}
        left[article] = self.partners[article] - gone
        self._store(left)
        try:
            yield
        finally:
            self._store({it: self.partners[it] for it in left})

    def _store(self, partners: Mapping[int, Collection[int]]) -> None:
        rows = [self._row(one, others) for one, others in partners.items() if others]

        def work(session: Session) -> None:
            session.execute(
                delete(ProductPartners).where(ProductPartners.product_id.in_(list(partners)))
            )
            if rows:
                session.execute(insert(ProductPartners), rows)

        self.db.write(work)


def _table(archive: zipfile.ZipFile, name: str) -> list[dict[str, str]]:
    with archive.open(name) as file:
        return list(csv.DictReader(io.TextIOWrapper(file, "utf-8")))


def embedded(archive: zipfile.ZipFile, spec: str) -> tuple[list[str], FloatArray]:
    """Return the articles that have an image, and their vectors."""
    embedder = load(spec)
    paths = sorted(name for name in archive.namelist() if name.endswith(".jpg"))
    vectors = []
    for start in range(0, len(paths), embedder.batch_size):
        part = paths[start : start + embedder.batch_size]
        images = [Image.open(archive.open(path)).convert("RGB") for path in part]
        vectors.append(embedder.embed(images))
    return [Path(path).stem for path in paths], np.concatenate(vectors)


def hits(
    shop: Shop, asked: Sequence[int], choose: Lists, *, known: Mapping[int, set[int]] | None
) -> list[bool]:
    """Return for each article whether one of its list is right."""
    found = []
    for article in asked:
        kept = known[article] if known else set()
        right = shop.partners[article] - kept
        with shop.without(article, sorted(right) if known else None):
            found.append(bool(right & set(choose(article, sorted(kept))[:K])))
    return found


@contextmanager
def without_terms(**factors: float) -> Iterator[None]:
    """Change constants of the formula for a while."""
    before = {name: getattr(formula, name) for name in factors}
    for name, value in factors.items():
        setattr(formula, name, value)
    try:
        yield
    finally:
        for name, value in before.items():
            setattr(formula, name, value)


def lists(shop: Shop, index: InMemory) -> dict[str, tuple[Lists, dict[str, float]]]:
    """Return what is compared: a list, and constants of the formula that it changes."""
    generation = Generation(id=1, collection="c", embedder="e", fingerprint="f", state=ACTIVE)
    together = Together(shop.db, lambda _: index)
    counts: dict[int, int] = defaultdict(int)
    for others in shop.partners.values():
        for other in others:
            counts[other] += 1
    popular = sorted(counts, key=lambda it: (-counts[it], it))[:1000]

    def ours(article: int, exclude: Sequence[int]) -> list[int]:
        vector = index.vectors[article - 1]
        return goes_with(article, exclude, vector)

    def goes_with(article: int, exclude: Sequence[int], vector: Vector | None) -> list[int]:
        with shop.db.query() as reader:
            found = together.of(reader, article, generation, vector, exclude=exclude, now=NOW)
        return [it.product_id for it in found]

    def looks(article: int, exclude: Sequence[int]) -> list[int]:
        vector = index.vectors[article - 1]
        return [it.id for it in index.nearest(vector, limit=K, exclude=[article, *exclude])]

    def pairs_only(article: int, exclude: Sequence[int]) -> list[int]:
        return goes_with(article, exclude, None)

    def most(article: int, exclude: Sequence[int]) -> list[int]:
        left_out = {article, *exclude}
        return [it for it in popular if it not in left_out][:K]

    plain = {"VARIANT": 1.0, "OTHER_GENDER": 1.0, "OTHER_TYPE": 1.0}
    return {
        "most popular": (most, {}),
        "own pairs only": (pairs_only, {}),
        "looks only": (looks, {}),
        "the neighbours' pairs only": (ours, {**plain, "LOOK": 0.0}),
        "looks and the neighbours' pairs": (ours, plain),
        "the same, genders and types": (ours, {"VARIANT": 1.0}),
        "the formula": (ours, {}),
        "the formula without looks": (ours, {"LOOK": 0.0}),
    }


def show(name: str, found: Sequence[bool], halves: Sequence[bool]) -> None:
    values, half = np.array(found, float), np.array(halves)
    error = values.std() / len(values) ** 0.5
    parts = f"{values[half].mean():.3f} {values[~half].mean():.3f}"
    print(f"{name:34} {values.mean():.3f} ±{error:.3f}   {parts}", flush=True)


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("file", type=Path)
    parser.add_argument("--embedder", default="lookalike-fashion")
    parser.add_argument("--vectors", type=Path)
    parser.add_argument("--queries", type=int)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    with zipfile.ZipFile(options.file) as archive, tempfile.TemporaryDirectory() as folder:
        if options.vectors:
            with np.load(options.vectors) as file:
                names, vectors = [str(it) for it in file["names"]], file["vectors"]
        else:
            names, vectors = embedded(archive, options.embedder)
        db = Database(f"sqlite:///{Path(folder) / 'shop.db'}")
        migrate(db)
        shop = Shop(archive, names, db)
        measure(shop, InMemory(range(1, len(names) + 1), vectors), options)
        db.engine.dispose()
    return 0


def measure(shop: Shop, index: InMemory, options: argparse.Namespace) -> None:
    draw = random.Random(options.seed)
    asked = sorted(article for article, others in shop.partners.items() if others)
    if options.queries:
        asked = sorted(draw.sample(asked, options.queries))
    some = [article for article in asked if len(shop.partners[article]) > 1]
    known = {
        article: set(draw.sample(sorted(shop.partners[article]), len(shop.partners[article]) // 2))
        for article in some
    }
    for title, articles, kept in (("cold", asked, None), ("half known", some, known)):
        halves = [fraction_of(shop.groups[article - 1]) < 0.5 for article in articles]
        print(f"{title}: {len(articles):,} of {len(shop.names):,} articles; hit@{K}, both halves")
        for name, (choose, factors) in lists(shop, index).items():
            with without_terms(**factors):
                show(name, hits(shop, articles, choose, known=kept), halves)


if __name__ == "__main__":
    raise SystemExit(main())

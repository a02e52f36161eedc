"""Read what statistics are fitted to and judged by: features and labels of a sample of products."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from sqlalchemy import select
from sqlalchemy.orm import Session

from backend.adaptation.choosing import Shop
from backend.adaptation.fitting import Codes, in_several
from backend.adaptation.name_alignment import Named
from backend.adaptation.name_words import guess_groups, words_of_names
from backend.catalogue import image_vectors
from backend.database.models import Product
from backend.embedders import FloatArray
from backend.embedders.block_statistics import BlockStatistics
from backend.embedders.kept_rows import WITH_ROWS, of_one_length

MOST_PRODUCTS: Final = 12_000
"""Of larger catalogues a sample is read: 39 MB of features, and seconds of computing."""

MOST_NAMED: Final = 40_000
"""Products whose names are read: 82 MB of vectors, and minutes of one core for their sentences."""

AT_ONCE: Final = 4_000  # products whose features are held

FIELDS: Final = ("article_type", "gender", "base_colour", "group_id", "display_name")
LABELS: Final = (("article_type",), ("gender", "article_type"), ("base_colour", "article_type"))
LABEL_TEXTS: Final = (
    ("article_type",),
    ("base_colour", "article_type"),
    ("gender", "article_type"),
    ("gender", "base_colour", "article_type"),
)
"""Fields whose values, one after the other, shoppers may ask for."""


@dataclass(frozen=True, kw_only=True)
class FittingSample:
    """The products of a sample whose features are stored, and how many were drawn."""

    shop: Shop
    drawn: int  # products, with and without features
    incomplete: int  # of these, that lack what this release keeps of an image


def read_sample(session: Session, features_fingerprint: str) -> FittingSample | None:
    """Read the features and labels of a sample; None if no features are stored."""
    drawn = _draw(session, MOST_PRODUCTS)
    rows = _rows(session, drawn)
    digests = {row[0] for row in rows if row[0]}
    stored = image_vectors.load(session, features_fingerprint, digests)
    features = of_one_length(stored)
    kept = [(features[digest], values) for digest, *values in rows if digest in features]
    if not kept:
        return None
    columns = dict(zip(FIELDS, zip(*(values for _, values in kept), strict=True), strict=True))
    groups = number([columns["group_id"]])
    words = words_of_names(columns["display_name"], columns["base_colour"])
    guessed = not in_several(groups).any()
    shop = Shop(
        features=np.stack([vector for vector, _ in kept]),
        labels={"+".join(by): number([columns[name] for name in by]) for by in LABELS},
        groups=guess_groups(words) if guessed else groups,
        words=words,
        guessed=guessed,
    )
    complete = {digest for digest, each in stored.items() if len(each) == WITH_ROWS}
    incomplete = sum(row[0] not in complete for row in rows)
    return FittingSample(shop=shop, drawn=len(drawn), incomplete=incomplete)


def read_named(
    session: Session,
    features_fingerprint: str,
    statistics: Sequence[BlockStatistics],
    *,
    heartbeat: Callable[[], None] = lambda: None,
) -> list[Named]:
    """Read the names and labels of products, with their vectors by each of `statistics`."""
    ids = _draw(session, MOST_NAMED)
    columns: dict[str, list[str | None]] = {name: [] for name in FIELDS}
    vectors: list[list[FloatArray]] = [[] for _ in statistics]
    for start in range(0, len(ids), AT_ONCE):
        rows = _rows(session, ids[start : start + AT_ONCE])
        stored = image_vectors.load(
            session, features_fingerprint, {row[0] for row in rows if row[0]}
        )
        features = of_one_length(stored, with_rows=any(each.reads_rows for each in statistics))
        kept = [row for row in rows if row[0] in features]
        if not kept:
            continue
        for name, values in zip(FIELDS, list(zip(*kept, strict=True))[1:], strict=True):
            columns[name] += values
        stacked = np.stack([features[str(row[0])] for row in kept])
        for each, found in zip(statistics, vectors, strict=True):
            found.append(each.project(stacked))
        heartbeat()
    labels = [_join([columns[name] for name in by]) for by in LABEL_TEXTS]
    return [
        Named(
            names=columns["display_name"],
            labels=labels,
            vectors=np.concatenate(found)
            if found
            else np.empty((0, each.blocks[-1].stop), np.float32),
            blocks=each.blocks,
        )
        for each, found in zip(statistics, vectors, strict=True)
    ]


def _draw(session: Session, most: int) -> list[int]:
    """Draw products that are sold, and have an image, by a seed; return their ids in order."""
    sold = (Product.removed_at.is_(None), Product.image_digest.is_not(None))
    ids = session.scalars(select(Product.id).where(*sold).order_by(Product.id)).all()
    drawn = np.random.RandomState(0).permutation(len(ids))[:most]
    return [ids[position] for position in np.sort(drawn).tolist()]


def _join(columns: Sequence[Sequence[str | None]]) -> list[str | None]:
    """Return the values of each product as one text; None where one is missing."""
    return [" ".join(map(str, row)) if all(row) else None for row in zip(*columns, strict=True)]


def _rows(session: Session, ids: Sequence[int]) -> list[tuple[str | None, ...]]:
    """Return the digest and FIELDS of products, in the order of their ids."""
    fields = (
        Product.image_digest,
        Product.article_type,
        Product.gender,
        Product.base_colour,
        Product.group_id,
        Product.display_name,
    )
    found: list[tuple[str | None, ...]] = []
    for start in range(0, len(ids), image_vectors.PART):
        part = ids[start : start + image_vectors.PART]
        rows = session.execute(select(*fields).where(Product.id.in_(part)).order_by(Product.id))
        found += [tuple(row) for row in rows]
    return found


def number(columns: Sequence[Sequence[str | None]]) -> Codes:
    """Give each combination of values a number, (products,); -1 where one of them is missing.

    `columns` has one sequence of values for each field.
    """
    rows = list(zip(*columns, strict=True))
    numbers = {row: code for code, row in enumerate(sorted({row for row in rows if all(row)}))}
    return np.array([numbers.get(row, -1) for row in rows], np.intp)

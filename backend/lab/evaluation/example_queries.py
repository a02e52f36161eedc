"""The best, typical and worst queries of an evaluation, drawn as rows of a contact sheet."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from PIL.Image import Image

from backend.lab.contact_sheet import SheetRow, SheetTile, contact_sheet
from backend.lab.evaluation.evaluating import Evidence
from backend.lab.evaluation.scoring import Ranking, hits, per_query
from backend.lab.evaluation.splits import fraction_of
from backend.lab.types import Floats, OpenImage

TILE: Final = (132, 176)  # width, height in pixels
SHOWN: Final = 6
"""Queries of a section."""


@dataclass(frozen=True, kw_only=True)
class ExampleQuery:
    """A query and its neighbours, as one drawn row."""

    image: str  # data URI
    alt: str  # the row as text
    width: int  # pixels
    height: int
    precision: float  # AP@k
    embedder: str


@dataclass(frozen=True, kw_only=True)
class ExampleSection:
    """Queries under one heading."""

    title: str
    note: str
    queries: Sequence[ExampleQuery]


class ExampleQueries:
    """Chooses queries of an evaluation, scored by one label, and draws them."""

    def __init__(self, evidence: Evidence, by: str, open_image: OpenImage) -> None:
        self._evidence = evidence
        self._labels = evidence.plan.labels[by]
        self._open = open_image
        self._images: dict[int, Image | None] = {}
        queries = [evidence.plan.products[position] for position in evidence.queries.tolist()]
        self._ties = np.array([fraction_of(product.sku) for product in queries])

    def sections(self, ranking: Ranking) -> list[ExampleSection]:
        """Return three sections of one embedder; the queries of one have different categories."""
        precisions = self._precisions(ranking)
        if np.isnan(precisions).all():
            return []
        median = float(np.nanmedian(precisions))
        chosen = {
            "Best": ("The highest AP.", -precisions),
            "Typical": (f"Around the median AP of {median:.2f}.", abs(precisions - median)),
            "Worst": ("The lowest AP; the images often show why.", precisions),
        }
        return [
            ExampleSection(
                title=title,
                note=note,
                queries=[self._draw(ranking, query, precisions) for query in self._first(order)],
            )
            for title, (note, order) in chosen.items()
        ]

    def disagreements(
        self, rankings: Sequence[Ranking], count: int = 4
    ) -> list[list[ExampleQuery]]:
        """Return the queries whose AP differs most between embedders, a row of each embedder."""
        precisions = np.stack([self._precisions(ranking) for ranking in rankings])
        if len(rankings) < 2 or np.isnan(precisions).all():
            return []
        spread = precisions.max(axis=0) - precisions.min(axis=0)
        return [
            [
                self._draw(ranking, query, values)
                for ranking, values in zip(rankings, precisions, strict=True)
            ]
            for query in list(self._first(-spread))[:count]
        ]

    def _precisions(self, ranking: Ranking) -> Floats:
        """Return AP@k of each query; NaN where no product is relevant."""
        found: Floats = per_query(ranking, self._labels, self._evidence.queries)[:, 0]
        return found

    def _first(self, order: Floats) -> Iterator[int]:
        """Yield a few queries of different categories, those with the lowest `order` first.

        There are many ties. A digest of the sku breaks them, so that the choice is random but the
        same every time.
        """
        codes = self._labels.codes[self._evidence.queries]
        seen: set[int] = set()
        for query in np.lexsort((self._ties, order)).tolist():
            if len(seen) == SHOWN or np.isnan(order[query]):
                return
            if codes[query] not in seen:
                seen.add(codes[query])
                yield query

    def _draw(self, ranking: Ranking, query: int, precisions: Floats) -> ExampleQuery:
        row = self._row(ranking, query)
        drawn = contact_sheet([row], tile=TILE, caption_lines=1)
        return ExampleQuery(
            image=data_uri(drawn),
            alt=alt_text(row),
            width=drawn.width,
            height=drawn.height,
            precision=float(precisions[query]),
            embedder=ranking.embedder,
        )

    def _row(self, ranking: Ranking, query: int) -> SheetRow:
        position = int(self._evidence.queries[query])
        positions = ranking.neighbours.positions[query]
        relevant = hits(self._labels, self._labels.codes[[position]], positions[None, :])[0]
        found = zip(
            positions.tolist(),
            ranking.neighbours.scores[query].tolist(),
            relevant.tolist(),
            strict=True,
        )
        neighbours = [
            self._tile(one, score=score, hit=hit) for one, score, hit in found if one >= 0
        ]
        return SheetRow(self._tile(position), neighbours)

    def _tile(
        self, position: int, *, score: float | None = None, hit: bool | None = None
    ) -> SheetTile:
        product, code = self._evidence.plan.products[position], self._labels.codes[position]
        if position not in self._images:
            self._images[position] = self._open(product.uri, TILE)
        return SheetTile(
            image=self._images[position],
            name=product.name or product.sku,
            caption=self._labels.names[code] if code >= 0 else "-",
            score=score,
            hit=hit,
        )


def alt_text(row: SheetRow) -> str:
    """Describe a row for readers who cannot see it: the query, then each neighbour in order."""
    parts = [f"query: {row.query.name} ({row.query.caption})"]
    parts += [
        f"{'hit' if tile.hit else 'miss'} {tile.score:.3f}: {tile.name} ({tile.caption})"
        for tile in row.neighbours
    ]
    return "; ".join(parts)


def data_uri(image: Image) -> str:
    """Return an image as a WebP inside a URI."""
    file = io.BytesIO()
    image.save(file, "WEBP", quality=78, method=4)
    return "data:image/webp;base64," + base64.b64encode(file.getvalue()).decode()

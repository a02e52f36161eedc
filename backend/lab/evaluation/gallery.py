"""Queries to look at: the best, typical and worst ones, with their neighbours, as pictures."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt
from PIL.Image import Image

from backend.lab.evaluation.evaluating import Evidence
from backend.lab.evaluation.judging import Ranking, hits, per_query
from backend.lab.evaluation.splits import place

OpenPicture: TypeAlias = Callable[[str, tuple[int, int]], Image | None]
"""Opens a picture by its URI, fitted into (width, height); None if it fails."""

BOX: Final = (132, 176)  # width, height in pixels
LINES: Final = 6


@dataclass(frozen=True, kw_only=True)
class Tile:
    """A product as it is shown."""

    picture: str | None  # data URI
    sku: str
    name: str
    category: str | None
    score: float | None = None  # None: the query
    hit: bool | None = None


@dataclass(frozen=True, kw_only=True)
class Line:
    """A query and its neighbours, best first."""

    query: Tile
    neighbours: Sequence[Tile]
    precision: float  # AP@k
    embedder: str


@dataclass(frozen=True, kw_only=True)
class Sheet:
    """Some lines that belong together."""

    title: str
    note: str
    lines: Sequence[Line]


class Gallery:
    """Shows the evidence by one label."""

    def __init__(self, evidence: Evidence, by: str, open_picture: OpenPicture) -> None:
        self._evidence = evidence
        self._labels = evidence.plan.labels[by]
        self._open = open_picture
        self._pictures: dict[int, str | None] = {}
        asked = [evidence.plan.products[position] for position in evidence.queries.tolist()]
        self._ties = np.array([place(product.sku) for product in asked])

    def sheets(self, ranking: Ranking) -> list[Sheet]:
        """Return three sheets of an embedder, each query of another category."""
        precisions = self._precisions(ranking)
        if np.isnan(precisions).all():
            return []
        median = float(np.nanmedian(precisions))
        chosen = {
            "Best": ("Every place as good as it can be.", -precisions),
            "Typical": (f"Around the median AP of {median:.2f}.", abs(precisions - median)),
            "Worst": ("Where it fails, and why is often to be seen.", precisions),
        }
        return [
            Sheet(
                title=title,
                note=note,
                lines=[self._line(ranking, query, precisions) for query in self._first(order)],
            )
            for title, (note, order) in chosen.items()
        ]

    def side_by_side(self, rankings: Sequence[Ranking], count: int = 4) -> list[list[Line]]:
        """Return, for queries that embedders disagree most about, a line of each embedder."""
        precisions = np.stack([self._precisions(ranking) for ranking in rankings])
        if len(rankings) < 2 or np.isnan(precisions).all():
            return []
        spread = precisions.max(axis=0) - precisions.min(axis=0)
        return [
            [
                self._line(ranking, query, values)
                for ranking, values in zip(rankings, precisions, strict=True)
            ]
            for query in list(self._first(-spread))[:count]
        ]

    def _precisions(self, ranking: Ranking) -> npt.NDArray[np.float64]:
        """Return AP@k of each query; NaN without anything relevant."""
        found: npt.NDArray[np.float64]
        found = per_query(ranking, self._labels, self._evidence.queries)[:, 0]
        return found

    def _first(self, order: npt.NDArray[np.float64]) -> Iterator[int]:
        """Yield a few queries, the least of `order` first, no two of a category.

        Ties, of which there are many, are broken by a digest of the sku: at random, but always
        alike.
        """
        codes = self._labels.codes[self._evidence.queries]
        seen: set[int] = set()
        for query in np.lexsort((self._ties, order)).tolist():
            if len(seen) == LINES or np.isnan(order[query]):
                return
            if codes[query] not in seen:
                seen.add(codes[query])
                yield query

    def _line(self, ranking: Ranking, query: int, precisions: npt.NDArray[np.float64]) -> Line:
        asked = int(self._evidence.queries[query])
        positions = ranking.neighbours.positions[query]
        right = hits(self._labels, self._labels.codes[[asked]], positions[None, :])[0]
        return Line(
            query=self._tile(asked),
            neighbours=[
                self._tile(position, score=score, hit=hit)
                for position, score, hit in zip(
                    positions.tolist(),
                    ranking.neighbours.scores[query].tolist(),
                    right.tolist(),
                    strict=True,
                )
                if position >= 0
            ],
            precision=float(precisions[query]),
            embedder=ranking.embedder,
        )

    def _tile(self, position: int, *, score: float | None = None, hit: bool | None = None) -> Tile:
        product, code = self._evidence.plan.products[position], self._labels.codes[position]
        if position not in self._pictures:
            opened = self._open(product.uri, BOX)
            self._pictures[position] = data_uri(opened) if opened else None
        return Tile(
            picture=self._pictures[position],
            sku=product.sku,
            name=product.name or product.sku,
            category=self._labels.names[code] if code >= 0 else None,
            score=score,
            hit=hit,
        )


def data_uri(picture: Image) -> str:
    """Return a picture as a WebP that a page can hold itself."""
    file = io.BytesIO()
    picture.save(file, "WEBP", quality=78, method=4)
    return "data:image/webp;base64," + base64.b64encode(file.getvalue()).decode()

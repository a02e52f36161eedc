"""A contact sheet of ten hard queries, with their neighbours by two embedders.

    python benchmarks/hard_queries.py BEFORE AFTER --out FILE [--held-out 0.1] [--unseen NAME …]

Index and queries are the held-out products and the unseen categories. A query is hard if none of
the five neighbours that BEFORE finds has its base colour and article type, although more than five
products have. Ten hard queries are drawn by the seed, three of them of unseen categories. The
catalogue is that of LOOKALIKE_DATA_DIR; missing vectors are computed and stored.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from backend.bootstrap import Services, build
from backend.cli.common import bar
from backend.cli.sheets import open_image
from backend.lab.contact_sheet import SheetRow, SheetTile, contact_sheet, save
from backend.lab.evaluation.evaluating import EvaluationContext, Evidence, evaluate
from backend.lab.evaluation.planning import HELD_OUT, UNSEEN, EvaluationOptions
from backend.lab.evaluation.scoring import hits
from backend.lab.evaluation.splits import draw
from backend.lab.types import Positions
from backend.settings import read_settings

BY = "base_colour+article_type"
FEWEST = 5
"""Relevant products that a query must have."""

COUNTS = {HELD_OUT: 7, UNSEEN: 3}
TILE = (90, 120)


def search(services: Services, specs: list[str], options: EvaluationOptions) -> Evidence:
    """Search for all queries with both embedders."""
    context = EvaluationContext(
        db=services.db,
        embedders={spec: services.embedders.named(spec) for spec in specs},
        reference=services.embedders.named(specs[0]),
        open_images=services.image_opener.open,
        watch=bar,
    )
    return evaluate(context, options)[1]


def hard(evidence: Evidence, *, seed: int) -> Positions:
    """Draw queries for which the first embedder finds nothing, as positions among the queries."""
    labels, before = evidence.plan.labels[BY], evidence.rankings[0]
    asked = labels.codes[evidence.queries]
    failed = ~hits(labels, asked, before.neighbours.positions).any(axis=1)
    failed &= (asked >= 0) & (labels.counts()[asked] > FEWEST)
    drawn = [
        draw(np.flatnonzero(failed & evidence.groups[group]), count, seed=seed)
        for group, count in COUNTS.items()
        if group in evidence.groups
    ]
    return np.concatenate(drawn)


class HardQueries:
    """Makes the rows of the sheet: a query and the neighbours by one embedder."""

    def __init__(self, services: Services, evidence: Evidence) -> None:
        self._services, self._evidence = services, evidence
        self._labels = evidence.plan.labels[BY]

    def rows(self, query: int) -> Iterator[SheetRow]:
        """Yield a row for each embedder."""
        position = int(self._evidence.queries[query])
        for name, ranking in zip(("before", "after"), self._evidence.rankings, strict=True):
            found = ranking.neighbours.positions[query].tolist()
            tiles = [self._tile(one, hit=self._same(one, position)) for one in found]
            asked = self._tile(position)
            yield SheetRow(replace(asked, caption=f"{name}: {asked.caption}"), tiles)

    def _same(self, one: int, other: int) -> bool:
        return bool(self._labels.codes[one] == self._labels.codes[other])

    def _tile(self, position: int, *, hit: bool | None = None) -> SheetTile:
        name = self._labels.names[self._labels.codes[position]]
        image = open_image(self._services, self._evidence.plan.products[position].uri, TILE)
        return SheetTile(image=image, caption=name, hit=hit)


def main() -> None:
    """Write the sheet."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("embedders", nargs=2, metavar="SPEC")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--held-out", type=float, default=0.1)
    parser.add_argument("--unseen", action="append", default=[])
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    options = EvaluationOptions(
        by=("article_type", BY),
        held_out=given.held_out,
        unseen=given.unseen,
        index="held-out",
        timed=0,
        resamples=1,
    )
    services = build(read_settings())
    try:
        evidence = search(services, given.embedders, options)
        queries = HardQueries(services, evidence)
        rows = [
            row
            for query in hard(evidence, seed=given.seed).tolist()
            for row in queries.rows(int(query))
        ]
    finally:
        services.close()
    before, after = given.embedders
    subtitle = f"{before}, then {after}"
    save(contact_sheet(rows, title="Ten hard queries", subtitle=subtitle, tile=TILE), given.out)


if __name__ == "__main__":
    main()

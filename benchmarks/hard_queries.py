"""Before and after: ten hard queries, their neighbours by two embedders, as a contact sheet.

    python benchmarks/hard_queries.py BEFORE AFTER --out FILE [--held-out 0.1] [--unseen NAME …]

Index and queries are the held-out products and the unseen categories. Hard is a query of which
BEFORE finds nothing right among five, by base colour and article type, although there are five or
more. Ten of them are drawn by the seed, three of them of unseen categories: nobody picked them. The
catalogue is that of LOOKALIKE_DATA_DIR; missing vectors are made and kept.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from backend.bootstrap import Services, build
from backend.cli.common import bar
from backend.cli.contact_sheet import SheetRow, SheetTile, contact_sheet, save
from backend.cli.sheets import open_picture
from backend.lab.evaluation.evaluating import Contest, Evidence, evaluate
from backend.lab.evaluation.judging import hits
from backend.lab.evaluation.planning import HELD_OUT, UNSEEN, Options
from backend.lab.evaluation.splits import Positions, draw
from backend.settings import read_settings

BY = "base_colour+article_type"
FEWEST = 5
"""Right answers that there have to be."""

COUNTS = {HELD_OUT: 7, UNSEEN: 3}
TILE = (90, 120)


def judge(services: Services, specs: list[str], options: Options) -> Evidence:
    """Ask all queries by both embedders."""
    contest = Contest(
        db=services.db,
        embedders={spec: services.embedders.named(spec) for spec in specs},
        yardstick=services.embedders.named(specs[0]),
        open_images=services.image_opener.open,
        watch=bar,
    )
    return evaluate(contest, options)[1]


def hard(evidence: Evidence, *, seed: int) -> Positions:
    """Draw the queries that the first embedder fails, as positions among the queries."""
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


class Sheet:
    """Draws rows of a query and what one embedder finds."""

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
        picture = open_picture(self._services, self._evidence.plan.products[position].uri, TILE)
        return SheetTile(image=picture, caption=name, hit=hit)


def main() -> None:
    """Write the sheet."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("embedders", nargs=2, metavar="SPEC")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--held-out", type=float, default=0.1)
    parser.add_argument("--unseen", action="append", default=[])
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    options = Options(
        by=("article_type", BY),
        held_out=given.held_out,
        unseen=given.unseen,
        index="held-out",
        timed=0,
        resamples=1,
    )
    services = build(read_settings())
    try:
        evidence = judge(services, given.embedders, options)
        sheet = Sheet(services, evidence)
        rows = [row for query in hard(evidence, seed=given.seed) for row in sheet.rows(int(query))]
    finally:
        services.close()
    before, after = given.embedders
    said = f"{before}, then {after}"
    save(contact_sheet(rows, title="Ten hard queries", subtitle=said, tile=TILE), given.out)


if __name__ == "__main__":
    main()

"""Rounds of several searches at once: each is asked, the rows are read together, hits are taken."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from backend.database.reader import Reader
from backend.search.collecting import Collecting
from backend.search.found import NO_ROWS, read_rows
from backend.vectors import VectorIndex
from backend.vectors.image_points import STRIDE


def collect(
    connection: Reader,
    index: VectorIndex,
    searches: Sequence[Collecting],
    rows: dict[int, Any],
    *,
    images: bool,
    digests: bool = False,
) -> None:
    """Run several searches by turns; `rows` are those of products that were read before.

    `digests` are as `read_rows` takes them. Searches that share rows have the same `chosen_by`,
    and rows are as that reads them: one of each product, or without it `Rows`.
    """
    under_way = list(searches)
    is_first = True
    while under_way:
        _ask(index, under_way, is_first=is_first)
        taking = under_way
        while taking:
            _take(connection, taking, rows, images=images, digests=digests)
            taking = [each for each in taking if each.next_hits]
        under_way = [each for each in under_way if not each.is_over]
        is_first = False


def _take(
    connection: Reader,
    searches: Sequence[Collecting],
    rows: dict[int, Any],
    *,
    images: bool,
    digests: bool,
) -> None:
    """Take the next hits of each search, after their rows are read in one statement."""
    unread = {hit[0] % STRIDE for each in searches for hit in each.next_hits} - rows.keys()
    generation, chosen_by = searches[0].search.generation, searches[0].selection.chosen_by
    rows |= dict.fromkeys(unread, NO_ROWS)  # also of those that are removed
    if chosen_by is not None and unread:
        rows |= chosen_by.read(connection, generation, unread)
    elif unread:
        rows |= read_rows(connection, generation.id, unread, images=images, digests=digests)
    for each in searches:
        each.take(rows, images=images)


def _ask(index: VectorIndex, searches: Sequence[Collecting], *, is_first: bool) -> None:
    """Search once more: in one request at first, as long as none leaves out points of its own."""
    first = searches[0]
    if len(searches) == 1:
        first.ask(index)
        return
    wheres = [each.where for each in searches]
    differ = any(each.exclude or each.walk for each in searches)
    differ = differ or any(it != wheres[0] for it in wheres)
    if not is_first or differ:
        for each in searches:
            each.ask(index)
        return
    asked = max(each.points for each in searches)
    is_plain = wheres[0] is first.search.where
    found = index.nearest_each(
        [(each.search.vector, each.min_score) for each in searches],
        limit=asked,
        where=wheres[0],
        mode=first.search.mode if is_plain else index.search_mode(wheres[0]),
    )
    for each, hits in zip(searches, found, strict=True):
        each.receive(hits, asked=asked)

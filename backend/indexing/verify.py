"""Compare every live generation's index with SQL, and replace an index that was deleted."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import structlog

from backend import generations, jobs
from backend.database.engine import Database
from backend.database.models import Generation
from backend.errors import IndexDamaged, IndexGone
from backend.indexing.drift import Drift
from backend.indexing.reconciliation import reconcile
from backend.vectors import VectorIndex

log = structlog.get_logger(__name__)


IndexOf: TypeAlias = Callable[[Generation], VectorIndex]


def verify(
    db: Database,
    live: Sequence[Generation],
    *,
    index_of: IndexOf,
    close_index: Callable[[Generation], None],
    fix: bool,
    full: bool,
    report: Callable[[int, int | None], None],
) -> dict[str, Any]:
    """Compare each generation's index with SQL; with `fix`, repair the differences.

    Returns the sums of all generations, and under `generations` those of each. Raises IndexGone
    for an index that was deleted and IndexDamaged for a damaged one, unless `fix` is set.
    """
    found, each = Drift(), []
    for generation in live:
        index = existing_index(generation, index_of=index_of, close_index=close_index, fix=fix)
        drift = reconcile(db, generation, index, fix=fix, full=full, report=report)
        each.append({"generation": generation.id, "state": generation.state, **drift.summary()})
        found.add(drift)
    return {**found.summary(), "fixed": fix, "generations": each}


def existing_index(
    generation: Generation,
    *,
    index_of: IndexOf,
    close_index: Callable[[Generation], None],
    fix: bool,
) -> VectorIndex:
    """Return a generation's index. With `fix`, an empty one replaces it if need be.

    Raises IndexGone for a deleted one and IndexDamaged for a damaged one without `fix`.
    """
    index = index_of(generation)
    try:
        index.ping()
    except IndexGone as error:
        if not fix:
            raise IndexGone(f"{error.message}; `lookalike verify --fix` fills a new one") from error
    except IndexDamaged:
        if not fix:
            raise
    else:
        return index
    return replace_index(generation, index_of=index_of, close_index=close_index)


def refill(
    db: Database,
    generation: Generation,
    *,
    index_of: IndexOf,
    close_index: Callable[[Generation], None],
) -> None:
    """Replace an index that is gone or damaged, and request a `verify` job that fills the new one.

    Does nothing for a generation that was retired meanwhile.
    """
    with db.read() as session:
        is_live = generation.id in {one.id for one in generations.live(session)}
    if is_live:
        replace_index(generation, index_of=index_of, close_index=close_index)
        jobs.write(db, "verify", {"fix": True})


def replace_index(
    generation: Generation, *, index_of: IndexOf, close_index: Callable[[Generation], None]
) -> VectorIndex:
    """Replace an index that is gone or damaged by an empty one, and return it."""
    index = index_of(generation)
    try:
        index.ping()
    except IndexDamaged as error:
        log.warning(
            "the index is damaged: an empty one replaces it",
            generation=generation.id,
            error=error.message,
        )
        index.drop()
    except IndexGone:
        log.warning("the index is gone: an empty one replaces it", generation=generation.id)
    close_index(generation)
    index = index_of(generation)
    index.ping()
    return index

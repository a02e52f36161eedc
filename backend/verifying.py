"""Compare every live generation's index with SQL, and make one anew that somebody took away."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import structlog

from backend import generations, indexing, jobs
from backend.bootstrap import Services
from backend.catalogue.models import Generation
from backend.errors import IndexGone
from backend.indexing import Drift
from backend.vectors import VectorIndex

log = structlog.get_logger(__name__)


def verify(
    services: Services,
    live: Sequence[Generation],
    *,
    fix: bool,
    full: bool,
    report: Callable[[int, int | None], None],
) -> dict[str, Any]:
    """Compare each generation's index with SQL; with `fix`, have the difference healed.

    Returns the sums of all generations, and under `generations` those of each. Raises IndexGone
    for an index that was taken away, unless it may be made anew.
    """
    found, each = Drift(), []
    for generation in live:
        index = sound_index(services, generation, fix=fix)
        drift = indexing.reconcile(
            services.db, generation, index, fix=fix, full=full, report=report
        )
        each.append({"generation": generation.id, "state": generation.state, **drift.summary()})
        found.add(drift)
    return {**found.summary(), "fixed": fix, "generations": each}


def verify_slice(services: Services, generation: Generation) -> Drift:
    """Compare the next range of ids of one generation, and heal it."""
    index = sound_index(services, generation, fix=True)
    return indexing.reconcile_slice(services.db, generation, index)


def sound_index(services: Services, generation: Generation, *, fix: bool) -> VectorIndex:
    """Return a generation's index; one that was taken away is made anew, empty, with `fix`."""
    index = services.index_of(generation)
    try:
        index.ping()
    except IndexGone as error:
        if not fix:
            raise IndexGone(f"{error.message}; `lookalike verify --fix` fills a new one") from error
        return _make_anew(services, generation)
    return index


def refill(services: Services, generation: Generation) -> None:
    """Have an index that is gone filled again, if its generation is still a live one.

    One that was retired meanwhile is gone for good.
    """
    with services.db.read() as session:
        is_live = generation.id in {one.id for one in generations.live(session)}
    if is_live:
        _make_anew(services, generation)
        jobs.write(services.db, "verify", {"fix": True})


def _make_anew(services: Services, generation: Generation) -> VectorIndex:
    log.warning("the index is gone, and made anew", generation=generation.id)
    services.close_index(generation)
    index = services.index_of(generation)
    index.ping()
    return index

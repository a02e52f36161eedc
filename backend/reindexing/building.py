"""The job of a re-index: start a generation, give it entries, wait for the queue, promote it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from functools import partial
from typing import Any, Final

import structlog
from sqlalchemy import ColumnElement, func, select

from backend import generations, promotion
from backend.bootstrap import Services
from backend.catalogue import outbox
from backend.catalogue.models import BUILDING, RETIRED, Generation, IndexEntry, utcnow
from backend.catalogue.progress import progress
from backend.errors import EmbedderBusy, UnknownEmbedder, WeightsUnavailable, WrongState
from backend.generations import Encoder, Layout
from backend.generations.starting import insert
from backend.jobs import Handler, Report, Waiting
from backend.reindexing import asking, deciding
from backend.reindexing.describing import described

log = structlog.get_logger(__name__)

BACKFILL_SECONDS: Final = 1.0
"""How long one step gives entries to products, before other work has its turn."""


def handlers(services: Services) -> dict[str, Handler]:
    """Return what runs the jobs of re-indexing in this process; each call of one is short."""
    return {
        asking.REINDEX: partial(build, services),
        asking.PROMOTE: partial(promote, services),
        asking.ROLL_BACK: lambda arguments, _: deciding.roll_back(
            services, force=bool(arguments.get("force"))
        ),
    }


def build(services: Services, arguments: Mapping[str, Any], report: Report) -> dict[str, Any]:
    """Take a re-index one step on; raises Waiting until it is over.

    What it has to remember is in the job's arguments, so any process can take the next step.
    """
    if (generation_id := arguments.get("generation")) is None:
        generation = _start(services, arguments)
        raise Waiting(seconds=0, arguments={**arguments, "generation": generation.id})
    with services.db.read() as session:
        generation = generations.by_id(session, generation_id)
    if generation.state == RETIRED:
        raise WrongState(f"generation {generation.id} was dropped while it was building")
    if generation.state != BUILDING:
        return described(services.db, generation.id)  # somebody else has promoted it
    if "began" not in arguments:
        _fill(services, generation, report)
        raise Waiting(seconds=0, arguments={**arguments, "began": utcnow().isoformat()})
    if arguments["promote"] == "manual":
        return described(services.db, generation.id)
    return _decide(services, generation, arguments)


def promote(services: Services, arguments: Mapping[str, Any], _: Report) -> dict[str, Any]:
    """Promote a generation if it is good enough, or `force` is set."""
    with services.db.read() as session:
        generation = asking.candidate(session, arguments["generation"])
    return _decide(services, generation, {"began": utcnow().isoformat(), **arguments})


def _start(services: Services, arguments: Mapping[str, Any]) -> Generation:
    """Insert the generation; one that is building is ours, from before this process."""
    with services.db.read() as session:
        building = generations.in_state(session, BUILDING)
        current = generations.active(session)
    if building is not None:
        return building
    encoder = _encoder(services, arguments["embedder"], current)
    hnsw = {f"hnsw_{name}": value for name, value in arguments["hnsw"].items()}
    layout = Layout(
        quantization=arguments["quantization"] or current.quantization,
        options={**current.index_options, **hnsw},
    )
    configured = services.settings.embedder
    generation = insert(services.db, encoder, state=BUILDING, layout=layout, configured=configured)
    log.info(
        "re-index started",
        generation=generation.id,
        embedder=encoder.spec,
        same_vectors=encoder.fingerprint == current.fingerprint,
    )
    return generation


def _encoder(services: Services, spec: str | None, current: Generation) -> Encoder:
    """Return what the new generation is built with: by default, what the active one names.

    If that cannot be had, its stored vectors still can.
    """
    try:
        return services.encoder_now(spec or current.embedder)
    except (EmbedderBusy, UnknownEmbedder, WeightsUnavailable):
        if spec is not None:
            raise
        return Encoder(spec=current.embedder, fingerprint=current.fingerprint, size=current.size)


def _fill(services: Services, generation: Generation, report: Report) -> None:
    """Raise Waiting while products lack an entry, or rows of the re-index are not settled."""
    entered = generations.backfill(
        services.db, generation.id, seconds=BACKFILL_SECONDS, alive=services.alive
    )
    if not entered:
        raise Waiting(seconds=0, result=described(services.db, generation.id))
    with services.db.read() as session:
        now = progress(session, generation.id)
        left = session.scalar(_due(generation, IndexEntry.priority == outbox.REINDEX))
        unembedded = session.scalar(_due(generation, outbox.waits_for(outbox.Stage.EMBED)))
    report(now.products - now.pending, now.products)
    if unembedded and not services.settings.broker_url:
        services.embedder_of(generation)  # raises when it is not here, and so nowhere
    if left:
        raise Waiting(result=described(services.db, generation.id))


def _due(generation: Generation, which: ColumnElement[bool]) -> Any:
    """Select how many of a generation's rows are to be worked on, and of a kind."""
    return select(func.count()).where(
        IndexEntry.generation_id == generation.id, IndexEntry.due_at.is_not(None), which
    )


def _decide(
    services: Services, generation: Generation, arguments: Mapping[str, Any]
) -> dict[str, Any]:
    """Promote a generation when the rows from before the check are settled, or have had their time.

    Raises Waiting until then, and PromotionRefused.
    """
    began, force = datetime.fromisoformat(arguments["began"]), bool(arguments["force"])
    with services.db.read() as session:
        left = promotion.unsettled(session, generation.id, before=began)
    if left and not force and utcnow() - began < deciding.bounds(services.settings).wait:
        raise Waiting(
            seconds=0.2,
            arguments=arguments,
            result={**described(services.db, generation.id), "settling": left},
        )
    promoted = deciding.promote(services, generation, began=began, force=force)
    return described(services.db, promoted.id)

"""Which generation answers: promote one that is good enough, or go back to the standby."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import structlog
from sqlalchemy.orm import Session

from backend import generations, promotion
from backend.bootstrap import Services
from backend.catalogue.database import Database
from backend.catalogue.models import STANDBY, Generation, utcnow
from backend.errors import LookalikeError, WrongState
from backend.promotion import Bounds, Side, Verdict
from backend.reindexing.describing import described
from backend.settings import Settings

log = structlog.get_logger(__name__)


def bounds(settings: Settings) -> Bounds:
    """Return what the settings demand of a promotion."""
    return Bounds(
        samples=settings.promote_samples,
        wait=timedelta(seconds=settings.promote_wait_seconds),
        recall=settings.promote_recall,
        map_drop=settings.promote_map_drop,
        overlap=settings.promote_overlap,
        coverage=settings.promote_coverage,
    )


def promote(
    services: Services, candidate: Generation, *, began: datetime, force: bool
) -> Generation:
    """Measure a generation and make it the active one; its numbers are kept, whatever they are.

    Raises PromotionRefused, which names the numbers that failed, unless `force` is set.
    """
    verdict = _judge(services, candidate, began=began)
    _tell_failures(verdict, candidate, "promotion", force=force)
    quality = verdict.quality(forced=force and bool(verdict.failed))
    if not force and verdict.failed:
        _keep(services.db, candidate, quality)
        verdict.demand(candidate)
    promoted = generations.promote(services.db, candidate.id, quality=quality)
    log.info("promoted", generation=promoted.id, embedder=promoted.embedder)
    publish(services, promoted)
    return promoted


def roll_back(services: Services, *, force: bool = False) -> dict[str, Any]:
    """Go back to the standby at once, if its counts agree and nothing waits for long; describe it.

    Raises WrongState without a standby, and PromotionRefused unless `force` is set.
    """
    db, wanted = services.db, bounds(services.settings)
    with db.read() as session:
        standby = generations.in_state(session, STANDBY)
    if standby is None:
        raise WrongState("there is no standby generation to roll back to")
    checks = [
        promotion.check_counts(db, Side(standby, services.index_of(standby))),
        *promotion.check_queue(db, standby, began=utcnow() - wanted.wait, bounds=wanted),
    ]
    verdict = Verdict(checks, utcnow())
    _tell_failures(verdict, standby, "rollback", force=force)
    if not force:
        verdict.demand(standby)
    active = generations.roll_back(db, standby.id, configured=services.settings.embedder)
    log.info("rolled back", generation=active.id, embedder=active.embedder)
    publish(services, active)
    return described(db, active.id)


def publish(services: Services, generation: Generation) -> None:
    """Tell outsiders which collection is active; a later look puts right what fails now."""
    try:
        services.publish(generation)
    except LookalikeError as error:
        log.warning("the alias was not changed", error=error.message)


def _judge(services: Services, candidate: Generation, *, began: datetime) -> Verdict:
    db, wanted = services.db, bounds(services.settings)
    with db.read() as session:
        active = generations.active_or_none(session)
    new = Side(candidate, services.index_of(candidate))
    old = Side(active, services.index_of(active)) if active else None
    checks = [
        promotion.check_encoder(services.check_query_encoder, candidate),
        *promotion.check_answers(db, new, old, bounds=wanted, alive=services.alive),
        promotion.check_counts(db, new),
        *promotion.check_queue(db, candidate, began=began, bounds=wanted),
    ]
    return Verdict(checks, utcnow())


def _tell_failures(verdict: Verdict, generation: Generation, what: str, *, force: bool) -> None:
    if verdict.failed:
        outcome = f"{what} forced" if force else f"{what} refused"
        reasons = [check.says for check in verdict.failed]
        log.warning(outcome, generation=generation.id, failed=reasons)


def _keep(db: Database, generation: Generation, quality: dict[str, Any]) -> None:
    def work(session: Session) -> None:
        session.get_one(Generation, generation.id).quality = quality

    db.write(work)

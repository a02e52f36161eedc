"""Decide which generation answers queries: promote one, or roll back to the standby."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import structlog
from sqlalchemy.orm import Session

from backend import generations
from backend.database import clock
from backend.database.engine import Database
from backend.database.models import STANDBY, Generation, utcnow
from backend.errors import LookalikeError, WrongState
from backend.reindex import calibration, checks
from backend.reindex.checks import Bounds, Side, Verdict
from backend.reindex.describe import described
from backend.search.query_image import QueryEncoder
from backend.settings import Settings
from backend.vectors import VectorIndex

log = structlog.get_logger(__name__)


def bounds_of(settings: Settings) -> Bounds:
    """Return the bounds of a promotion that the settings give."""
    return Bounds(
        samples=settings.promote_samples,
        wait=timedelta(seconds=settings.promote_wait_seconds),
        recall=settings.promote_recall,
        map_drop=settings.promote_map_drop,
        overlap=settings.promote_overlap,
        coverage=settings.promote_coverage,
    )


@dataclass(frozen=True, kw_only=True)
class Promoter:
    """Changes which generation answers queries."""

    db: Database
    bounds: Bounds
    configured: str | None  # the embedder that the settings name; None: they name none
    index_of: Callable[[Generation], VectorIndex]
    query_encoder: QueryEncoder
    point_alias: Callable[[Generation], None]  # the alias is for other programs
    heartbeat: Callable[[], None]

    def promote(self, candidate: Generation, *, began: datetime, force: bool) -> Generation:
        """Measure a generation and make it the active one; its numbers are kept in any case.

        Raises PromotionRefused, which names the numbers that failed, unless `force` is set.
        """
        verdict = self._measure(candidate, began=began)
        _log_failures(verdict, candidate, "promotion", force=force)
        quality = verdict.quality(forced=force and bool(verdict.failed))
        if not force and verdict.failed:
            _keep(self.db, candidate, quality)
            verdict.raise_if_failed(candidate)
        active = generations.activate(self.db, candidate.id, quality=quality)
        log.info("promoted", generation=active.id, embedder=active.embedder)
        self.publish(active)
        return active

    def roll_back(self, *, force: bool = False) -> dict[str, Any]:
        """Make the standby active if its counts agree and no row waits too long; describe it.

        Raises WrongState without a standby, and PromotionRefused unless `force` is set.
        """
        with self.db.read() as session:
            standby = generations.in_state(session, STANDBY)
            oldest = clock.now(session) - self.bounds.wait
        if standby is None:
            raise WrongState("there is no standby generation to roll back to")
        found = [
            checks.check_counts(self.db, Side(standby, self.index_of(standby))),
            *checks.check_queue(self.db, standby, began=oldest, bounds=self.bounds),
        ]
        verdict = Verdict(found, utcnow())
        _log_failures(verdict, standby, "rollback", force=force)
        if not force:
            verdict.raise_if_failed(standby)
        active = generations.reactivate(self.db, standby.id, configured=self.configured)
        log.info("rolled back", generation=active.id, embedder=active.embedder)
        self.publish(active)
        return described(self.db, active.id)

    def publish(self, generation: Generation) -> None:
        """Point the alias at a generation; if that fails, a later `publish_active` repeats it."""
        try:
            self.point_alias(generation)
        except LookalikeError as error:
            log.warning("the alias was not changed", error=error.message)

    def publish_active(self) -> None:
        """Point the alias at the active generation, if there is one."""
        with self.db.read() as session:
            active = generations.active_or_none(session)
        if active is not None:
            self.publish(active)

    def _measure(self, candidate: Generation, *, began: datetime) -> Verdict:
        with self.db.read() as session:
            active = generations.active_or_none(session)
        new = Side(candidate, self.index_of(candidate))
        old = Side(active, self.index_of(active)) if active else None
        found = [
            checks.check_query_encoder(self.query_encoder, candidate),
            *checks.check_answers(self.db, new, old, bounds=self.bounds, heartbeat=self.heartbeat),
            checks.check_counts(self.db, new),
            *checks.check_queue(self.db, candidate, began=began, bounds=self.bounds),
        ]
        curve = calibration.calibrate(self.db, new, heartbeat=self.heartbeat)
        found.append(calibration.check_match(curve))
        return Verdict(found, utcnow())


def _log_failures(verdict: Verdict, generation: Generation, what: str, *, force: bool) -> None:
    if verdict.failed:
        outcome = f"{what} forced" if force else f"{what} refused"
        reasons = [check.says for check in verdict.failed]
        log.warning(outcome, generation=generation.id, failed=reasons)


def _keep(db: Database, generation: Generation, quality: dict[str, Any]) -> None:
    def work(session: Session) -> None:
        session.get_one(Generation, generation.id).quality = quality

    db.write(work)

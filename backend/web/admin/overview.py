"""The operator's first page: whether all is well, freshness and queue, workers, disks, errors."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, Final

from flask import current_app
from sqlalchemy.orm import Session

from backend import jobs, status
from backend.access.scope import Scope
from backend.api.context import services
from backend.api.health import READINESS
from backend.api.jobs import document
from backend.api.readiness import Readiness
from backend.api.scopes import requires_scope
from backend.bootstrap import Services
from backend.database import clock
from backend.feeds import feeds
from backend.feeds.schedule import VERB as FEED
from backend.monitoring.disks import Disk, look_at_disks
from backend.queue import history
from backend.web.admin import charts, recent_errors, wellbeing
from backend.web.admin.sections import blueprint, is_part, show

DAY: Final = timedelta(days=1)
LEAST_WAITING: Final = 10  # products at the top of the chart, at least
LEAST_SECONDS: Final = 60


@blueprint.get("")
@requires_scope(Scope.ADMIN)
def show_overview() -> str:
    """Show how the installation is; a script asks for it again every few seconds."""
    found = _look(services(), current_app.extensions[READINESS])
    return show("overview_part.html" if is_part() else "overview.html", **found)


def _look(found: Services, readiness: Readiness) -> dict[str, Any]:
    disks = _disks(found)
    now = status.status(found.db, found.indexes.look_at_shard, recent=timedelta())
    checks = readiness.check()
    with found.db.read() as session:
        failing = [feed.name for feed in feeds.listed(session) if feed.failures]
        facts = wellbeing.Facts(
            status=now,
            checks=checks,
            stores=found.store_problems(),
            outages=found.outages.listed(),
            disks=disks,
            needs_workers=found.settings.broker_url is not None,
            failing_feeds=failing,
            failed_jobs=_count_failed(session),
        )
        return {
            "status": now,
            "checks": checks,
            "concerns": wellbeing.concerns(facts),
            "disks": disks,
            "needs_workers": facts.needs_workers,
            "running": [
                document(job) for job in jobs.newest(session) if job.state not in jobs.ENDED
            ],
            "errors": recent_errors.read_recent(session),
            **_charts(session),
        }


def _running(session: Session) -> list[dict[str, Any]]:
    return [document(job) for job in jobs.newest(session) if job.state not in jobs.ENDED]


def _count_failed(session: Session) -> int:
    since = clock.now(session) - DAY
    found = jobs.failed(session, but=FEED, limit=100)
    return sum(job.finished_at is not None and job.finished_at > since for job in found)


def _disks(found: Services) -> list[Disk]:
    try:
        return look_at_disks(found.settings)
    except OSError:  # a disk that does not answer: the checks say so
        return []


def _charts(session: Session) -> dict[str, charts.Chart]:
    samples, now = history.recorded(session), clock.now(session)

    def draw(name: str, least: float) -> charts.Chart:
        values: list[tuple[datetime, float]] = [(it.at, getattr(it, name)) for it in samples]
        return charts.draw(values, now=now, least_most=least)

    return {
        "waiting": draw("waiting", LEAST_WAITING),
        "behind": draw("oldest_seconds", LEAST_SECONDS),
    }

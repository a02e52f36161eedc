"""What happens by itself: clearing away, outsiders' alias, and following the settings."""

from __future__ import annotations

from datetime import timedelta

import structlog

from backend import generations
from backend.bootstrap import Services
from backend.errors import LookalikeError, ReindexRunning
from backend.reindexing.asking import Plan, request
from backend.reindexing.deciding import publish

log = structlog.get_logger(__name__)


def tidy(services: Services) -> bool:
    """Retire a standby whose time is over and clear away a little; tell whether there is more.

    Embedders that no generation needs are let go.
    """
    db, settings = services.db, services.settings
    if retired := generations.retire_expired(db, keep=timedelta(hours=settings.standby_hours)):
        log.info("the standby's time is over", generation=retired.id)
    with db.read() as session:
        services.embedders.keep({one.fingerprint for one in generations.live(session)})
    after = timedelta(seconds=settings.drop_seconds)
    return generations.clear_away(db, after=after, drop_index=services.drop_index)


def publish_active(services: Services) -> None:
    """Put right what outsiders are told of the active collection, if it is wrong."""
    with services.db.read() as session:
        active = generations.active_or_none(session)
    if active is not None:
        publish(services, active)


def follow_settings(services: Services) -> None:
    """Re-index by itself where the embedder that the settings name has changed.

    That is: LOOKALIKE_EMBEDDER names another one than when the active generation was made, or the
    same name has come to mean another network. Where workers are spread out, it only names the
    command: which of them has been upgraded is the operator's to know.
    """
    plan = _change(services)
    if plan is None:
        return
    if services.settings.broker_url:
        command = f"lookalike reindex --embedder '{plan.embedder}'"
        log.warning("the active generation is of another embedder", run=command)
        return
    try:
        job = request(services.db, plan)
    except ReindexRunning:
        return
    log.warning(
        "the embedder has changed: re-indexing by itself", embedder=plan.embedder, job=job.id
    )


def _change(services: Services) -> Plan | None:
    """Return the re-index that the settings call for, None where all is as it was."""
    with services.db.read() as session:
        current = generations.active(session)
        fingerprints = {one.fingerprint for one in generations.live(session)}
    chosen, was = services.settings.embedder, current.configured or current.embedder
    spec = chosen if chosen != was else current.embedder
    try:
        now = services.embedder(spec).fingerprint
    except LookalikeError as error:
        log.warning("cannot load an embedder", spec=spec, error=error.message)
        return None
    return None if now in fingerprints else Plan(embedder=spec)

"""Request a re-index or a promotion: what can be requested, and when it is refused."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Final

import structlog
from sqlalchemy.orm import Session

from backend import generations, jobs
from backend.adaptation import without_statistics
from backend.database import clock
from backend.database.engine import Database
from backend.database.models import BUILDING, RETIRED, STANDBY, Generation, Job
from backend.embedders import Embedder
from backend.errors import InvalidReindex, LookalikeError, ReindexRunning, WrongState
from backend.generations.rows import lock
from backend.generations.states import refuse_second

log = structlog.get_logger(__name__)

REINDEX: Final = "reindex"
PROMOTE: Final = "promote"
ROLL_BACK: Final = "rollback"
"""The verbs of the jobs."""

QUANTIZATIONS: Final = ("int8", "none")
ADAPT: Final = ("auto", "off", "only")
HNSW: Final = {"m": range(2, 129), "ef_construct": range(4, 2049)}


@dataclass(frozen=True, kw_only=True)
class ReindexPlan:
    """What a re-index is to build; what is absent stays as in the active generation."""

    embedder: str | None = None
    quantization: str | None = None
    hnsw: Mapping[str, int] = field(default_factory=dict)
    promote: str = "auto"  # or manual
    force: bool = False
    adapt: str = "auto"  # off; only: no index is built unless this shop's statistics are better

    def check(self) -> None:
        """Raise InvalidReindex for an invalid plan; `context["errors"]` lists field and reason."""
        errors = []
        if self.quantization not in (None, *QUANTIZATIONS):
            errors.append(_fault("quantization", f"must be one of {', '.join(QUANTIZATIONS)}"))
        if self.promote not in ("auto", "manual"):
            errors.append(_fault("promote", "must be auto or manual"))
        if self.adapt not in ADAPT:
            errors.append(_fault("adapt", f"must be one of {', '.join(ADAPT)}"))
        if self.embedder is not None and not self.embedder.strip():
            errors.append(_fault("embedder", "must name one"))
        for name, value in self.hnsw.items():
            if name not in HNSW:
                errors.append(_fault("hnsw", f"has no {name!r}; it has: {', '.join(HNSW)}"))
            elif value not in HNSW[name]:
                bounds = HNSW[name]
                errors.append(_fault("hnsw", f"{name} must lie in {bounds[0]} to {bounds[-1]}"))
        if errors:
            message = "; ".join(f"{error['field']} {error['reason']}" for error in errors)
            raise InvalidReindex(message, errors=errors)

    def as_arguments(self) -> dict[str, Any]:
        """Return the arguments of the job."""
        return asdict(self)


def _fault(name: str, reason: str) -> dict[str, str]:
    return {"field": name, "reason": reason}


def request(db: Database, plan: ReindexPlan) -> Job:
    """Request a re-index and return its job.

    Raises InvalidReindex, NoGeneration before the first generation, and ReindexRunning when one is
    building or already requested. One that began by itself is ended instead.
    """
    plan.check()

    def work(session: Session) -> Job:
        lock(session)
        generations.active(session)
        running = jobs.unfinished(session, REINDEX)
        for job in filter(is_automatic, running):
            _end(session, job)
        refuse_second(session)
        for job in running:
            if not is_automatic(job):
                raise ReindexRunning(f"job {job.id} is a re-index that has not ended", job=job.id)
        return jobs.add(session, REINDEX, plan.as_arguments())

    return db.write(work)


def is_automatic(job: Job) -> bool:
    """Tell whether a re-index began by itself."""
    return bool(job.arguments.get("automatic"))


def _end(session: Session, job: Job) -> None:
    """End a re-index and what it builds; the process that runs it notices at its next report."""
    jobs.ask_to_end(session, job)
    building = generations.in_state(session, BUILDING)
    if building is not None and building.id == job.arguments.get("generation"):
        building.state, building.retired_at = RETIRED, clock.now(session)
        session.flush()


def request_promotion(db: Database, generation_id: int | None, *, force: bool) -> Job:
    """Request the promotion of a generation, by default the building one; return the job.

    Raises UnknownGeneration, and WrongState unless it is building or the standby.
    """

    def work(session: Session) -> Job:
        found = candidate(session, generation_id)
        return jobs.add(session, PROMOTE, {"generation": found.id, "force": force})

    return db.write(work)


def candidate(session: Session, generation_id: int | None) -> Generation:
    """Return the generation that can be promoted, by default the building one.

    Raises UnknownGeneration, and WrongState unless it is building or the standby.
    """
    if generation_id is None:
        building = generations.in_state(session, BUILDING)
        if building is None:
            raise WrongState("no generation is building")
        return building
    found = generations.by_id(session, generation_id)
    if found.state not in (BUILDING, STANDBY):
        raise WrongState(f"generation {found.id} is {found.state}, not building")
    return found


def follow_settings(
    db: Database,
    *,
    configured: str | None,
    default: str,
    embedder: Callable[[str], Embedder],
    has_workers: bool,
) -> None:
    """Request a re-index if the embedder that the settings name has changed.

    That is: `configured` (LOOKALIKE_EMBEDDER) is not what it was when the active generation was
    made, or the embedder of that generation is another network now. Where nothing is `configured`,
    the active generation's embedder stays, whatever the `default` of this release is. With Celery
    workers this only logs the command, since only the operator knows which workers have been
    upgraded.
    """
    plan = _changed(db, configured, embedder)
    if plan is None:
        if configured is None:
            _tell_of_default(db, default)
        return
    if has_workers:
        command = f"lookalike reindex --embedder '{plan.embedder}'"
        log.warning("the active generation was built with another embedder", run=command)
        return
    try:
        job = request(db, plan)
    except ReindexRunning:
        return
    log.warning("the embedder has changed: re-indexing", embedder=plan.embedder, job=job.id)


def _changed(
    db: Database, configured: str | None, embedder: Callable[[str], Embedder]
) -> ReindexPlan | None:
    """Return the re-index that the settings require, None where nothing has changed."""
    with db.read() as session:
        current = generations.active(session)
        fingerprints = {one.fingerprint for one in generations.live(session)}
    former = current.configured or without_statistics(current.embedder)
    spec = current.embedder if configured is None or configured == former else configured
    try:
        now = embedder(spec).fingerprint
    except LookalikeError as error:
        log.warning("cannot load an embedder", spec=spec, error=error.message)
        return None
    return None if now in fingerprints else ReindexPlan(embedder=spec)


def _tell_of_default(db: Database, default: str) -> None:
    with db.read() as session:
        current = generations.active(session)
    if without_statistics(current.embedder) != default:
        log.info(
            "the index keeps its embedder, which is not the default",
            embedder=current.embedder,
            run=f"lookalike reindex --embedder {default}",
        )

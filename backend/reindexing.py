"""An operator's re-index: ask for it, build it, check it, promote it, go back.

The work itself is the queue's: a building generation's rows are worked off as any others are. What
is here runs as jobs, a short step at a time, so that the process that runs them goes on working.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

import structlog
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from backend import generations, jobs, promotion
from backend.bootstrap import Services
from backend.catalogue.database import Database
from backend.catalogue.models import (
    BUILDING,
    RETIRED,
    STANDBY,
    Generation,
    IndexEntry,
    Job,
    utcnow,
)
from backend.catalogue.outbox import REINDEX
from backend.catalogue.progress import progress
from backend.errors import (
    EmbedderBusy,
    InvalidReindex,
    LookalikeError,
    ReindexRunning,
    UnknownEmbedder,
    WeightsUnavailable,
    WrongState,
)
from backend.generations import Encoder, Layout
from backend.generations.rows import lock
from backend.generations.starting import insert, refuse_second
from backend.jobs import Report, Waiting
from backend.promotion import Bounds, Side, Verdict

log = structlog.get_logger(__name__)

VERB: Final = "reindex"
BACKFILL_SECONDS: Final = 1.0
"""How long one step gives entries to products, before other work has its turn."""

QUANTIZATIONS: Final = ("int8", "none")
HNSW: Final = {"m": range(2, 129), "ef_construct": range(4, 2049)}


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What a re-index is asked to make; what is absent stays as it is."""

    embedder: str | None = None
    quantization: str | None = None
    hnsw: Mapping[str, int] = field(default_factory=dict)
    promote: str = "auto"  # or manual
    force: bool = False

    def check(self) -> None:
        """Raise InvalidReindex for what cannot be; `context["errors"]` lists field and reason."""
        errors = []
        if self.quantization not in (None, *QUANTIZATIONS):
            errors.append(_fault("quantization", f"must be one of {', '.join(QUANTIZATIONS)}"))
        if self.promote not in ("auto", "manual"):
            errors.append(_fault("promote", "must be auto or manual"))
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


def _fault(name: str, reason: str) -> dict[str, str]:
    return {"field": name, "reason": reason}


# --- asking ----------------------------------------------------------------------------------


def request(db: Database, plan: Plan) -> Job:
    """Ask for a re-index and return its job.

    Raises InvalidReindex, NoGeneration before the first generation, and ReindexRunning when one is
    building or asked for already.
    """
    plan.check()

    def work(session: Session) -> Job:
        lock(session)
        generations.active(session)
        refuse_second(session)
        if running := jobs.unfinished(session, VERB):
            raise ReindexRunning(f"job {running.id} is a re-index that is not over", job=running.id)
        return jobs.add(session, VERB, asdict(plan))

    return db.write(work)


def request_promotion(db: Database, generation_id: int | None, *, force: bool) -> Job:
    """Ask for the promotion of a generation, by default the building one; return the job.

    Raises UnknownGeneration, and WrongState unless it is building or the standby.
    """

    def work(session: Session) -> Job:
        candidate = _candidate(session, generation_id)
        return jobs.add(session, "promote", {"generation": candidate.id, "force": force})

    return db.write(work)


def _candidate(session: Session, generation_id: int | None) -> Generation:
    if generation_id is None:
        building = generations.in_state(session, BUILDING)
        if building is None:
            raise WrongState("no generation is building")
        return building
    found = generations.by_id(session, generation_id)
    if found.state not in (BUILDING, STANDBY):
        raise WrongState(f"generation {found.id} is {found.state}, not building")
    return found


# --- building, as a job ----------------------------------------------------------------------


class Reindexing:
    """Runs the jobs of re-indexing in one process, which may write the index."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._db = services.db
        settings = services.settings
        self._bounds = Bounds(
            samples=settings.promote_samples,
            wait=timedelta(seconds=settings.promote_wait_seconds),
            recall=settings.promote_recall,
            map_drop=settings.promote_map_drop,
            overlap=settings.promote_overlap,
            coverage=settings.promote_coverage,
        )

    @property
    def handlers(self) -> dict[str, jobs.Handler]:
        """The jobs that are done here; each call of one is short."""
        return {VERB: self.build, "promote": self.promote, "rollback": self.roll_back}

    def build(self, arguments: Mapping[str, Any], report: Report) -> dict[str, Any]:
        """Take a re-index one step on: start it, give entries, wait for the queue, promote.

        Raises Waiting until it is over; what it has to remember is in the job's arguments.
        """
        if (generation_id := arguments.get("generation")) is None:
            generation = self._start(arguments)
            raise Waiting(seconds=0, arguments={**arguments, "generation": generation.id})
        with self._db.read() as session:
            generation = generations.by_id(session, generation_id)
        if generation.state != BUILDING:
            return self._ended(generation)
        began = self._wait_until_filled(generation, arguments, report)
        if arguments["promote"] == "manual":
            return self._describe(generation)
        self._wait_until_settled(generation, arguments, began)
        promoted = self._promote(generation, began=began, force=bool(arguments["force"]))
        return self._describe(promoted)

    def _start(self, arguments: Mapping[str, Any]) -> Generation:
        """Insert the generation; one that is building is ours, from before this process."""
        with self._db.read() as session:
            building = generations.in_state(session, BUILDING)
            current = generations.active(session)
        if building is not None:
            return building
        encoder = self._encoder(arguments["embedder"], current)
        hnsw = {f"hnsw_{name}": value for name, value in arguments["hnsw"].items()}
        generation = insert(
            self._db,
            encoder,
            state=BUILDING,
            layout=Layout(
                quantization=arguments["quantization"] or current.quantization,
                options={**current.index_options, **hnsw},
            ),
            configured=self._services.settings.embedder,
        )
        log.info(
            "re-index started",
            generation=generation.id,
            embedder=encoder.spec,
            same_vectors=encoder.fingerprint == current.fingerprint,
        )
        return generation

    def _encoder(self, spec: str | None, current: Generation) -> Encoder:
        """Return what the new generation is built with: by default, what the active one names.

        If that cannot be had, its stored vectors still can.
        """
        try:
            return self._services.encoder_now(spec or current.embedder)
        except (EmbedderBusy, UnknownEmbedder, WeightsUnavailable):
            if spec is not None:
                raise
            return Encoder(
                spec=current.embedder, fingerprint=current.fingerprint, size=current.size
            )

    def _wait_until_filled(
        self, generation: Generation, arguments: Mapping[str, Any], report: Report
    ) -> datetime:
        """Raise Waiting until the re-index has no rows left; return when that was first seen."""
        if (began := arguments.get("began")) is not None:
            return datetime.fromisoformat(began)
        if not generations.backfill(
            self._db,
            generation.id,
            seconds=BACKFILL_SECONDS,
            alive=self._services.alive,
        ):
            raise Waiting(seconds=0, result=self._describe(generation))
        with self._db.read() as session:
            now = progress(session, generation.id)
            left = session.scalar(_filling(generation.id))
        report(now.products - now.pending, now.products)
        if left:
            self._check_embedder(generation)
            raise Waiting(result=self._describe(generation))
        moment = utcnow()
        raise Waiting(seconds=0, arguments={**arguments, "began": moment.isoformat()})

    def _check_embedder(self, generation: Generation) -> None:
        """Raise what keeps this process from embedding for the generation, if nobody else can."""
        if not self._services.settings.broker_url and self._needs_embedder(generation):
            self._services.embedder_of(generation)

    def _needs_embedder(self, generation: Generation) -> bool:
        with self._db.read() as session:
            waiting = select(IndexEntry.product_id).where(
                IndexEntry.generation_id == generation.id,
                IndexEntry.due_at.is_not(None),
                IndexEntry.embedded < IndexEntry.wanted,
            )
            return session.scalar(waiting.limit(1)) is not None

    def _wait_until_settled(
        self, generation: Generation, arguments: Mapping[str, Any], began: datetime
    ) -> None:
        """Raise Waiting while rows from before the check are still worked on, within its bound."""
        with self._db.read() as session:
            left = promotion.unsettled(session, generation.id, before=began)
        if left and utcnow() - began < self._bounds.wait:
            raise Waiting(result={**self._describe(generation), "settling": left})

    def _ended(self, generation: Generation) -> dict[str, Any]:
        """Say how a re-index ended that somebody else has promoted or dropped."""
        if generation.state == RETIRED:
            raise WrongState(f"generation {generation.id} was dropped while it was building")
        return self._describe(generation)

    # --- promoting and going back ------------------------------------------------------------

    def promote(self, arguments: Mapping[str, Any], report: Report) -> dict[str, Any]:
        """Promote a generation if it is good enough, or `force` is set."""
        with self._db.read() as session:
            candidate = _candidate(session, arguments["generation"])
        moment = arguments.get("began")
        began = utcnow() if moment is None else datetime.fromisoformat(moment)
        arguments = {**arguments, "began": began.isoformat()}
        if not arguments["force"]:
            with self._db.read() as session:
                left = promotion.unsettled(session, candidate.id, before=began)
            if left and utcnow() - began < self._bounds.wait:
                raise Waiting(seconds=0.2, arguments=arguments)
        promoted = self._promote(candidate, began=began, force=bool(arguments["force"]))
        return self._describe(promoted)

    def _promote(self, candidate: Generation, *, began: datetime, force: bool) -> Generation:
        verdict = self._judge(candidate, began=began)
        quality = verdict.quality(forced=force and bool(verdict.failed))
        if verdict.failed:
            reasons = [check.says for check in verdict.failed]
            log.warning(
                "promotion forced" if force else "promotion refused",
                generation=candidate.id,
                failed=reasons,
            )
        if verdict.failed and not force:
            self._keep(candidate, quality)
            verdict.demand(candidate)
        promoted = generations.promote(self._db, candidate.id, quality=quality)
        log.info("promoted", generation=promoted.id, embedder=promoted.embedder)
        self._publish(promoted)
        return promoted

    def _judge(self, candidate: Generation, *, began: datetime) -> Verdict:
        services, db = self._services, self._db
        with db.read() as session:
            active = generations.active_or_none(session)
        new = Side(candidate, services.index_of(candidate))
        old = Side(active, services.index_of(active)) if active else None
        checks = [
            promotion.check_encoder(services.check_query_encoder, candidate),
            *promotion.check_answers(db, new, old, bounds=self._bounds, alive=services.alive),
            promotion.check_counts(db, new),
            *promotion.check_queue(db, candidate, began=began, bounds=self._bounds),
        ]
        return Verdict(checks, utcnow())

    def _keep(self, generation: Generation, quality: dict[str, Any]) -> None:
        def work(session: Session) -> None:
            session.get_one(Generation, generation.id).quality = quality

        self._db.write(work)

    def roll_back(
        self, arguments: Mapping[str, Any], report: Report | None = None
    ) -> dict[str, Any]:
        """Go back to the standby at once, if its counts agree and nothing waits, or `force` is set.

        Raises WrongState without a standby, and PromotionRefused.
        """
        with self._db.read() as session:
            standby = generations.in_state(session, STANDBY)
        if standby is None:
            raise WrongState("there is no standby generation to roll back to")
        force = bool(arguments.get("force"))
        side = Side(standby, self._services.index_of(standby))
        checks = [
            promotion.check_counts(self._db, side),
            *promotion.check_queue(
                self._db, standby, began=utcnow() - self._bounds.wait, bounds=self._bounds
            ),
        ]
        verdict = Verdict(checks, utcnow())
        if verdict.failed:
            reasons = [check.says for check in verdict.failed]
            log.warning("rollback with failed checks", force=force, failed=reasons)
        if not force:
            verdict.demand(standby)
        configured = self._services.settings.embedder
        active = generations.roll_back(self._db, standby.id, configured=configured)
        log.info("rolled back", generation=active.id, embedder=active.embedder)
        self._publish(active)
        return self._describe(active)

    def publish_active(self) -> None:
        """Put right what outsiders are told of the active collection, if it is wrong."""
        with self._db.read() as session:
            active = generations.active_or_none(session)
        if active is not None:
            self._publish(active)

    def _publish(self, generation: Generation) -> None:
        """Tell outsiders which collection is active; a later look puts right what fails now."""
        try:
            self._services.publish(generation)
        except LookalikeError as error:
            log.warning("the alias was not changed", error=error.message)

    def _describe(self, generation: Generation) -> dict[str, Any]:
        with self._db.read() as session:
            return describe(session, generations.by_id(session, generation.id))

    # --- tidying up --------------------------------------------------------------------------

    def tidy(self) -> bool:
        """Retire a standby whose time is over and clear away a little; tell whether there is more.

        Embedders that no generation needs are let go.
        """
        settings = self._services.settings
        keep = timedelta(hours=settings.standby_hours)
        if retired := generations.retire_expired(self._db, keep=keep):
            log.info("the standby's time is over", generation=retired.id)
        with self._db.read() as session:
            live = generations.live(session)
        self._services.embedders.keep({generation.fingerprint for generation in live})
        return generations.clear_away(
            self._db,
            after=timedelta(seconds=settings.drop_seconds),
            drop_index=self._services.drop_index,
        )

    # --- by itself ---------------------------------------------------------------------------

    def follow_settings(self) -> None:
        """Re-index by itself where the embedder that the settings name has changed.

        That is: LOOKALIKE_EMBEDDER names another one than when the active generation was made, or
        the same name has come to mean another network. Where workers are spread out, it only names
        the command: which of them has been upgraded is the operator's to know.
        """
        plan = self._change()
        if plan is None:
            return
        if self._services.settings.broker_url:
            command = f"lookalike reindex --embedder '{plan.embedder}'"
            log.warning("the active generation is of another embedder", run=command)
            return
        try:
            job = request(self._db, plan)
        except ReindexRunning:
            return
        log.warning(
            "the embedder has changed: re-indexing by itself", embedder=plan.embedder, job=job.id
        )

    def _change(self) -> Plan | None:
        settings = self._services.settings
        with self._db.read() as session:
            current = generations.active(session)
            fingerprints = {one.fingerprint for one in generations.live(session)}
        was = current.configured or current.embedder
        spec = settings.embedder if settings.embedder != was else current.embedder
        try:
            now = self._services.embedder(spec).fingerprint
        except LookalikeError as error:
            log.warning("cannot load an embedder", spec=spec, error=error.message)
            return None
        return None if now in fingerprints else Plan(embedder=spec)


def _filling(generation_id: int) -> Any:
    """Select how many rows of the re-index itself are not settled yet."""
    return select(func.count()).where(
        IndexEntry.generation_id == generation_id,
        IndexEntry.due_at.is_not(None),
        IndexEntry.priority == REINDEX,
    )


# --- reading ---------------------------------------------------------------------------------


def describe(session: Session, generation: Generation) -> dict[str, Any]:
    """Return a generation as JSON, with the counts of its products."""
    now = progress(session, generation.id) if generation.state != RETIRED else None
    names = ("id", "state", "embedder", "fingerprint", "size", "collection", "quantization")
    times = ("created_at", "promoted_at", "retired_at", "dropped_at")
    return {
        **{name: getattr(generation, name) for name in names},
        "index_options": generation.index_options,
        "products": now.products if now else None,
        "pending": now.pending if now else None,
        "indexed": now.indexed if now else None,
        "quarantined": now.quarantined if now else None,
        **{name: _moment(getattr(generation, name)) for name in times},
        "quality": generation.quality,
    }


def _moment(at: datetime | None) -> str | None:
    return at.isoformat() if at else None


def listed(session: Session) -> list[Generation]:
    """Return all generations, the newest first."""
    return list(session.scalars(select(Generation).order_by(Generation.id.desc())))

"""The job of a re-index: start a generation, give it entries, wait for the queue, promote it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final

import structlog
from sqlalchemy import ColumnElement, func, select

from backend import generations, queue
from backend.adaptation import Adaptation, adapt
from backend.database import clock
from backend.database.engine import Database
from backend.database.models import BUILDING, RETIRED, Generation, IndexEntry
from backend.embedders import Embedder
from backend.errors import (
    EmbedderBusy,
    IndexFull,
    LookalikeError,
    PromotionRefused,
    UnknownEmbedder,
    WeightsUnavailable,
    WrongState,
)
from backend.generations import EmbedderIdentity, IndexLayout
from backend.generations.states import insert
from backend.jobs import Handler, Report, Waiting
from backend.queue.progress import progress
from backend.reindex import checks, requests
from backend.reindex.decide import Promoter
from backend.reindex.describe import described
from backend.reindex.waiting_for_worker import wait_for_worker, without_waiting

log = structlog.get_logger(__name__)

BACKFILL_SECONDS: Final = 1.0
"""How long one step of the backfill takes, before the process does other work."""

FULL_SECONDS: Final = 5.0
"""How often a re-index looks whether the index's disk has room again."""


@dataclass(frozen=True, kw_only=True)
class ReindexJobs:
    """Runs the jobs of re-indexing in one process; each call of a handler is short."""

    db: Database
    promoter: Promoter
    configured: str | None  # the embedder that the settings name; None: they name none
    identify: Callable[[str], EmbedderIdentity]  # reads a spec's weights again
    embedder_of: Callable[[Generation], Embedder]  # raises ModelMismatch
    has_workers: bool  # whether other processes may hold an embedder that this one lacks
    heartbeat: Callable[[], None]

    def handlers(self) -> dict[str, Handler]:
        """Return the handler of each verb."""
        return {
            requests.REINDEX: self._build,
            requests.PROMOTE: self._run_promotion,
            requests.ROLL_BACK: self._run_rollback,
        }

    def _build(self, arguments: Mapping[str, Any], report: Report) -> dict[str, Any]:
        """Run the next step of a re-index; raises Waiting until it has ended.

        Its state is in the job's arguments, so any process can run the next step.
        """
        if (generation_id := arguments.get("generation")) is None:
            arguments = self._adapt_first(arguments)
            if arguments.get("adapt") == "only" and not arguments["adaptation"]["embedder"]:
                return _adaptation(arguments)
            generation = self._start(arguments)
            raise Waiting(
                seconds=0, arguments={**without_waiting(arguments), "generation": generation.id}
            )
        with self.db.read() as session:
            generation = generations.by_id(session, generation_id)
        if generation.state == RETIRED:
            raise WrongState(f"generation {generation.id} was dropped while it was building")
        if generation.state != BUILDING:
            return self._described(generation, arguments)  # another process has promoted it
        if "began" not in arguments:
            self._fill(generation, report)
            raise Waiting(seconds=0, arguments={**arguments, "began": self._now().isoformat()})
        if arguments["promote"] == "manual":
            return self._described(generation, arguments)
        try:
            promoted = self._promote_when_settled(generation, arguments)
        except IndexFull as full:
            waits = {**described(self.db, generation.id), "waits": full.message}
            began = self._now().isoformat()  # the rows wait as long for room as this job
            raise Waiting(
                seconds=FULL_SECONDS, arguments={**arguments, "began": began}, result=waits
            ) from full
        except PromotionRefused as refusal:
            if not arguments.get("automatic"):
                raise
            generations.drop(self.db, generation.id)  # nobody asked for it
            return {**self._described(generation, arguments), "refused": refusal.message}
        return {**promoted, **_adaptation(arguments)}

    def _described(self, generation: Generation, arguments: Mapping[str, Any]) -> dict[str, Any]:
        return {**described(self.db, generation.id), **_adaptation(arguments)}

    def _run_promotion(self, arguments: Mapping[str, Any], _: Report) -> dict[str, Any]:
        """Promote a generation if it passes the checks, or `force` is set."""
        with self.db.read() as session:
            generation = requests.candidate(session, arguments["generation"])
        return self._promote_when_settled(
            generation, {"began": self._now().isoformat(), **arguments}
        )

    def _run_rollback(self, arguments: Mapping[str, Any], _: Report) -> dict[str, Any]:
        return self.promoter.roll_back(force=bool(arguments.get("force")))

    def _now(self) -> datetime:
        with self.db.read() as session:
            return clock.now(session)

    def _adapt_first(self, arguments: Mapping[str, Any]) -> Mapping[str, Any]:
        """Raise Waiting with the adapted embedder, unless that is done or not wanted."""
        if "adaptation" in arguments or arguments.get("adapt", "off") == "off":
            return arguments
        found = self._adapt(arguments)
        chosen = {"embedder": found.spec or arguments["embedder"], "adaptation": found.as_json()}
        raise Waiting(seconds=0, arguments={**without_waiting(arguments), **chosen})

    def _adapt(self, arguments: Mapping[str, Any]) -> Adaptation:
        """Fit statistics to what is stored, unless a network is another one than it was."""
        spec: str | None = arguments["embedder"]
        with self.db.read() as session:
            building = generations.in_state(session, BUILDING)
            current = generations.active(session)
        if building is not None:
            return Adaptation(spec=None, reason="a generation is building already", figures={})
        if (spec or current.embedder).partition("?")[0] != current.embedder.partition("?")[0]:
            reason = f"nothing is kept yet that {spec} could be adapted by"
            return Adaptation(spec=None, reason=reason, figures={})
        identity = self._embedder(arguments, current, spec=current.embedder)
        if identity.fingerprint != current.fingerprint:
            return Adaptation(spec=None, reason=f"{current.embedder} has changed", figures={})
        found = adapt(
            self.db, spec=current.embedder, features=current.features, heartbeat=self.heartbeat
        )
        log.info("adaptation", **found.as_json())
        return found

    def _start(self, arguments: Mapping[str, Any]) -> Generation:
        """Insert the generation; one that is already building was started by this job."""
        with self.db.read() as session:
            building = generations.in_state(session, BUILDING)
            current = generations.active(session)
        if building is not None:
            return building
        embedder = self._embedder(arguments, current, spec=arguments["embedder"])
        hnsw = {f"hnsw_{name}": value for name, value in arguments["hnsw"].items()}
        layout = IndexLayout(
            quantization=arguments["quantization"] or current.quantization,
            options={**current.index_options, **hnsw},
        )
        generation = insert(
            self.db, embedder, state=BUILDING, layout=layout, configured=self.configured
        )
        log.info(
            "re-index started",
            generation=generation.id,
            embedder=embedder.spec,
            same_vectors=embedder.fingerprint == current.fingerprint,
        )
        return generation

    def _embedder(
        self, arguments: Mapping[str, Any], current: Generation, *, spec: str | None
    ) -> EmbedderIdentity:
        """Return the embedder of the new generation: by default that of the active one.

        If the latter cannot be loaded, its stored vectors can still be used. Raises Waiting while a
        worker may be loading it.
        """
        try:
            with wait_for_worker(self.db, arguments):
                found = self.identify(spec or current.embedder)
        except (EmbedderBusy, UnknownEmbedder, WeightsUnavailable):
            if spec is not None:
                raise
            return EmbedderIdentity(
                spec=current.embedder,
                fingerprint=current.fingerprint,
                size=current.size,
                blocks=generations.blocks_of(current),
            )
        if found.fingerprint == current.fingerprint and found.blocks is None:
            return replace(found, blocks=generations.blocks_of(current))
        return found

    def _fill(self, generation: Generation, report: Report) -> None:
        """Raise Waiting while products lack an entry, or rows of the re-index are due."""
        complete = generations.backfill(
            self.db, generation.id, seconds=BACKFILL_SECONDS, heartbeat=self.heartbeat
        )
        if not complete:
            raise Waiting(seconds=0, result=described(self.db, generation.id))
        with self.db.read() as session:
            now = progress(session, generation.id)
            left = session.scalar(_due(generation, IndexEntry.priority == queue.REINDEX))
            unembedded = session.scalar(_due(generation, queue.waits_for(queue.Stage.EMBED)))
        report(now.products - now.pending, now.products)
        if unembedded and not self.has_workers:
            self.embedder_of(generation)  # raises when this process, the only one, lacks it
        if left:
            raise Waiting(result=described(self.db, generation.id))

    def _promote_when_settled(
        self, generation: Generation, arguments: Mapping[str, Any]
    ) -> dict[str, Any]:
        """Promote a generation once all rows are settled that were due before the check began.

        Raises Waiting until then, for at most the bound `wait`, and while a worker may be loading
        the network of shoppers' images; and PromotionRefused.
        """
        began, force = datetime.fromisoformat(arguments["began"]), bool(arguments["force"])
        with self.db.read() as session:
            left = checks.count_unsettled(session, generation.id, before=began)
            now = clock.now(session)
        if left and not force and now - began < self.promoter.bounds.wait:
            raise Waiting(
                seconds=0.2,
                arguments=arguments,
                result={**described(self.db, generation.id), "settling": left},
            )
        if self.has_workers:
            with suppress(LookalikeError), wait_for_worker(self.db, arguments):
                self.promoter.query_encoder.check(generation)  # its own check says what is wrong
        promoted = self.promoter.promote(generation, began=began, force=force)
        return described(self.db, promoted.id)


def _adaptation(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a re-index says of the adaptation to the shop, if it tried one."""
    return {"adaptation": arguments["adaptation"]} if "adaptation" in arguments else {}


def _due(generation: Generation, which: ColumnElement[bool]) -> Any:
    """Return the query that counts a generation's due rows of some kind."""
    return select(func.count()).where(
        IndexEntry.generation_id == generation.id,
        IndexEntry.due_at.is_not(None),
        ~queue.waits_for_host(),
        which,
    )

"""What a worker does regularly besides the queue: delete leftovers, look for drift and feeds."""

from __future__ import annotations

import time
from datetime import timedelta
from functools import partial
from math import inf
from typing import Final

import structlog
from sqlalchemy.orm import Session

from backend import generations, indexing, queue, reindex
from backend.bootstrap import Services
from backend.catalogue import unnamed_images
from backend.database import clock
from backend.database.engine import Database
from backend.errors import ImageUnavailable
from backend.events import answers, arms, counting, partners, shoppers
from backend.feeds import schedule
from backend.indexing import verify
from backend.indexing.embed import HOST_CODES
from backend.jobs import inputs, runners
from backend.queue import history
from backend.recommendations import ready
from backend.reindex import calibration
from backend.reindex.checks import Side
from backend.worker.possible_work import PossibleWorkCache

log = structlog.get_logger(__name__)

CLEAN_UP_SECONDS: Final = 1.0
HEAL_SECONDS: Final = 600.0
"""How often rows are tried again that are in quarantine for what may be the host's fault."""

BUSY_CLEAN_UP_SECONDS: Final = 10.0

CALIBRATE_SECONDS: Final = 60.0
"""How often it is seen whether the active generation needs a curve of `match`."""

UNLABELLED_SECONDS: Final = 600.0
"""The same after a look that found too few labels: it reads a sample of the catalogue."""

EVENTS_SECONDS: Final = 60.0
"""How often events are joined with new products, and old ones are deleted."""

ADAPT_SECONDS: Final = 5.0
"""How often an idle worker looks whether the embedder should be adapted to the catalogue."""

PREPARED_AT_ONCE: Final = 10
PREPARE_SECONDS: Final = 1.0
IDLE_PREPARE_SECONDS: Final = 30.0
"""How often lists are prepared for popular products, also where the last time there were none."""

LOOK_SECONDS: Final = 0.01
"""After so long a round ends its look through the images; requests are slower meanwhile."""

LOOK_REST: Final = 400
LONGEST_REST_SECONDS: Final = 12.0
"""After a look there is none for so many times as long as it took: with 40,000 products it takes 15
to 40 ms, and requests wait meanwhile. A pass has 256 parts, so the rests take an hour at most."""

LOOK_AGAIN_SECONDS: Final = 5.0
"""How often it is seen whether the next pass through the images has begun."""

STORE_PAUSE_SECONDS: Final = 60.0
"""How long a store that has failed is not asked."""


def wake_awaited(db: Database) -> bool:
    """Look again for images that were not there, where it is time; return whether there are any."""
    woken = 0
    with db.read() as session:
        live = generations.live(session)
        due = [one for one in live if queue.is_awaited_due(session, one.id)]
    for generation in due:
        woken += db.write(partial(queue.wake_awaited, generation_id=generation.id))
    return woken > 0


class Maintenance:
    """Cleans up and reconciles, a little at a time, if this process may write the index."""

    def __init__(self, services: Services, possible: PossibleWorkCache) -> None:
        self._services = services
        self._possible = possible
        self._reconciled_at = self._cleaned_at = time.monotonic()
        self._healed_at, self._outages_ended = -inf, services.outages.ended
        self._recorded_at = self._events_at = self._sampled_at = -inf
        self._calibrate_at = self._look_at = -inf
        self._prepared_at, self._prepare_pause = -inf, PREPARE_SECONDS
        self._adapted_at = -inf
        self._not_adapted: int | None = None  # the version that there was nothing to adapt in
        self._warned_of_skew = False

    def heal_if_due(self) -> None:
        """Request what the host kept from being indexed: regularly, and when an outage is over."""
        services = self._services
        ended = services.outages.ended
        if not services.embeds or (
            ended == self._outages_ended and time.monotonic() < self._healed_at + HEAL_SECONDS
        ):
            return
        self._outages_ended, self._healed_at = ended, time.monotonic()
        self.heal()

    def heal(self) -> int:
        """Request rows whose quarantine may be the host's fault; return how many."""
        services, healed = self._services, 0
        with services.db.read() as session:
            live = generations.live(session)
        for generation in live:
            healed += services.db.write(partial(_heal, generation_id=generation.id))
        if healed:
            log.info("products that failed by a fault of the host are tried again", rows=healed)
        return healed

    def adapt_if_due(self) -> bool:
        """Request the adaptation to a catalogue that is indexed; return whether it was time."""
        services = self._services
        due = self._adapted_at + ADAPT_SECONDS
        if services.settings.adapt == "off" or not services.writes_index or time.monotonic() < due:
            return False
        self._adapted_at, version = time.monotonic(), services.db.version()
        if version is not None and version == self._not_adapted:
            return False
        if reindex.request_adaptation(services.db) is not None:
            return True
        self._not_adapted = version
        return False

    def record_presence_if_due(self) -> None:
        """Where several processes work, record every few seconds that this one does."""
        services = self._services
        due = self._recorded_at + runners.SEEN_EVERY_SECONDS
        if not services.settings.broker_url or time.monotonic() < due:
            return
        self._recorded_at = time.monotonic()
        skew = runners.record_presence(
            services.db, embeds=services.embeds, applies=services.writes_index
        )
        if clock.is_skewed(skew) and not self._warned_of_skew:
            log.warning("this host's clock is not the database's", seconds_ahead=round(skew, 1))
        self._warned_of_skew = clock.is_skewed(skew)

    def calibrate_if_due(self) -> None:
        """Look each minute whether the active generation needs a curve of `match`; fit it then."""
        if self._services.writes_index and time.monotonic() >= self._calibrate_at:
            lacks_labels = self.calibrate() is False
            pause = UNLABELLED_SECONDS if lacks_labels else CALIBRATE_SECONDS
            self._calibrate_at = time.monotonic() + pause

    def calibrate(self) -> bool | None:
        """Fit the curve of the active generation; return whether that worked, None if needless."""
        services = self._services
        with services.db.read() as session:
            active = generations.active_or_none(session)
        if active is None or not calibration.needs_curve(services.db, active):
            return None
        side = Side(active, services.indexes.of(active))
        curve = calibration.calibrate(services.db, side, heartbeat=services.heartbeat)
        if curve is not None:
            log.info("fitted match", generation=active.id, error=curve.error, pairs=curve.pairs)
        return curve is not None

    def sample_queue_if_due(self) -> None:
        """Every minute, note how much waits, for the charts of the operator's page."""
        due = self._sampled_at + history.SAMPLE_SECONDS
        if self._services.writes_index and time.monotonic() >= due:
            self._sampled_at = time.monotonic()
            history.sample(self._services.db)

    def request_due_feeds(self) -> int:
        """Request a run of every feed that is due; return how many it was."""
        if not self._services.writes_index or not self._possible.now().feeds:
            return 0
        if requested := schedule.request_due(self._services.db):
            self._possible.forget()
        return requested

    def clean_up_if_due(self, *, idle: bool) -> bool:
        """Delete some leftovers if it is time for that; return whether there are more."""
        if not self._services.writes_index:
            return False
        pause = CLEAN_UP_SECONDS if idle else BUSY_CLEAN_UP_SECONDS
        if time.monotonic() < self._cleaned_at + pause:
            return False
        possible = self._possible.now()
        is_left = possible.leftovers or self._services.embedders.holds_several
        more = is_left and self.clean_up()
        self._cleaned_at = time.monotonic() - (CLEAN_UP_SECONDS if more else 0)
        self.look_for_unnamed_images()
        if possible.inputs:
            inputs.forget_ended(self._services.db)
        woken = possible.awaited and wake_awaited(self._services.db)
        return more or woken

    def clean_up(self) -> bool:
        """Delete some of what retired generations left; return whether there is more."""
        services, settings = self._services, self._services.settings
        return reindex.clean_up(
            services.db,
            keep=timedelta(hours=settings.standby_hours),
            drop_after=timedelta(seconds=settings.drop_seconds),
            drop_index=services.indexes.drop,
            keep_embedders=services.embedders.keep,
        )

    def look_for_unnamed_images(self) -> None:
        """Look through some of the images for those that no product names."""
        if time.monotonic() < self._look_at:
            return
        services = self._services
        pause = unnamed_images.seconds_until_next(services.db)
        if pause > 0:
            self._look_at = time.monotonic() + min(pause, LOOK_AGAIN_SECONDS)
            return
        grace = timedelta(hours=services.settings.image_grace_hours)
        began = time.monotonic()
        try:
            unnamed_images.look_through(
                services.db, services.image_store, grace=grace, seconds=LOOK_SECONDS
            )
        except ImageUnavailable as error:
            self._look_at = time.monotonic() + STORE_PAUSE_SECONDS
            log.warning("the image store cannot be looked through", error=error.message)
            return
        ended = time.monotonic()
        self._look_at = ended + min(LOOK_REST * (ended - began), LONGEST_REST_SECONDS)

    def count_events(self) -> bool:
        """Count some of the shoppers' new events, or else move some pairs; tell if it did."""
        if not self._services.writes_index:
            return False
        db, found = self._services.db, self._possible.now()
        if found.events and counting.count_some(db) > 0:
            return True
        return found.pairs and partners.move_some(db) > 0

    def tend_events_if_due(self) -> None:
        """Every minute, join events with products that came later, and delete old ones."""
        services = self._services
        if time.monotonic() < self._events_at + EVENTS_SECONDS or not services.writes_index:
            return
        self._events_at = time.monotonic()
        counting.join_known(services.db)
        days = services.settings.event_days
        services.db.write(lambda it: shoppers.delete_old(it, now=clock.now(it), days=days))
        most = services.settings.answers_kept
        services.db.write(lambda it: answers.delete_old(it, most=most))
        services.db.write(ready.delete_old)
        arms.guard(services.db)

    def prepare_related_if_due(self) -> None:
        """Keep ready what goes with a few popular products, once a second while there are any."""
        services = self._services
        if time.monotonic() < self._prepared_at + self._prepare_pause or not services.writes_index:
            return
        with services.db.read() as session:
            generation = generations.active_or_none(session)
        prepared = 0
        if generation is not None:
            prepared = services.together.prepare(generation, limit=PREPARED_AT_ONCE)
        self._prepared_at = time.monotonic()
        self._prepare_pause = PREPARE_SECONDS if prepared else IDLE_PREPARE_SECONDS

    def reconcile_if_due(self) -> None:
        """Reconcile the next range of ids every `reconcile_seconds`."""
        due = self._reconciled_at + self._services.settings.reconcile_seconds
        if time.monotonic() >= due and self._services.writes_index:
            self._reconciled_at = time.monotonic()
            self.reconcile()

    def reconcile(self) -> None:
        """Compare the next range of ids with each generation's index, and repair it."""
        services = self._services
        services.promoter.publish_active()
        with services.db.read() as session:
            live = generations.live(session)
        for generation in live:
            index = verify.existing_index(
                generation,
                index_of=services.indexes.of,
                close_index=services.indexes.close,
                fix=True,
            )
            drift = indexing.reconcile_slice(services.db, generation, index)
            if drift.total:
                self._reconciled_at = -inf  # if there is drift, the next range is due now
                log.warning("repaired drift", generation=generation.id, **drift.summary())


def _heal(session: Session, *, generation_id: int) -> int:
    return queue.heal(session, generation_id, codes=HOST_CODES)

"""One run of a feed: fetch it, import it, store the outcome."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import Any, Final, TypeAlias

import structlog

from backend import __version__
from backend.catalogue.import_run import Transfer, import_catalogue
from backend.catalogue.pruning import PruneLimit
from backend.catalogue.report import Summary
from backend.database.engine import Database
from backend.database.models import Feed
from backend.errors import FeedUnavailable, LookalikeError, UnreadableCatalogue
from backend.feeds import runs
from backend.feeds.download import Download, FeedLimits, fetch_feed
from backend.feeds.feeds import is_address
from backend.feeds.options import FeedOptions
from backend.feeds.runs import Ending, RunOutcome
from backend.feeds.workspace import temporary_folder
from backend.images.public_addresses import Address, is_public
from backend.images.store import ImageStore
from backend.jobs import Interrupted

log = structlog.get_logger(__name__)

Progress: TypeAlias = Callable[[int, int | None], None]
"""Takes what is done and what there is: bytes of the fetch, then rows of the import."""

FILE: Final = "feed"
CHECK_SECONDS: Final = 0.5
"""Seconds between two checks whether another process has taken over the run."""


@dataclass(frozen=True, kw_only=True)
class FeedRunner:
    """Runs feeds, one at a time for each caller."""

    db: Database
    image_store: ImageStore
    hosts: tuple[str, ...]
    limits: FeedLimits
    folder: Path  # of temporary files
    max_image_bytes: int
    may_connect: Callable[[Address], bool] = is_public

    def run(self, feed_id: int, *, force: bool, progress: Progress) -> dict[str, Any]:
        """Run a feed, and return the result for its job.

        `progress` may raise jobs.Interrupted, after which the run is begun again elsewhere. Raises
        the error that prevented the import, after storing it in the history.
        """
        feed, run = self.db.write(lambda session: runs.begin(session, feed_id))

        checked_at = monotonic()

        def step(done: int, total: int | None) -> None:
            nonlocal checked_at
            progress(done, total)
            if monotonic() > checked_at + CHECK_SECONDS:
                checked_at = monotonic()
                with self.db.read() as session:
                    runs.check_running(session, run.id)

        try:
            with self.db.read() as session:
                runs.check_deaths(session, run)
            ending = self._import(feed, step, force=force)
        except Interrupted:
            self._end(feed, run.id, Ending(outcome=RunOutcome.INTERRUPTED, reason="stopped"))
            raise
        except (LookalikeError, OSError) as error:
            reason = error.message if isinstance(error, LookalikeError) else repr(error)
            asked = error.context.get("retry_after") if isinstance(error, FeedUnavailable) else None
            failed = Ending(outcome=RunOutcome.FAILED, reason=reason, retry_after=asked)
            self._end(feed, run.id, failed)
            raise
        except Exception as error:
            self._end(feed, run.id, Ending(outcome=RunOutcome.FAILED, reason=repr(error)))
            raise
        self._end(feed, run.id, ending)
        return {"outcome": ending.outcome.value, "reason": ending.reason, **(ending.report or {})}

    def _end(self, feed: Feed, run_id: int, ending: Ending) -> None:
        self.db.write(lambda session: runs.end(session, run_id, ending))
        counts = ending.report["counts"] if ending.report else {}
        told = {"outcome": ending.outcome, "reason": ending.reason, **counts}
        log.info("a feed was run", feed=feed.name, **told)

    def _import(self, feed: Feed, progress: Progress, *, force: bool) -> Ending:
        seen = feed.seen if feed.seen and not force else None
        if seen and seen.get("release") != __version__:
            seen = None  # another release may read the same feed otherwise
        if is_address(feed.location):
            return self._import_address(feed, seen, progress)
        return self._import_path(feed, seen, progress)

    def _import_address(
        self, feed: Feed, seen: Mapping[str, Any] | None, progress: Progress
    ) -> Ending:
        with temporary_folder(self.folder) as folder:
            found = fetch_feed(
                feed.location,
                folder / FILE,
                hosts=self.hosts,
                limits=self.limits,
                seen=seen,
                progress=progress,
                may_connect=self.may_connect,
            )
            if found is None:
                return Ending(outcome=RunOutcome.UNCHANGED)
            return self._import_file(feed, found, progress)

    def _import_path(
        self, feed: Feed, seen: Mapping[str, Any] | None, progress: Progress
    ) -> Ending:
        path = Path(feed.location)
        state = _state(path)
        if seen and state == seen:
            return Ending(outcome=RunOutcome.UNCHANGED)

        def transfer() -> Transfer:
            changed = _state(path) != state
            return Transfer(ended_early="the file changed while it was read" if changed else None)

        found = Download(path=path, seen=state, bytes=state.get("size", 0))
        return self._import_file(feed, found, progress, transfer=transfer)

    def _import_file(
        self,
        feed: Feed,
        found: Download,
        progress: Progress,
        *,
        transfer: Callable[[], Transfer] | None = None,
    ) -> Ending:
        options = FeedOptions.of_row(feed.options)
        try:
            summary = import_catalogue(
                self.db,
                self.image_store,
                found.path,
                mapping=options.mapping,
                prune=options.prune,
                prune_at_most=PruneLimit.parse(options.prune_at_most),
                transfer=transfer or (lambda: found.transfer),
                copy_images=options.copy_images,
                max_image_bytes=self.max_image_bytes,
                progress=progress,
            )
        except UnreadableCatalogue as error:
            if found.transfer.ended_early:
                raise UnreadableCatalogue(
                    f"{found.transfer.ended_early}: {error.message}"
                ) from None
            raise
        return _ending(summary, found)


def _ending(summary: Summary, found: Download) -> Ending:
    outcome, reason = RunOutcome.IMPORTED, None
    if summary.ended_early:
        outcome, reason = RunOutcome.ENDED_EARLY, summary.not_pruned or summary.ended_early
    elif summary.not_pruned:
        outcome, reason = RunOutcome.PRUNE_REFUSED, summary.not_pruned
    return Ending(
        outcome=outcome,
        reason=reason,
        bytes=found.bytes or None,
        report=runs.report_of(summary),
        seen=found.seen if outcome is RunOutcome.IMPORTED else {},
    )


def _state(path: Path) -> dict[str, Any]:
    """Return what changes when a file does; nothing for a folder, whose files can change alone."""
    try:
        status = path.stat()
    except OSError as error:
        raise UnreadableCatalogue(f"{path}: {error.strerror}") from None
    if path.is_dir():
        return {}
    return {"size": status.st_size, "mtime_ns": status.st_mtime_ns, "release": __version__}

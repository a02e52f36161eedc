"""What is recorded of a row once its images have been tried: indexed, failed, or waiting."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy.orm import Session

from backend import queue
from backend.database.models import Generation
from backend.errors import (
    DecoderDied,
    HostUnavailable,
    ImageError,
    ImageUnavailable,
    LookalikeError,
    MissingImage,
)
from backend.indexing.image_tasks import ImageOutcome
from backend.queue import Claimed, FurtherImages

RETRYABLE: Final = (ImageUnavailable, DecoderDied)
"""Image errors that may not occur again; a decoder may also die because the machine is busy."""

LONGEST_PAUSE: Final = timedelta(hours=1)
SHORTEST_PAUSE: Final = timedelta(seconds=1)
"""The shortest pause between two looks for an image that is not there yet."""


@dataclass(frozen=True, kw_only=True)
class RetryLimits:
    """How often and how long a row is tried again."""

    max_failures: int
    retry: timedelta  # the first back-off; it doubles with every failure
    image_wait: timedelta = timedelta(0)  # how long an image may be missing before quarantine


@dataclass(frozen=True)
class RowOutcome:
    """What is recorded of a row: the digest of its first good image, or a reason."""

    row: Claimed
    digest: str | None
    further: FurtherImages
    reason: str = ""
    back_off: timedelta | None = None  # until it is tried again after a failure of its own
    wait: timedelta | None = None  # until it is tried again after a failure of the host
    look_again: datetime | None = None  # when an image may have come that is not there yet

    @property
    def may_not_retry(self) -> bool:
        """Whether it is not tried again."""
        return self.back_off is None and self.wait is None and self.look_again is None


def decide(
    row: Claimed, outcomes: Sequence[ImageOutcome], limits: RetryLimits, now: datetime
) -> RowOutcome:
    """Decide what to record of a row. A bad image is left out, unless there is no good one.

    An image that cannot be fetched now is waited for: if the row has a good one, for a few tries,
    else as long as its host does not answer. One that is not there yet is looked for later; until
    then the product has its other images.
    """
    errors = [one.error for one in outcomes if one.error is not None]
    good = dict.fromkeys(one.digest for one in outcomes if one.error is None)
    digest, *more = good or [None]
    several = len(outcomes) > 1
    reasons = {one.task.uri or "": reason(one.error) for one in outcomes if one.error and several}
    further = FurtherImages(digests=[each for each in more if each], errors=reasons)
    host = next((error for error in errors if isinstance(error, HostUnavailable)), None)
    if host is not None and digest is None:
        return RowOutcome(row, None, further, reason(host), wait=_wait(host, limits))
    waits_for = next((error for error in errors if _may_retry(row, error, limits)), None)
    if waits_for is not None:
        return RowOutcome(row, None, further, reason(waits_for), _back_off(row, limits))
    missing = next((error for error in errors if isinstance(error, MissingImage)), None)
    if missing is not None and _may_come(row, limits, now):
        again = _look_again_at(row, limits, now)
        return RowOutcome(row, digest, further, reason(missing), look_again=again)
    return RowOutcome(row, digest, further, reason(errors[0]) if errors else "")


def most_images(outcomes: Sequence[RowOutcome]) -> int:
    """Return how many points one of these products will have at most."""
    return max((1 + len(one.further.digests) for one in outcomes), default=1)


def reason(error: Exception) -> str:
    """Return the reason of a quarantine, `code: message`."""
    if isinstance(error, LookalikeError):
        return f"{error.code}: {error.message}"
    return f"embedding-failed: {type(error).__name__}: {error}"


def _wait(error: HostUnavailable, limits: RetryLimits) -> timedelta:
    """Return how long a row waits for its image's host."""
    return max(limits.retry, timedelta(seconds=error.context.get("wait", 0)))


def _may_retry(row: Claimed, error: Exception, limits: RetryLimits) -> bool:
    permanent = isinstance(error, ImageError) and not isinstance(error, RETRYABLE)
    return not permanent and row.failures < limits.max_failures


def _back_off(row: Claimed, limits: RetryLimits) -> timedelta:
    return limits.retry * 2.0 ** (row.failures - 1)


def _may_come(row: Claimed, limits: RetryLimits, now: datetime) -> bool:
    return now < (row.image_awaited_since or now) + limits.image_wait


def _look_again_at(row: Claimed, limits: RetryLimits, now: datetime) -> datetime:
    """Wait as long again as the image was waited for, and look a last time when the time is up."""
    since = row.image_awaited_since or now
    pause = min(max(now - since, limits.retry, SHORTEST_PAUSE), LONGEST_PAUSE)
    return min(now + pause, since + limits.image_wait)


def record(
    session: Session, generation: Generation, outcomes: Sequence[RowOutcome], now: datetime
) -> None:
    """Record the outcome of rows."""
    further = {one.row: one.further for one in outcomes}
    settled = [(one.row, one.digest) for one in outcomes if one.digest is not None]
    failed = [one for one in outcomes if one.digest is None]
    look_again = {one.row: one.look_again for one in outcomes if one.look_again is not None}
    queue.settle_embedded(
        session, generation.id, settled, further=further, awaited=look_again, now=now
    )
    awaited = [(one.row, one.reason, one.look_again) for one in failed if one.look_again]
    queue.await_image(session, generation.id, awaited, further=further, now=now)
    permanent = [(one.row, one.reason) for one in failed if one.may_not_retry]
    queue.fail(session, generation.id, permanent, further=further)
    # `forget`: earlier tries may have failed by the host's fault too.
    waiting = [(one.row, one.reason, one.wait) for one in failed if one.wait is not None]
    queue.postpone(session, generation.id, waiting, forget=True)
    for one in failed:
        if one.back_off is not None:
            again = [(one.row, one.reason)]
            queue.fail(session, generation.id, again, retry_at=now + one.back_off)

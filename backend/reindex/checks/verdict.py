"""The result of one check, and of all of them together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any

from backend.database.models import Generation
from backend.errors import LookalikeError, PromotionRefused
from backend.search.query_image import QueryEncoder
from backend.vectors import VectorIndex


@dataclass(frozen=True, kw_only=True)
class Bounds:
    """The bounds that a promotion must meet."""

    samples: int  # products in the sample
    wait: timedelta  # the longest that a row may wait
    recall: float  # least
    map_drop: float  # most, in points of mAP
    overlap: float  # least
    coverage: float  # least


@dataclass(frozen=True, kw_only=True)
class Check:
    """One number with its bound; without a bound it is only reported."""

    name: str
    value: float | None
    bound: float | None = None
    passed: bool = True
    says: str = ""


@dataclass(frozen=True)
class Side:
    """One generation in the comparison."""

    generation: Generation
    index: VectorIndex


@dataclass(frozen=True)
class Verdict:
    """All checks of one attempt."""

    checks: Sequence[Check]
    at: datetime

    @property
    def failed(self) -> list[Check]:
        """The checks that did not pass."""
        return [check for check in self.checks if not check.passed]

    def quality(self, *, forced: bool = False) -> dict[str, Any]:
        """Return the numbers as they are kept with the generation."""
        members = [asdict(check) for check in self.checks]
        checks = {member.pop("name"): member for member in members}
        return {"checked_at": self.at.isoformat(), "forced": forced, "checks": checks}

    def raise_if_failed(self, generation: Generation) -> None:
        """Raise PromotionRefused if a check failed, naming each number and by how much."""
        if self.failed:
            reasons = "; ".join(check.says for check in self.failed)
            raise PromotionRefused(
                f"generation {generation.id} is not promoted: {reasons}",
                checks=self.quality()["checks"],
            )


def check_query_encoder(encoder: QueryEncoder, generation: Generation) -> Check:
    """Check that a query by image would be answered, by embedding a sample image."""
    try:
        encoder.check(generation)
    except LookalikeError as error:
        says = f"the query encoder does not answer: {error.message}"
        return Check(name="query_encoder", value=0, bound=1, passed=False, says=says)
    return Check(name="query_encoder", value=1, bound=1)

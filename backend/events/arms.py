"""What became of lists by placement, experiment and arm, and the guard of experiments.

Shoppers of one arm are compared with those of the other by a test of two proportions. The guard
looks every minute, so it demands more than a single look would: FALL standard errors.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from math import sqrt
from typing import Any, Final, NamedTuple

import structlog
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from backend.database.engine import Database
from backend.database.models import (
    ACTIVE,
    Experiment,
    FilterShape,
    Generation,
    ListedArm,
)
from backend.events.outcomes import interval
from backend.merchandising import experiments
from backend.merchandising.experiments import Arm, ExperimentState

log = structlog.get_logger(__name__)

FALL: Final = 3.0
"""Standard errors of the difference by which a share must be lower."""

LEAST_IMPRESSIONS: Final = 200
LEAST_COMPARED: Final = 50
"""What each arm must have before the guard judges it: impressions, compared searches."""

RECALL_FALL: Final = 0.02


@dataclass(frozen=True)
class ArmCounts:
    """What became of the lists of one arm."""

    impressions: int = 0
    clicks: int = 0
    carts: int = 0


def counts(session: Session, experiment: str) -> dict[Arm, ArmCounts]:
    """Return what became of the lists of each arm, since the experiment began."""
    rows = session.execute(
        select(
            ListedArm.arm,
            func.sum(ListedArm.impressions),
            func.sum(ListedArm.clicks),
            func.sum(ListedArm.carts),
        )
        .where(ListedArm.experiment == experiment)
        .group_by(ListedArm.arm)
    )
    found = {row[0]: ArmCounts(int(row[1]), int(row[2]), int(row[3])) for row in rows}
    return {arm: found.get(arm.value, ArmCounts()) for arm in Arm}


def describe(session: Session, experiment: Experiment) -> dict[str, Any]:
    """Return an experiment with its arms, as JSON."""
    found = counts(session, experiment.name)
    return {
        **experiments.describe(experiment),
        "arms": [
            {
                "arm": arm.value,
                **asdict(it),
                "click_through": _interval(it.clicks, it.impressions),
                "add_to_cart": _interval(it.carts, it.impressions),
            }
            for arm, it in found.items()
        ],
    }


def _interval(hits: int, total: int) -> list[float] | None:
    found = interval(hits, total)
    return None if found is None else list(found)


class Difference(NamedTuple):
    """A difference of two shares, and its standard error."""

    by: float
    error: float


def difference(
    control: ArmCounts, treatment: ArmCounts, *, act: str = "clicks"
) -> Difference | None:
    """Return by how much the share of an act differs in the treatment from that in the control.

    None before both arms have LEAST_IMPRESSIONS. The error is that of two proportions, pooled.
    """
    if min(control.impressions, treatment.impressions) < LEAST_IMPRESSIONS:
        return None
    hits = [min(getattr(it, act), it.impressions) for it in (control, treatment)]
    shares = [hits[0] / control.impressions, hits[1] / treatment.impressions]
    pooled = sum(hits) / (control.impressions + treatment.impressions)
    variance = pooled * (1 - pooled) * (1 / control.impressions + 1 / treatment.impressions)
    return Difference(by=shares[1] - shares[0], error=sqrt(variance))


def guard(db: Database) -> list[str]:
    """Stop the running experiments whose treatment is clearly worse; return their names."""
    with db.read() as session:
        running = select(Experiment).where(Experiment.state == ExperimentState.RUNNING.value)
        found = {it.name: _why_worse(session, it) for it in session.scalars(running)}
    worse = {name: reason for name, reason in found.items() if reason}
    for name, reason in sorted(worse.items()):
        db.write(lambda it, n=name, r=reason: experiments.stop(it, n, r))  # type: ignore[misc]
        log.warning("stopped an experiment", experiment=name, reason=reason)
    return sorted(worse)


def _why_worse(session: Session, experiment: Experiment) -> str | None:
    arms = counts(session, experiment.name)
    found = difference(arms[Arm.CONTROL], arms[Arm.TREATMENT])
    if found is not None and found.by < -FALL * found.error:
        return f"click-through fell by {-found.by:.1%}, more than {FALL:g} standard errors"
    if experiment.generation_id is None:
        return None
    active = session.scalar(select(Generation.id).where(Generation.state == ACTIVE))
    before = _recall(session, active) if active is not None else None
    now = _recall(session, experiment.generation_id)
    if before is not None and now is not None and now < before - RECALL_FALL:
        return f"recall fell from {before:.3f} to {now:.3f}"
    return None


def _recall(session: Session, generation_id: int) -> float | None:
    """Return the recall of the searches that were compared with exact ones; None of too few."""
    compared, recalled = session.execute(
        select(func.sum(FilterShape.compared), func.sum(FilterShape.recall_sum)).where(
            FilterShape.generation_id == generation_id
        )
    ).one()
    if not compared or compared < LEAST_COMPARED:
        return None
    return float(recalled) / float(compared)

"""Experiments: shoppers are split between two placements, or two generations.

A shopper's arm follows from the digest of the experiment's name and the shopper's, so it is the
same for every request, in every process, and independent of other experiments.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from typing import Any, Final, NamedTuple

from sqlalchemy import Select, bindparam, select
from sqlalchemy.orm import Session

from backend.database import clock
from backend.database.locks import Lock, hold
from backend.database.models import LIVE, Experiment, Generation
from backend.database.reader import Reader
from backend.errors import InvalidExperiment, UnknownExperiment, UnknownPlacement
from backend.merchandising import placements
from backend.merchandising.placements import NAME

_NAME_RULE: Final = (
    "the name of an experiment has 1 to 64 letters, digits, . _ or -, the first a letter or digit"
)

MOST: Final = 100
"""Experiments of one shop."""

LARGEST_ID: Final = 2**63 - 1
"""The largest number of a row that every database can hold."""


class Arm(StrEnum):
    """Which half of an experiment a shopper is in."""

    CONTROL = "control"
    TREATMENT = "treatment"


class ExperimentState(StrEnum):
    """Whether an experiment splits requests. All shoppers are in the control of a stopped one."""

    RUNNING = "running"
    STOPPED = "stopped"


@dataclass(frozen=True, kw_only=True)
class ExperimentPlan:
    """An experiment as it is put: either `against` or `generation_id` is what is tried.

    Requests that name `placement` are split; with a generation it may be None, for those that name
    none. `share` is that of the shoppers who are in the treatment.
    """

    placement: str | None = None
    against: str | None = None
    generation_id: int | None = None
    share: float = 0.5
    state: ExperimentState = ExperimentState.RUNNING


def arm_of(name: str, shopper: str, *, share: float) -> Arm:
    """Return a shopper's arm."""
    digest = hashlib.sha256(f"{name}\0{shopper}".encode("utf-8", "surrogatepass")).digest()
    place = int.from_bytes(digest[:8], "big") / 2**64
    return Arm.TREATMENT if place < share else Arm.CONTROL


class RunningExperiment(NamedTuple):
    """What splits requests: as `ExperimentPlan`, with the experiment's name."""

    name: str
    against: str | None
    generation_id: int | None
    share: float


def running_for(reader: Reader, placement: str | None) -> RunningExperiment | None:
    """Return the experiment that splits the requests that name a placement, or none."""
    rows = reader.rows(*_running(placement))
    return RunningExperiment(*rows[0]) if rows else None


def _running(placement: str | None) -> tuple[Select[Any], dict[str, Any]]:
    """Return the query for the experiments of a placement, and its parameters."""
    is_named = placement is not None
    return _running_of(is_named=is_named), {"placement": placement} if is_named else {}


@cache
def _running_of(*, is_named: bool) -> Select[Any]:
    of_placement = (
        Experiment.placement == bindparam("placement")
        if is_named
        else Experiment.placement.is_(None)
    )
    columns = (getattr(Experiment, name) for name in RunningExperiment._fields)
    return select(*columns).where(of_placement, Experiment.state == ExperimentState.RUNNING.value)


def read(session: Session, name: str) -> Experiment:
    """Return an experiment; raises UnknownExperiment."""
    found = session.get(Experiment, name) if re.fullmatch(NAME, name) else None
    if found is None:
        raise UnknownExperiment(f"there is no experiment {name[:80]!r}")
    return found


def listed(session: Session) -> list[Experiment]:
    """Return all experiments by name."""
    return list(session.scalars(select(Experiment).order_by(Experiment.name)))


def put(session: Session, name: str, wanted: ExperimentPlan) -> tuple[Experiment, bool]:
    """Store an experiment, and tell whether it is new. Raises InvalidExperiment.

    What is tried cannot be changed, since its figures would be of two things: only share and state.
    """
    _check(session, name, wanted)
    hold(session, Lock.NAMED)
    found = session.get(Experiment, name, with_for_update=True)
    is_new = found is None
    if found is None:
        if len(listed(session)) >= MOST:
            raise InvalidExperiment(f"there are {MOST} experiments, and more are not allowed")
        found = Experiment(
            name=name,
            placement=wanted.placement,
            against=wanted.against,
            generation_id=wanted.generation_id,
            created_at=clock.now(session),
        )
        session.add(found)
    _check_same(found, wanted)
    found.share, found.state = wanted.share, wanted.state.value
    is_running = wanted.state is ExperimentState.RUNNING
    found.reason = None if is_running else (found.reason or "stopped by an operator")
    found.stopped_at = None if is_running else (found.stopped_at or clock.now(session))
    session.flush()
    return found, is_new


def stop(session: Session, name: str, reason: str) -> Experiment:
    """Stop an experiment: all shoppers get the control from the next request on."""
    found = read(session, name)
    if found.state != ExperimentState.STOPPED.value:
        found.state, found.reason = ExperimentState.STOPPED.value, reason
        found.stopped_at = clock.now(session)
    return found


def remove(session: Session, name: str) -> None:
    """Remove an experiment. What was counted of its arms stays."""
    session.delete(read(session, name))


def describe(experiment: Experiment) -> dict[str, Any]:
    """Return an experiment as JSON."""
    return {
        "name": experiment.name,
        "placement": experiment.placement,
        "against": experiment.against,
        "generation": experiment.generation_id,
        "share": experiment.share,
        "state": experiment.state,
        "reason": experiment.reason,
        "created_at": experiment.created_at.isoformat(),
        "stopped_at": experiment.stopped_at.isoformat() if experiment.stopped_at else None,
    }


def _check(session: Session, name: str, wanted: ExperimentPlan) -> None:
    if not re.fullmatch(NAME, name):
        raise InvalidExperiment(_NAME_RULE, errors=[{"parameter": "name", "reason": _NAME_RULE}])
    if not 0 < wanted.share < 1:
        raise _refused("share", "share: must be above 0 and below 1")
    if (wanted.against is None) == (wanted.generation_id is None):
        raise _refused("against", "give either the placement `against` or a generation")
    if wanted.generation_id is not None and wanted.generation_id > LARGEST_ID:
        raise _refused("generation", f"generation: the number is above {LARGEST_ID}")
    if wanted.against is not None and wanted.placement in {None, wanted.against}:
        raise _refused(
            "placement", "placement: give the one that requests name; it is not `against`"
        )
    if wanted.state is ExperimentState.RUNNING:
        _check_running(session, name, wanted)


def _check_same(found: Experiment, wanted: ExperimentPlan) -> None:
    for member, column in (
        ("placement", "placement"),
        ("against", "against"),
        ("generation", "generation_id"),
    ):
        if getattr(found, column) != getattr(wanted, column):
            reason = "what an experiment tries cannot be changed; give the new one another name"
            raise _refused(member, reason)


def _refused(member: str, reason: str) -> InvalidExperiment:
    return InvalidExperiment(reason, errors=[{"field": member, "reason": reason}])


def _check_placement(session: Session, member: str, name: str | None) -> None:
    try:
        if name is not None:
            placements.read(session, name)
    except UnknownPlacement as error:
        raise _refused(member, error.message) from None


def _check_running(session: Session, name: str, wanted: ExperimentPlan) -> None:
    _check_placement(session, "placement", wanted.placement)
    _check_placement(session, "against", wanted.against)
    running, given = _running(wanted.placement)
    other = session.execute(running, given).first()
    if other is not None and other.name != name:
        raise _refused("placement", f"the experiment {other.name!r} splits these requests already")
    if wanted.generation_id is not None:
        generation = session.get(Generation, wanted.generation_id)
        if generation is None or generation.state not in LIVE:
            reason = f"generation {wanted.generation_id} is not kept up to date"
            raise _refused("generation", reason)

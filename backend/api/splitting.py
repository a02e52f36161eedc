"""Which arm of an experiment a request is in, before its placement is read."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Final

from backend.api.context import services
from backend.api.schemas.query import QueryReader
from backend.database.models import LIVE, Generation
from backend.events.record import MOST_TEXT
from backend.merchandising import experiments
from backend.merchandising.experiments import Arm


@dataclass(frozen=True, kw_only=True)
class ShopperSplit:
    """The placement that a request names, the one whose defaults it gets, and the experiment."""

    named: str | None = None
    placement: str | None = None
    experiment: str | None = None
    arm: Arm | None = None
    generation_id: int | None = None  # that is tried, in its arm

    def shown(self) -> dict[str, Any]:
        """Return the member of `meta` that names the experiment; none where there is none."""
        if self.experiment is None or self.arm is None:
            return {}
        return {"experiment": {"name": self.experiment, "arm": self.arm.value}}


NO_SPLIT: Final = ShopperSplit()


@dataclass(frozen=True, kw_only=True)
class Asker:
    """For whom products are listed, as events name them, and in which arm they are."""

    user: str | None = None
    visit: str | None = None
    split: ShopperSplit = NO_SPLIT

    @property
    def is_known(self) -> bool:
        """Whether the request names a shopper or a visit."""
        return self.user is not None or self.visit is not None

    def place(self, named: str | None) -> str | None:
        """Return the placement whose defaults are taken, for the one that is named."""
        return self.split.placement if self.is_known else named


NOBODY: Final = Asker()


def asker_of(
    reader: QueryReader,
    *,
    user: str | None = None,
    visit: str | None = None,
    placement: str | None = None,
) -> Asker:
    """Return for whom a request is; what its body does not say is read from the query string.

    Where somebody is named, the placement is read too: `Asker.place` has it.
    """
    found = [
        given if given is not None else _name(reader, name)
        for name, given in (("user", user), ("session", visit))
    ]
    if found == [None, None]:
        return NOBODY
    return asker_for(*found, placement=placement or reader.text("placement"))


def asker_for(user: str | None, visit: str | None, *, placement: str | None) -> Asker:
    """Return for whom a request is that names a shopper, a visit, both or none."""
    shopper = user or visit
    if shopper is None:
        return NOBODY
    return Asker(user=user, visit=visit, split=split_of(placement, shopper))


def _name(reader: QueryReader, name: str) -> str | None:
    text = reader.text(name)
    if text is not None and not 1 <= len(text) <= MOST_TEXT:
        reader.refuse(name, f"takes 1 to {MOST_TEXT} characters")
        return None
    return text


def without_generation(split: ShopperSplit) -> ShopperSplit:
    """Return the split of a list that is always of the active generation."""
    if split.generation_id is None:
        return split
    return replace(split, experiment=None, arm=None, generation_id=None)


def tried_generation(split: ShopperSplit) -> tuple[Generation | None, ShopperSplit]:
    """Return the generation that a shopper's arm gets, None for the active one.

    If it is not kept up to date any more, there is no experiment.
    """
    if split.generation_id is None:
        return None, split
    with services().db.read() as session:
        found = session.get(Generation, split.generation_id)
    if found is None or found.state not in LIVE:
        return None, without_generation(split)
    return found, split


def split_of(named: str | None, shopper: str | None) -> ShopperSplit:
    """Return the arm of a shopper, or of a visit, for requests that name a placement."""
    if shopper is None:
        return ShopperSplit(named=named, placement=named)
    with services().db.query() as reader:
        found = experiments.running_for(reader, named)
    if found is None:
        return ShopperSplit(named=named, placement=named)
    arm = experiments.arm_of(found.name, shopper, share=found.share)
    is_tried = arm is Arm.TREATMENT
    return ShopperSplit(
        named=named,
        placement=found.against if is_tried and found.against else named,
        experiment=found.name,
        arm=arm,
        generation_id=found.generation_id if is_tried else None,
    )

"""Which arm of an experiment a request is in, before its placement is read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from backend.api.context import services
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

"""Experiments in JSON."""

from __future__ import annotations

from datetime import datetime

from pydantic import Field

from backend.api.schemas.document import Document, RequestBody
from backend.merchandising.experiments import Arm, ExperimentPlan, ExperimentState


class ExperimentBody(RequestBody):
    """What is tried, and on which shoppers."""

    placement: str | None = Field(
        None, min_length=1, max_length=64, description="requests that name it are split"
    )
    against: str | None = Field(
        None, min_length=1, max_length=64, description="the placement that is tried"
    )
    generation: int | None = Field(
        None, ge=1, description="or the generation that is tried: one that is kept up to date"
    )
    share: float = Field(0.5, gt=0, lt=1, description="of the shoppers who get what is tried")
    state: ExperimentState = Field(ExperimentState.RUNNING, strict=False)

    @property
    def wanted(self) -> ExperimentPlan:
        """The experiment that is to be stored."""
        return ExperimentPlan(
            placement=self.placement,
            against=self.against,
            generation_id=self.generation,
            share=self.share,
            state=self.state,
        )


class ArmDocument(Document):
    """What became of the lists of one arm."""

    arm: Arm
    impressions: int
    clicks: int
    carts: int
    click_through: list[float] | None = Field(description="share and 95% interval (Wilson)")
    add_to_cart: list[float] | None = Field(description="share and 95% interval (Wilson)")


class ExperimentDocument(Document):
    """An experiment: shoppers are split between two placements or two generations."""

    name: str
    placement: str | None
    against: str | None
    generation: int | None
    share: float
    state: ExperimentState
    reason: str | None = Field(description="why it was stopped")
    created_at: datetime
    stopped_at: datetime | None
    arms: list[ArmDocument]


class ExperimentPage(Document):
    """All experiments, by name."""

    items: list[ExperimentDocument]


class ExperimentMeta(Document):
    """The experiment that a list is of."""

    name: str
    arm: Arm

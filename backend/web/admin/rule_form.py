"""A rule as a form: what its fields show, and the settings that they say."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from backend.api.context import filterable
from backend.api.problems import RequestError, invalid_request
from backend.api.schemas import Json
from backend.api.schemas.body import validate
from backend.api.schemas.filters import INTEGER, NUMBER
from backend.api.schemas.problem import ProblemFault
from backend.api.schemas.rule import RuleBody
from backend.merchandising.rule_set import Action
from backend.web.admin.filter_lines import read_filter, write_filter

ACTIONS: Final = {
    Action.PIN: "Pin: show at a place of the list",
    Action.HIDE: "Hide: leave out",
    Action.BOOST: "Boost: move up",
    Action.BURY: "Bury: move down",
}
"""What people read as the action of a rule."""

_NUMBERS: Final = ("position", "weight", "priority")
_MOMENT: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]+)?)?")


@dataclass(frozen=True, kw_only=True)
class RuleForm:
    """The texts in the fields of the form."""

    action: str = Action.PIN.value
    name: str = ""
    skus: str = ""
    filter: str = ""
    placement: str = ""
    condition: str = ""
    position: str = ""
    weight: str = ""
    priority: str = ""
    starts_at: str = ""
    ends_at: str = ""
    enabled: bool = True

    @classmethod
    def of_settings(cls, settings: Mapping[str, Any]) -> RuleForm:
        """Return the form that shows a stored rule."""
        schema = filterable()
        texts: dict[str, Any] = {
            name: str(settings[name])
            for name in ("action", "name", "placement", *_NUMBERS)
            if settings.get(name) is not None
        }
        return cls(
            **texts,
            starts_at=_shown(settings.get("starts_at")),
            ends_at=_shown(settings.get("ends_at")),
            skus="\n".join(map(str, settings.get("skus") or ())),
            filter=write_filter(settings.get("filter"), schema),
            condition=write_filter(settings.get("condition"), schema),
            enabled=settings.get("enabled", True) is not False,
        )

    @classmethod
    def of_fields(cls, sent: Mapping[str, str]) -> RuleForm:
        """Return the form that was sent."""
        names = set(cls.__dataclass_fields__) - {"enabled"}
        texts: dict[str, Any] = {name: sent.get(name, "").strip() for name in names}
        return replace(cls(**texts), enabled=sent.get("enabled") == "1")

    def settings(self) -> Json:
        """Return the settings as they are stored; raises RequestError, which names each fault."""
        given: Json = {"action": self.action} | ({} if self.enabled else {"enabled": False})
        faults: list[ProblemFault] = []
        if skus := [sku for it in self.skus.splitlines() if (sku := it.strip())]:
            given["skus"] = skus
        for name in ("filter", "condition"):
            try:
                if found := read_filter(getattr(self, name), filterable(), named=name):
                    given[name] = found
            except RequestError as error:
                faults += error.faults
        for name in _NUMBERS:
            if text := getattr(self, name):
                given[name] = _number(text)
        for name in ("starts_at", "ends_at"):
            if text := getattr(self, name):
                given[name] = f"{text}Z" if _MOMENT.fullmatch(text) else text
        given |= {name: text for name in ("name", "placement") if (text := getattr(self, name))}
        if faults:
            raise invalid_request(faults)
        return validate(RuleBody, given).stored(given)


def _number(text: str) -> Any:
    """Return a text as a number; what is no number stays a text, which the model refuses."""
    if INTEGER.fullmatch(text):
        return int(text)
    return float(text) if NUMBER.fullmatch(text) else text


def _shown(moment: Any) -> str:
    """Return a moment as a field for dates takes it: in UTC, without the zone."""
    text = str(moment or "")
    return text.removesuffix("Z").removesuffix("+00:00")

"""A feed as a form: what its fields show, and what they say of the feed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from backend.api.problems import invalid_request
from backend.api.schemas import Json
from backend.api.schemas.body import validate
from backend.api.schemas.feed import FeedBody
from backend.api.schemas.problem import ProblemFault
from backend.catalogue.pruning import DEFAULT_LIMIT
from backend.errors import InvalidFeed
from backend.feeds.options import FeedOptions, parse_interval, show_interval

TEXTS: Final = ("format", "image", "delimiter", "encoding", "decimal")
"""Options that are a text, or absent."""


@dataclass(frozen=True, kw_only=True)
class FeedForm:
    """The texts in the fields of the form."""

    url: str = ""
    name: str = ""
    every: str = "1d"
    map: str = ""
    format: str = ""
    image: str = ""
    delimiter: str = ""
    encoding: str = ""
    decimal: str = ""
    prune: bool = False
    prune_at_most: str = DEFAULT_LIMIT.text

    @classmethod
    def of_feed(cls, feed: Mapping[str, Any]) -> FeedForm:
        """Return the form that shows a described feed."""
        options = FeedOptions.of_row(feed["options"])
        return cls(
            url=feed["location"],
            name=feed["name"],
            every=show_interval(feed["every_seconds"]),
            map="\n".join(f"{field}={column}" for field, column in options.map.items()),
            **{name: getattr(options, name) or "" for name in TEXTS},
            prune=options.prune,
            prune_at_most=options.prune_at_most,
        )

    @classmethod
    def of_fields(cls, sent: Mapping[str, str]) -> FeedForm:
        """Return the form that was sent."""
        # White space is stripped, except from the delimiter, which may be a tab.
        texts: dict[str, Any] = {
            name: value if name == "delimiter" else value.strip()
            for name in set(cls.__dataclass_fields__) - {"prune"}
            if (value := sent.get(name, ""))
        }
        return replace(cls(**texts), prune=sent.get("prune") == "1")

    def body(self) -> FeedBody:
        """Return what the API would be sent to add this feed; raises RequestError."""
        options: Json = {name: text for name in TEXTS if (text := getattr(self, name))}
        options |= {"prune": self.prune, "prune_at_most": self.prune_at_most}
        if self.map:
            options["map"] = self._columns()
        given: Json = {"url": self.url, "every_seconds": self.seconds(), "options": options}
        return validate(FeedBody, given | ({"name": self.name} if self.name else {}))

    def seconds(self) -> int:
        """Return the interval; raises RequestError."""
        try:
            return parse_interval(self.every)
        except InvalidFeed as error:
            raise invalid_request([_fault("every", error.message)]) from None

    def options(self, stored: FeedOptions) -> FeedOptions:
        """Return the options of a feed that is changed; those without a field stay."""
        texts: dict[str, Any] = {name: getattr(self, name) or None for name in TEXTS}
        return replace(
            stored,
            **texts,
            map=self._columns(),
            prune=self.prune,
            prune_at_most=self.prune_at_most,
        )

    def _columns(self) -> dict[str, str]:
        found = {}
        for line in filter(None, map(str.strip, self.map.splitlines())):
            field, sign, column = (it.strip() for it in line.partition("="))
            if not (field and sign and column):
                raise invalid_request([_fault("map", f"write field=column; got {line!r}")])
            found[field] = column
        return found


def _fault(name: str, detail: str) -> ProblemFault:
    return ProblemFault(code="invalid-value", detail=detail, parameter=name)

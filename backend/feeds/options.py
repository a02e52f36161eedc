"""How a feed is read and imported: the options of `lookalike import`, as they are stored."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Final, Self

from backend.catalogue.drafts import FIELDS
from backend.catalogue.pruning import DEFAULT_LIMIT, PruneLimit
from backend.catalogue.sources.encodings import checked_encoding
from backend.catalogue.sources.mapping import FeedMapping, checked_delimiter
from backend.catalogue.sources.presets import PRESETS
from backend.errors import ConfigurationError, InvalidFeed

NEVER: Final = 0
"""Seconds between two runs of a feed that runs only when somebody asks."""
DEFAULT_SECONDS: Final = 24 * 3600
LEAST_SECONDS: Final = 60
MOST_SECONDS: Final = 90 * 24 * 3600
NAME: Final = re.compile("[A-Za-z0-9][A-Za-z0-9._-]{0,63}")

FORMATS: Final = tuple(dict.fromkeys(["table", *(preset.name for preset in PRESETS)]))

_INTERVAL: Final = re.compile(r"([1-9][0-9]{0,6})\s*([smhd])")
_UNITS: Final = {"s": 1, "m": 60, "h": 3600, "d": 24 * 3600}
_SAYS_INTERVAL: Final = "must be such as 30m, 4h or 2d, from one minute to 90 days, or `never`"


@dataclass(frozen=True, kw_only=True)
class FeedOptions:
    """How a feed is read and imported; what is absent is found by the feed itself."""

    format: str | None = None
    map: Mapping[str, str] = field(default_factory=dict)  # our field -> the shop's column
    image: str | None = None
    delimiter: str | None = None
    encoding: str | None = None
    decimal: str | None = None
    numeric: Sequence[str] = field(default_factory=list)  # columns of attributes that are numbers
    prune: bool = False
    prune_at_most: str = DEFAULT_LIMIT.text
    copy_images: bool = False

    @classmethod
    def of_row(cls, stored: Mapping[str, Any]) -> Self:
        """Return the options of a row; a newer release may have stored more of them."""
        known = {each.name for each in fields(cls)}
        return cls(**{name: value for name, value in stored.items() if name in known})

    def as_row(self) -> dict[str, Any]:
        """Return what is stored: the options that differ from the default."""
        default = asdict(FeedOptions())
        return {name: value for name, value in asdict(self).items() if value != default[name]}

    @property
    def mapping(self) -> FeedMapping:
        """The mapping for `open_source`."""
        return FeedMapping(
            columns=self.map,
            image=self.image,
            format=self.format,
            delimiter=checked_delimiter(self.delimiter) if self.delimiter else None,
            encoding=self.encoding,
            decimal=self.decimal,
            numeric=tuple(self.numeric),
        )

    def faults(self) -> list[dict[str, str]]:
        """Return field and reason of everything that is wrong with the options."""
        found = []
        if self.format not in (None, *FORMATS):
            reason = f"there is no format {self.format!r}; there are: {', '.join(FORMATS)}"
            found.append(fault("options", reason))
        if unknown := sorted(set(self.map) - {"sku", *FIELDS, "image_uri"}):
            found.append(fault("options", f"map: there is no field {', '.join(unknown)}"))
        if self.decimal not in (None, ".", ","):
            found.append(fault("options", "decimal must be . or ,"))
        checks: list[tuple[Callable[[str], object], str | None]] = [
            (checked_delimiter, self.delimiter),
            (checked_encoding, self.encoding),
            (PruneLimit.parse, self.prune_at_most),
        ]
        for check, text in checks:
            try:
                if text is not None:
                    check(text)
            except ConfigurationError as error:
                found.append(fault("options", error.message))
        return found


def fault(name: str, reason: str) -> dict[str, str]:
    """Return one entry of the `errors` of an InvalidFeed."""
    return {"field": name, "reason": reason}


def parse_interval(text: str) -> int:
    """Read `30m`, `4h`, `2d` or `never`, and return seconds. Raises InvalidFeed."""
    if text.strip().lower() == "never":
        return NEVER
    found = _INTERVAL.fullmatch(text.strip().lower())
    seconds = int(found[1]) * _UNITS[found[2]] if found else -1
    if not LEAST_SECONDS <= seconds <= MOST_SECONDS:
        raise InvalidFeed(f"the interval {_SAYS_INTERVAL}; got {text!r}")
    return seconds


def show_interval(seconds: int) -> str:
    """Return seconds as `parse_interval` reads them."""
    if seconds == NEVER:
        return "never"
    unit = next(unit for unit in "dhms" if seconds % _UNITS[unit] == 0)
    return f"{seconds // _UNITS[unit]}{unit}"

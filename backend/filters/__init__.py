"""The neutral filter: the conditions of a query, whichever database answers it.

A field is either in the schema (typed, with a payload index) or an open attribute,
`attributes.<name>`. Open attributes share one index (`tokens`). All that follows the prefix is one
key, even if it contains dots.

The value of an attribute may come from a feed as text or from JSON as a number. So it matches
whatever its stored type: "42" also finds 42, 42 also finds "42", "true" also finds True; the same
holds under negation. Ranges on attributes compare numbers only.

A product that lacks the field matches `none_of`, but no `any_of` and no range.

`check` refuses what a schema does not allow, `budget` what is too large. `spellings` tells which
stored values count as equal, `tokens` turns attributes into texts of one index, `shape` describes a
filter without its values, `matching` compares it with one product. `vectors.translate` turns a
filter into Qdrant's, `catalogue.filter_sql` into SQL.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

Scalar: TypeAlias = str | int | float | bool
FieldType: TypeAlias = Literal["keyword", "integer", "float", "bool"]
Schema: TypeAlias = Mapping[str, FieldType]
"""Payload field -> type, for every indexed field (the indexes are created before the points)."""

OPEN_PREFIX: Final = "attributes."
"""The prefix of an open attribute's name."""


@dataclass(frozen=True, kw_only=True)
class Condition:
    """What one payload field must satisfy: all parts that are set, at least one.

    Keyword and bool fields take no range.
    """

    any_of: tuple[Scalar, ...] = ()
    none_of: tuple[Scalar, ...] = ()
    gte: float | None = None
    gt: float | None = None
    lte: float | None = None
    lt: float | None = None


Where: TypeAlias = Mapping[str, Condition]
"""A neutral filter: AND across fields, each in the schema or an open `attributes.<name>`."""

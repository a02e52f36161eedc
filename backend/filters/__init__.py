"""The neutral filter: what a query may say, whichever database answers it.

A field is either in the schema (typed, with a payload index) or an open attribute,
`attributes.<name>`, which needs no index: it is found by reading payloads, so it is slower. The
whole rest of the name is one key, dots and all.

An attribute's value comes from a shop's feed as text or from JSON as a number, so it matches in
whatever type it was stored: "42" also finds 42, 42 also finds "42", "true" also finds True, and
the same under negation. Ranges on attributes compare numbers only.

A product that lacks the field matches no `any_of` and no range, and does match `none_of`.

`check` refuses what a schema does not allow, `spellings` says which stored values count as equal,
`shape` describes a filter without its values. `vectors.translate` makes Qdrant's filter of it,
`catalogue.filter_sql` an SQL condition.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

Scalar: TypeAlias = str | int | float | bool
FieldType: TypeAlias = Literal["keyword", "integer", "float", "bool"]
Schema: TypeAlias = Mapping[str, FieldType]
"""Payload field -> type, of every field that is indexed (created before the points arrive)."""

OPEN_PREFIX: Final = "attributes."
"""Before the name of an open attribute."""


@dataclass(frozen=True, kw_only=True)
class Condition:
    """What one payload field must satisfy; the parts that are set are ANDed, and one must be.

    A product that lacks the field satisfies `none_of`, and neither `any_of` nor a range. Keyword
    and bool fields take no range. How open attributes compare is told in `filters`.
    """

    any_of: tuple[Scalar, ...] = ()
    none_of: tuple[Scalar, ...] = ()
    gte: float | None = None
    gt: float | None = None
    lte: float | None = None
    lt: float | None = None


Where: TypeAlias = Mapping[str, Condition]
"""A neutral filter: AND across fields, each in the schema or an open `attributes.<name>`."""

"""The reference of metrics."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from prometheus_client import Metric

from backend.metrics.instruments import REGISTRY
from manual.tables import row

HEAD: Final = """\
# Metrics

`GET /metrics` shows these to Prometheus. [Monitoring](../monitoring.md) says who may read them, and
has a dashboard and alert rules. A counter's samples end in `_total`; those of a histogram and of a
summary end in `_count` and `_sum`, and of a histogram in `_bucket` too.

| metric | type | labels | meaning |
|---|---|---|---|
"""


def page(families: Sequence[Metric]) -> str:
    """Return the page: one row for each family, those of HTTP first, then by name."""
    found = {family.name: family for family in (*REGISTRY.collect(), *families)}
    return HEAD + "\n".join(_row(found[name]) for name in sorted(found)) + "\n"


def _row(family: Metric) -> str:
    labels = ", ".join(f"`{name}`" for name in _labels(family))
    return row(f"`{family.name}`", family.type, labels, family.documentation)


def _labels(family: Metric) -> Sequence[str]:
    """Return the names of the labels, also those of a family that has no sample yet.

    prometheus_client gives them no public name.
    """
    counted = REGISTRY._names_to_collectors.get(family.name)
    return tuple(getattr(counted or family, "_labelnames", ()))

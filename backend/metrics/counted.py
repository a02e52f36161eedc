"""Sums of what several processes have counted, and their form in files."""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any, Final, TypeAlias

from prometheus_client import Metric

from backend.metrics.instruments import (
    BATCH_IMAGES,
    FRESHNESS_SECONDS,
    HTTP_SECONDS,
    INSTRUMENTS,
    STEP_SECONDS,
)

SampleKey: TypeAlias = tuple[str, str, tuple[tuple[str, str], ...]]
"""(family, sample, labels): all of them are counts, so samples of one key are added."""

Counts: TypeAlias = Mapping[SampleKey, float]


def _families() -> list[Metric]:
    return [family for instrument in INSTRUMENTS for family in instrument.collect()]


def _layout() -> str:
    """Return a digest of what is counted, so that other releases' numbers are not added to ours."""
    names = [[family.name, family.type] for family in _families()]
    text = json.dumps([names, HTTP_SECONDS, FRESHNESS_SECONDS, STEP_SECONDS, BATCH_IMAGES])
    return hashlib.sha256(text.encode()).hexdigest()[:16]


LAYOUT: Final = _layout()


def own() -> Counts:
    """Return what this process has counted."""
    return {
        (family.name, sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in _families()
        for sample in family.samples
        if not sample.name.endswith("_created")
    }


def add_up(several: Iterable[Counts]) -> Counts:
    """Return the sums of several processes' counts."""
    total: defaultdict[SampleKey, float] = defaultdict(float)
    for counts in several:
        for key, value in counts.items():
            total[key] += value
    return total


def as_families(counts: Counts) -> list[Metric]:
    """Return counts as Prometheus' families; those without a sample are there too."""
    families = {family.name: family for family in _families()}
    for family in families.values():
        family.samples = []
    for (name, sample, labels), value in counts.items():
        families[name].add_sample(sample, dict(labels), value)
    return list(families.values())


def to_json(counts: Counts) -> list[Any]:
    """Return counts as a JSON value."""
    return [[*key[:2], dict(key[2]), value] for key, value in counts.items()]


def from_json(document: Iterable[Any]) -> Counts:
    """Return counts that `to_json` wrote."""
    return {
        (family, sample, tuple(sorted(labels.items()))): value
        for family, sample, labels, value in document
    }

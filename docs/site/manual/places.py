"""The pages that are added to those in docs/: where they stand, and their titles."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[3]
"""The repository."""

COPIED: Final[Mapping[str, tuple[str, str]]] = {
    "ARCHITECTURE.md": ("project/architecture.md", "Architecture"),
    "DECISIONS.md": ("project/decisions.md", "Decisions"),
    "CONTRIBUTING.md": ("project/contributing.md", "Contributing"),
    "tests/README.md": ("project/tests.md", "Tests"),
    "benchmarks/README.md": ("project/benchmarks.md", "Benchmarks"),
    "backend/embedders/data/MODEL-CARD.md": ("project/model-card.md", "Model card"),
    "backend/embedders/data/MODEL-CARD-BLOCKS.md": (
        "project/model-card-blocks.md",
        "Model card: blocks",
    ),
    "CHANGELOG.md": ("project/changelog.md", "Changes"),
}
"""Files outside docs/ that are pages too, as (place in the manual, title)."""

GENERATED: Final[Mapping[str, str]] = {
    "reference/index.md": "Reference",
    "reference/settings.md": "Settings",
    "reference/cli.md": "Command line",
    "reference/operations.md": "Operations",
    "reference/problems.md": "Problem codes",
    "reference/metrics.md": "Metrics",
    "project/index.md": "The project",
}
"""Titles of the pages that are made from the code, by place."""

TITLES: Final[Mapping[str, str]] = {**GENERATED, **dict(COPIED.values())}

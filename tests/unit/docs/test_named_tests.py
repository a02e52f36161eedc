"""The tests that the documentation names as proof exist."""

from __future__ import annotations

import re
from pathlib import Path

TESTS = Path(__file__).parents[2]
TABLE = TESTS.parent / "docs" / "robustness.md"


def test_every_test_that_the_table_of_attacks_names_exists() -> None:
    pattern = r"`((?:unit|integration|acceptance)/[\w/]+\.py)(?:::(\w+))?`"
    named = re.findall(pattern, TABLE.read_text(encoding="utf-8"))
    assert len(named) > 30
    for path, name in named:
        source = (TESTS / path).read_text(encoding="utf-8")
        assert not name or f"def {name}(" in source, f"{path}::{name}"

"""What the tests of the schema's history share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from backend.database.engine import Database


@pytest.fixture(params=["sqlite", "postgresql"])
def empty(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    """A database without a single table."""
    if request.param == "sqlite":
        database = Database(f"sqlite:///{tmp_path / 'empty.sqlite'}")
    else:
        database = Database(request.getfixturevalue("pg_url"))
    yield database
    database.close()

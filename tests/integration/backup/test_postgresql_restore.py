"""The commands that docs/backup.md gives for a database that is restored from a dump."""

from __future__ import annotations

import re
from pathlib import Path

from sqlalchemy import create_engine, inspect
from support.servers import migrated, run_sql

import backend

PAGE = Path(backend.__file__).parents[1] / "docs" / "backup.md"


def tables(url: str) -> list[str]:
    engine = create_engine(url)
    found = inspect(engine).get_table_names()
    engine.dispose()
    return found


def test_the_database_is_empty_before_a_dump_is_restored(pg_url: str) -> None:
    """Tables of a later release than the dump's refer to tables that the restore makes anew."""
    migrated(pg_url)
    assert "product_partners" in tables(pg_url)
    text = PAGE.read_text(encoding="utf-8")
    emptying, restoring = text.index("psql --dbname"), text.index("pg_restore --exit-on-error")
    assert emptying < restoring
    run_sql(pg_url, *re.findall(r"--command='([^']+)'", text))
    assert tables(pg_url) == []
    assert tables(migrated(pg_url)), "it can be filled again"

"""`lookalike migrate`: the schema of the database."""

from __future__ import annotations

from backend.cli.common import AsJson, out, print_json, settings


def migrate(as_json: AsJson = False) -> None:
    """Migrate the database to the newest revision. An SQLite file is migrated at every start."""
    from backend.database import migrate as migrations
    from backend.database.engine import Database

    db = Database(settings().database)
    revision = migrations.migrate(db)
    db.close()
    if as_json:
        print_json({"revision": revision})
    else:
        out.print(f"The database is at revision {revision}.")

"""`lookalike serve` and `lookalike migrate`."""

from __future__ import annotations

from typing import Annotated

import typer

from backend.cli.common import AsJson, out, print_json


def serve(
    host: Annotated[str | None, typer.Option(help="Address to bind [LOOKALIKE_HOST].")] = None,
    port: Annotated[
        int | None, typer.Option(min=0, max=65535, help="Port [LOOKALIKE_PORT].")
    ] = None,
) -> None:
    """Serve the REST API; embedded, work off the queue in the same process.

    The API's description is at `/openapi.json`, its documentation at `/docs`.
    """
    from backend import wsgi
    from backend.settings import read_settings

    given = {key: value for key, value in {"host": host, "port": port}.items() if value is not None}
    wsgi.serve(read_settings(**given))


def migrate(as_json: AsJson = False) -> None:
    """Bring the database to the newest revision. Embedded, every start does this by itself."""
    from backend.cli.common import settings
    from backend.database import migrate as migrating
    from backend.database.engine import Database

    db = Database(settings().database)
    revision = migrating.migrate(db)
    db.close()
    if as_json:
        print_json({"revision": revision})
    else:
        out.print(f"The database is at revision {revision}.")

"""`lookalike serve`: the REST API."""

from __future__ import annotations

from typing import Annotated

import typer


def serve(
    host: Annotated[
        str | None, typer.Option(help="The address to listen on [LOOKALIKE_HOST].")
    ] = None,
    port: Annotated[
        int | None, typer.Option(min=0, max=65535, help="The port [LOOKALIKE_PORT].")
    ] = None,
) -> None:
    """Serve the REST API. In an embedded installation, the same process indexes the products.

    The OpenAPI document is at `/openapi.json`, the documentation at `/docs`.
    """
    from backend import wsgi
    from backend.settings import read_settings

    given = {key: value for key, value in {"host": host, "port": port}.items() if value is not None}
    wsgi.serve(read_settings(**given))

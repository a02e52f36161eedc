"""`lookalike placements`: named sets of defaults of lists."""

from __future__ import annotations

import json
from typing import Annotated, Final

import typer
from rich.markup import escape
from rich.table import Table

from backend.cli.common import AsJson, minute, out, print_json, services

placements = typer.Typer(
    help="Named defaults for lists, such as those of a product page.", no_args_is_help=True
)

BY: Final = "command"
"""Who has made a change, in the history."""

Name = Annotated[str, typer.Argument(metavar="NAME", help="Such as `pdp-similar`.")]


@placements.command("list")
def list_(as_json: AsJson = False) -> None:
    """List the placements."""
    from backend.merchandising import placements as rows

    with services() as found, found.db.read() as session:
        items = [rows.describe(it) for it in rows.listed(session)]
    if as_json:
        print_json({"items": items})
        return
    table = Table("name", "version", "settings")
    for item in items:
        table.add_row(item["name"], str(item["version"]), escape(json.dumps(item["settings"])))
    out.print(table if items else "There are no placements.")


@placements.command("put")
def put(
    name: Name,
    settings: Annotated[
        str, typer.Argument(metavar="JSON", help='Such as \'{"group_by": "group_id"}\'.')
    ],
    as_json: AsJson = False,
) -> None:
    """Store a placement, in place of one with the same name; it acts at once."""
    from pydantic import ValidationError

    from backend.api.schemas.placement import PlacementBody
    from backend.errors import InvalidPlacement
    from backend.indexing import schema
    from backend.merchandising import placements as rows

    with services() as found:
        try:
            given = json.loads(settings)
            PlacementBody.checked(given, schema(found.settings.facets))
        except ValidationError as error:
            each = error.errors()[0]
            place = ".".join(map(str, each["loc"]))
            raise InvalidPlacement(f"{place}: {each['msg']}") from None
        except ValueError as error:
            raise InvalidPlacement(f"the settings are not JSON: {error}") from None
        item = found.db.write(
            lambda session: rows.describe(rows.put(session, name, given, by=BY)[0])
        )
    if as_json:
        print_json(item)
    else:
        out.print(f"{escape(item['name'])} has version {item['version']}.")


@placements.command("remove")
def remove(name: Name) -> None:
    """Remove a placement."""
    from backend.merchandising import placements as rows

    with services() as found:
        found.db.write(lambda session: rows.remove(session, name, by=BY))
    out.print(f"Removed {escape(name)}.")


@placements.command("history")
def history(
    name: Name,
    limit: Annotated[int, typer.Option(min=1, max=1000)] = 20,
    as_json: AsJson = False,
) -> None:
    """Show what was changed, the newest first, also of a placement that was removed."""
    from backend.merchandising import placements as rows

    with services() as found, found.db.read() as session:
        items = [rows.describe_change(it) for it in rows.history(session, name, limit=limit)]
    if as_json:
        print_json({"items": items})
        return
    table = Table("at", "version", "change", "by", "settings")
    for item in items:
        named = (str(item[it] or "") for it in ("version", "change", "by"))
        table.add_row(minute(item["at"]), *named, escape(json.dumps(item["settings"])))
    out.print(table)

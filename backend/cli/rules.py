"""`lookalike rules`: what merchandisers want of lists."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer
from rich.markup import escape
from rich.table import Table

from backend.cli.common import AsJson, minute, out, print_json, services
from backend.cli.following import run_job

if TYPE_CHECKING:
    from backend.api.schemas.document import RequestBody
    from backend.bootstrap import Services
    from backend.filters import Schema

EXAMPLE: Final = """'{"action": "hide", "skus": ["0042"]}'"""
BY: Final = "command"
"""Who has made a change, in the history."""

rules = typer.Typer(help="Pin, hide, boost or bury products of lists.", no_args_is_help=True)

Id = Annotated[int, typer.Argument(metavar="ID", help="Number of the rule.", min=1)]
Settings = Annotated[str, typer.Argument(metavar="JSON", help=f"Such as {EXAMPLE}.")]


@rules.command("list")
def list_(as_json: AsJson = False) -> None:
    """List the rules, with what is wrong with each."""
    from backend.merchandising import rules as rows

    with services() as found:
        items = _described(found, rows.listed)
    if as_json:
        print_json({"items": items})
        return
    table = Table("id", "version", "state", "settings", "problems")
    for item in items:
        problems = [f"{it['code']} {it['sku'] or ''}".strip() for it in item["problems"]]
        settings = escape(json.dumps(item["settings"], ensure_ascii=False))
        shown = escape(", ".join(problems))
        table.add_row(str(item["id"]), str(item["version"]), item["state"], settings, shown)
    out.print(table if items else "There are no rules.")


@rules.command("show")
def show(id: Id) -> None:
    """Show a rule and its problems, as JSON."""
    from backend.merchandising import rules as rows

    with services() as found:
        print_json(_described(found, lambda session: [rows.read(session, id)])[0])


@rules.command("add")
def add(settings: Settings, as_json: AsJson = False) -> None:
    """Add a rule; it acts at once."""
    from backend.merchandising import rules as rows

    with services() as found:
        given = _checked(settings, _schema(found))
        item = found.db.write(lambda it: rows.describe(rows.create(it, given, by=BY)))
    _say(item, as_json=as_json)


@rules.command("replace")
def replace(id: Id, settings: Settings, as_json: AsJson = False) -> None:
    """Give a rule other settings; they act at once."""
    from backend.merchandising import rules as rows

    with services() as found:
        given = _checked(settings, _schema(found))
        item = found.db.write(lambda it: rows.describe(rows.replace(it, id, given, by=BY)))
    _say(item, as_json=as_json)


@rules.command("remove")
def remove(id: Id) -> None:
    """Remove a rule; its history stays."""
    from backend.merchandising import rules as rows

    with services() as found:
        found.db.write(lambda session: rows.remove(session, id, by=BY))
    out.print(f"Removed rule {id}.")


@rules.command("history")
def history(
    id: Annotated[int | None, typer.Argument(metavar="[ID]", help="Absent: of all rules.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=1000)] = 20,
    as_json: AsJson = False,
) -> None:
    """Show what was changed, the newest first, also of removed rules."""
    from backend.merchandising import rules as rows

    with services() as found, found.db.read() as session:
        items = [rows.describe_change(it) for it in rows.history(session, id, limit=limit)]
    if as_json:
        print_json({"items": items})
        return
    table = Table("at", "rule", "version", "change", "by", "settings")
    for item in items:
        settings = escape(json.dumps(item["settings"], ensure_ascii=False))
        named = (str(item[name] or "") for name in ("rule", "version", "change", "by"))
        table.add_row(minute(item["at"]), *named, settings)
    out.print(table if items else "No rule was ever changed.")


@rules.command("preview")
def preview(
    body: Annotated[
        str,
        typer.Argument(
            metavar="JSON",
            help="A rule, a list of rules, or a body as the API's `rules:preview` takes it.",
        ),
    ],
    sample: Annotated[
        int | None, typer.Option(min=1, max=200, help="How many lists are compared.")
    ] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="Draws other products.")] = None,
    as_json: AsJson = False,
) -> None:
    """Show how many lists rules would change, with examples; nothing is stored."""
    from backend.api.schemas.rule_preview import PreviewBody
    from backend.search.rule_preview import VERB

    with services() as found:
        options = {"sample": sample, "seed": seed}
        given = _as_body(_read(body)) | {it: v for it, v in options.items() if v is not None}
        tried = _valid(lambda: PreviewBody.read(given, _schema(found)), PreviewBody).tried
        result = run_job(found, VERB, asdict(tried), what="Comparing lists").result or {}
    if as_json:
        print_json(result)
        return
    out.print(f"{result['changed']} of {result['sampled']} lists change.")
    for each in result.get("problems", []):
        place = f"{each['sku']}: " if each["sku"] else ""
        out.print(escape(f"Problem: {place}{each['detail']}"), soft_wrap=True)
    for each in result["examples"]:
        out.print(f"Like {escape(each['sku'])}")
        out.print(f"  before: {escape(' '.join(each['before']))}", soft_wrap=True)
        out.print(f"  after:  {escape(' '.join(each['after']))}", soft_wrap=True)


def _as_body(given: Any) -> dict[str, Any]:
    if isinstance(given, list):
        return {"rules": given}
    return {"rules": [given]} if "action" in given else dict(given)


def _described(found: Services, read: Callable[[Any], Any]) -> list[dict[str, Any]]:
    from backend.database.models import utcnow
    from backend.search import rule_state

    with found.db.read() as session:
        return rule_state.describe_all(session, read(session), _schema(found), now=utcnow())


def _schema(found: Services) -> Schema:
    from backend.indexing import schema

    return schema(found.settings.facets)


def _checked(text: str, schema: Schema) -> dict[str, Any]:
    """Return the settings in a text, as they are stored; raises InvalidRule."""
    from backend.api.schemas.rule import RuleBody

    given = _read(text)
    found: dict[str, Any] = _valid(lambda: RuleBody.checked(given, schema), RuleBody)
    return found


def _read(text: str) -> Any:
    from backend.errors import InvalidRule

    try:
        given = json.loads(text)
    except ValueError as error:
        raise InvalidRule(f"this is not JSON: {error}; write it as {EXAMPLE}") from None
    if not isinstance(given, Mapping | list):
        raise InvalidRule(f"this is no JSON object; write it as {EXAMPLE}")
    return given


def _valid(check: Callable[[], Any], model: type[RequestBody]) -> Any:
    from pydantic import ValidationError

    from backend.api.problems import shown_faults
    from backend.api.schemas.body import faults_of
    from backend.errors import InvalidRule

    try:
        return check()
    except ValidationError as error:
        fault = shown_faults(faults_of(error.errors()[0], model))[0]
        place = (fault.pointer or "").strip("/").replace("/", ".")
        raise InvalidRule(f"{place}: {fault.detail}" if place else fault.detail) from None


def _say(item: Mapping[str, Any], *, as_json: bool) -> None:
    if as_json:
        print_json(item)
    else:
        out.print(f"Rule {item['id']} has version {item['version']}.")

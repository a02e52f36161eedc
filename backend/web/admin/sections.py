"""What the operator's pages share: their blueprint, their menu, and how an action ends."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from types import MappingProxyType
from typing import Any, Final

import structlog
from flask import redirect, render_template, request, url_for
from sqlalchemy.exc import SQLAlchemyError
from werkzeug.wrappers import Response as BaseResponse

from backend.api import problems
from backend.api.problems import RequestError
from backend.database.failures import meaning_of
from backend.database.models import utcnow
from backend.errors import LookalikeError
from backend.web import pages
from backend.web.admin import form_tokens

log = structlog.get_logger(__name__)

blueprint = pages.blueprint("admin", url_prefix="/admin")
blueprint.before_request(form_tokens.check_form_token)
blueprint.after_request(form_tokens.keep_form_token)
blueprint.add_app_template_global(form_tokens.form_token)
NAME: Final = blueprint.name

SECTIONS: Final = (
    ("show_overview", "Overview"),
    ("show_generations", "Generations"),
    ("show_quarantine", "Quarantine"),
    ("show_feeds", "Feeds"),
    ("show_jobs", "Jobs"),
    ("show_searches", "Search"),
    ("show_rules", "Rules"),
    ("show_evaluation", "Evaluation"),
)
"""View and name of each page of the menu."""

DONE: Final[Mapping[str, str]] = MappingProxyType(
    {
        "promote": "Job {n} measures the generation and then makes it the active one.",
        "rollback": "Generation {n} is active again.",
        "drop": "Generation {n} is retired; its data is deleted in the background.",
        "retry": "{n} products are tried again in the background.",
        "discard": "{n} products are removed from the catalogue.",
        "run": "Job {n} imports the feed.",
        "rule-saved": "Rule {n} is saved.",
        "rule-removed": "Rule {n} is removed.",
        "feed-added": "The feed is added; its first run begins at once.",
        "feed-changed": "The feed is changed.",
        "feed-paused": "The feed is paused: it runs only when somebody asks.",
        "feed-resumed": "The feed goes on.",
        "feed-removed": "The feed is removed; its products stay.",
        "cancel": "Job {n} was told to end.",
    }
)
"""What a page says after an action; `n` is the number of a job, a generation
or a rule, or a count."""


def show(template: str, **values: Any) -> str:
    """Render a page or a part of one; it may say which action was just done."""
    return render_template(f"admin/{template}", done=_done(), sections=_menu(), **values)


def end_action(view: str, done: str, n: int = 0) -> BaseResponse:
    """Lead on to a page, which says what was done."""
    return redirect(url_for(f"{NAME}.{view}", done=done, n=n), 303)


def is_part() -> bool:
    """Tell whether a script asks for the part of a page that it refreshes."""
    return request.args.get("part") == "1"


def is_checked(name: str) -> bool:
    """Tell whether a box of the form was checked."""
    return request.form.get(name) == "1"


def _menu() -> list[tuple[str, str, bool]]:
    """Return address, name, and whether it is the present one, of each page."""
    here = request.path.removeprefix("/admin").strip("/").partition("/")[0]
    addresses = [(url_for(f"{NAME}.{view}"), text) for view, text in SECTIONS]
    return [(address, text, _folder(address) == here) for address, text in addresses]


def _folder(address: str) -> str:
    return address.removeprefix(request.root_path).removeprefix("/admin").strip("/")


def _done() -> str | None:
    said, number = DONE.get(request.args.get("done", "")), request.args.get("n", "")
    return said.format(n=f"{int(number):,}") if said and number.isdecimal() else None


@blueprint.errorhandler(LookalikeError)
def _show_refusal(error: LookalikeError) -> Any:
    """Say why an action was refused, as the API does: title, detail, status."""
    if not pages.wants_page():
        return problems.respond(error)
    problem = problems.to_request_error(error)
    back = next((it for it in _menu() if it[2]), _menu()[0])
    page = show("refused.html", problem=problem, back=back)
    return page, problem.status, problem.headers


@blueprint.errorhandler(SQLAlchemyError)
def _show_failed_database(error: SQLAlchemyError) -> Any:
    """Say what is wrong with the database; what its error does not tell is our fault."""
    if (meaning := meaning_of(error)) is None:
        log.exception("request failed", error=repr(error))
        meaning = RequestError(500, "internal-error", "its log has the reason")
    return _show_refusal(meaning)


NONE: Final = "-"


# --- filters of the templates ------------------------------------------------------------------


def _filter(name: str) -> Callable[[Callable[..., str]], Callable[..., str]]:
    return blueprint.app_template_filter(name)


@_filter("duration")
def duration(seconds: float | None) -> str:
    """Return a time span for a reader: 45 s, 12 min, 3.5 h, 4 days; a dash for None."""
    if seconds is None:
        return NONE
    for least, unit, name in ((172_800, 86_400, "days"), (5400, 3600, "h"), (90, 60, "min")):
        if seconds >= least:
            number = seconds / unit
            return (
                f"{number:.0f} {name}"
                if number >= 10
                else f"{number:.1f} {name}".replace(".0 ", " ")
            )
    return f"{seconds:.0f} s"


@_filter("ago")
def ago(moment: datetime | str | None) -> str:
    """Return how long ago a moment was, in words."""
    if moment is None:
        return NONE
    at = datetime.fromisoformat(moment) if isinstance(moment, str) else moment
    seconds = (utcnow() - at).total_seconds()
    return f"in {duration(-seconds)}" if seconds < -1 else f"{duration(max(0, seconds))} ago"


@_filter("size")
def size(count: float) -> str:
    """Return a number of bytes for a reader, such as 12 GB."""
    for unit, name in ((1e12, "TB"), (1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if count >= unit:
            return f"{count / unit:,.1f} {name}"
    return f"{count:.0f} B"


@_filter("count")
def count(number: float | None) -> str:
    """Return a number with commas; a dash for None."""
    return NONE if number is None else f"{number:,.0f}"

"""The quarantine with its images: try products again, or remove them, one or all."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from flask import Response, request
from werkzeug.wrappers import Response as BaseResponse

from backend import generations
from backend.access.scope import Scope
from backend.api.context import services
from backend.api.schemas import pages as cursors
from backend.api.schemas.query import QueryReader
from backend.api.scopes import requires_scope
from backend.database.engine import Database
from backend.errors import DecoderUnavailable, ImageError
from backend.indexing import quarantined
from backend.queue import waiting
from backend.queue.progress import Quarantined
from backend.web.admin.sections import blueprint, end_action, is_checked, show
from backend.web.thumbnails import show_thumbnail

VIEW: Final = "show_quarantine"
CURSOR: Final = "quarantine"
MOST: Final = 24
"""Products of one page."""

NO_IMAGE: Final = (
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 96 128"><path fill="none" '
    'stroke="#8f887e" stroke-width="2" d="M8 8h80v112H8zM8 8l80 112M88 8 8 120"/></svg>'
)
"""What stands for an image that cannot be shown."""


@blueprint.get("/quarantine")
@requires_scope(Scope.ADMIN)
def show_quarantine() -> str:
    """Show the products that cannot be indexed, and why."""
    after_id = _after_id()
    with services().db.read() as session:
        active = generations.active_or_none(session)
        rows, kinds = [], {}
        if active:
            rows = quarantined.page(session, active.id, after_id=after_id, limit=MOST + 1)
            kinds = dict(waiting.quarantined_by_kind(session, active.id).most_common())
    ids = list(dict.fromkeys(row.product_id for row in rows))
    shown = [row for row in rows if row.product_id in set(ids[:MOST])]
    cursor = cursors.next_cursor(CURSOR, ids, MOST)
    return show("quarantine.html", rows=shown, kinds=kinds, cursor=cursor, is_first=after_id == 0)


@blueprint.get("/quarantine/<sku>/images/<int:number>")
@requires_scope(Scope.ADMIN)
def show_quarantined_image(sku: str, number: int) -> Response:
    """Show a small image of a product in quarantine; one that cannot be shown is a drawn box."""
    try:
        return show_thumbnail(sku, number, "small")
    except (ImageError, DecoderUnavailable):
        answer = Response(NO_IMAGE, mimetype="image/svg+xml")
        answer.headers["Cache-Control"] = "private, no-cache"
        return answer


@blueprint.post("/quarantine/retry")
@requires_scope(Scope.ADMIN)
def retry_quarantined() -> BaseResponse:
    """Try the product of the form, or all, again."""
    return _do(quarantined.retry, "retry", images=True)


@blueprint.post("/quarantine/discard")
@requires_scope(Scope.ADMIN)
def discard_quarantined() -> BaseResponse:
    """Remove the product of the form, or all, from the catalogue."""
    return _do(quarantined.discard, "discard", images=False)


def _do(
    work: Callable[[Database, Sequence[Quarantined]], list[str]], done: str, *, images: bool
) -> BaseResponse:
    skus = None if is_checked("all") else request.form.getlist("sku")
    with services().db.read() as session:
        rows, _ = quarantined.choose(session, skus, images=images)
    worked_on = work(services().db, rows)
    services().notify()
    return end_action(VIEW, done, len(worked_on))


def _after_id() -> int:
    """Return the product after which the page begins; what an action has said may stand beside."""
    return QueryReader.of_request().cursor(CURSOR)

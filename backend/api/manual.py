"""The manual, as `make docs` builds it: a folder of static pages, served under /manual."""

from __future__ import annotations

import base64
import hashlib
import mimetypes
import re
from pathlib import Path
from typing import Final

from flask import Blueprint, Response, current_app, request
from werkzeug.security import safe_join

from backend.api.conditional import GZIPPED
from backend.api.context import services
from backend.api.problems import RequestError
from backend.api.scopes import PUBLIC, requires_scope

FIRST_PAGE: Final = "index.html"
POLICY: Final = (
    "default-src 'none'; script-src 'self'{hashes}; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data:; font-src 'self'; connect-src 'self'; worker-src 'self'; "
    "base-uri 'self'; form-action 'self'; frame-ancestors 'self'"
)
"""What a page may load: nothing of another host, and no script that was not built with it."""

_SCRIPT: Final = re.compile(rb"<script(?:\s[^>]*)?>(.+?)</script>", re.DOTALL)

pages = Blueprint("manual", __name__)


@pages.get("/manual/")
@pages.get("/manual/<path:place>")
@requires_scope(PUBLIC)
def get_page(place: str = FIRST_PAGE) -> Response:
    """Return one file of the built manual. Raises the 404 where there is none."""
    folder = services().settings.manual_dir
    if not is_built():
        raise RequestError(
            404,
            "not-found",
            f"the manual is not built: {folder} has no {FIRST_PAGE}. `make docs` builds it, and "
            "LOOKALIKE_MANUAL_DIR names its folder",
        )
    found = safe_join(str(folder), place)
    if found is None or not Path(found).is_file():
        raise RequestError(404, "not-found", "the manual has no such page; /manual/ lists them")
    return _answer(Path(found))


def is_built() -> bool:
    """Tell whether this server has a manual."""
    return (services().settings.manual_dir / FIRST_PAGE).is_file()


def _answer(file: Path) -> Response:
    data = file.read_bytes()
    media_type = mimetypes.guess_type(file.name)[0] or "application/octet-stream"
    response = current_app.response_class(data, mimetype=media_type)
    response.headers["Cache-Control"] = "no-cache"
    response.headers["X-Content-Type-Options"] = "nosniff"
    if media_type == "text/html":
        response.headers["Content-Security-Policy"] = POLICY.format(hashes=_hashes(data))
    tag = hashlib.sha256(data).hexdigest()[:32]
    response.set_etag(tag)
    if any(request.if_none_match.contains_weak(it) for it in (tag, tag + GZIPPED)):
        response.status_code = 304
        response.set_data(b"")
    return response


def _hashes(page: bytes) -> str:
    """Return the digests of the scripts inside a page, as its policy lists them."""
    scripts = dict.fromkeys(_SCRIPT.findall(page))
    digests = (base64.b64encode(hashlib.sha256(it).digest()).decode() for it in scripts)
    return "".join(f" 'sha256-{digest}'" for digest in digests)

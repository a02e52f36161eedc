"""Style sheets, scripts and icons: plain files below `static/`, served under their version.

The version is a digest of all of them, so that browsers keep them for a year, and a script that
imports another one by its relative address gets the one of the same version.
"""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Final

from flask import Blueprint, Response, abort, request, url_for

from backend.api.conditional import compress
from backend.api.scopes import PUBLIC, requires_scope
from backend.web.session import PAGES

FOLDER: Final = Path(__file__).parent / "static"
YEAR: Final = 365 * 86_400

TYPES: Final = MappingProxyType(
    {
        ".css": "text/css",
        ".js": "text/javascript",
        ".svg": "image/svg+xml",
        ".png": "image/png",
        ".webp": "image/webp",
    }
)

blueprint = Blueprint(f"{PAGES}static", __name__)


@blueprint.get("/static/<version>/<path:name>")
@requires_scope(PUBLIC)
def show_file(version: str, name: str) -> Response:
    """Answer with a file; one of another version is asked for again each time."""
    data = _files().get(name)
    if data is None:
        abort(404)
    response = Response(data, mimetype=TYPES[Path(name).suffix])
    response.set_etag(hashlib.sha256(data).hexdigest()[:32])
    kept = f"public, max-age={YEAR}, immutable" if version == version_of_files() else "no-cache"
    response.headers["Cache-Control"] = kept
    response.headers["X-Content-Type-Options"] = "nosniff"
    compress(response).make_conditional(request)
    return response


def url_of(name: str) -> str:
    """Return the address of a file; raises KeyError for one that is not there."""
    if name not in _files():
        raise KeyError(name)
    return url_for(f"{blueprint.name}.show_file", version=version_of_files(), name=name)


@cache
def version_of_files() -> str:
    """Return what stands for the content of all files."""
    whole = hashlib.sha256()
    for name, data in sorted(_files().items()):
        whole.update(f"{name}\n{len(data)}\n".encode() + data)
    return whole.hexdigest()[:12]


@cache
def _files() -> MappingProxyType[str, bytes]:
    """Return all files by their names. They are small, and stay in memory."""
    found = (path for path in sorted(FOLDER.rglob("*")) if path.suffix in TYPES)
    return MappingProxyType({str(it.relative_to(FOLDER)): it.read_bytes() for it in found})

"""Search by a photograph: dropped, pasted, chosen or shot, with a box around what is meant."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from flask import render_template, request
from werkzeug.datastructures import MultiDict

from backend.access.scope import Scope
from backend.api import similar_lists
from backend.api.context import filterable
from backend.api.problems import RequestError
from backend.api.schemas.image_query import read_box
from backend.api.schemas.query import QueryReader
from backend.api.scopes import requires_scope
from backend.search.query import Query
from backend.search.shaping import Shaping
from backend.web import asking, pages

MOST: Final = 24

LABELS: Final = {"long-sleeve": "Long sleeve", "t-shirt": "T-shirt", "other": "This part"}
"""What people call kinds of things in a photograph, where that is another word."""

blueprint = pages.blueprint("photo")


@blueprint.get("/photo")
@requires_scope(Scope.READ)
def show_form() -> str:
    """Show the place for a photograph."""
    return render_template("gallery/photo.html", found=None, parts=[])


@blueprint.post("/photo")
@requires_scope(Scope.READ)
def search() -> str:
    """Show what looks like the photograph, or like the part of it that `box` names."""
    file = request.files.get("image")
    data = file.read() if file else b""
    if not data:
        raise RequestError(422, "invalid-request", "image: choose a photograph first")
    box = request.form.get("box", "")
    reader = QueryReader(MultiDict({"box": box} if box else {}))
    region = read_box(reader)
    reader.finish()
    query = Query(limit=MOST, schema=filterable(), shaping=Shaping(group_by="group_id"))
    query = replace(query, box=region, explain=True)
    found = similar_lists.by_image(data, query, list(asking.SHOWN))
    parts = [
        {"box": part["box"], "label": LABELS.get(part["kind"], part["kind"].capitalize())}
        for part in found["meta"].get("regions", [])
    ]
    return render_template("gallery/photo.html", found=found, parts=parts)

"""The evaluation as one HTML page that needs nothing else: no script, no link, every picture in."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import jinja2

from backend.lab.evaluation.evaluating import Evidence
from backend.lab.evaluation.gallery import Gallery, OpenPicture
from backend.lab.evaluation.results import Evaluation

SHOWN: Final = 40
"""Categories that get a bar: beyond, they have hardly a query each."""


def write_report(
    path: Path, evaluation: Evaluation, evidence: Evidence, *, open_picture: OpenPicture
) -> None:
    """Write the page; missing folders are made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(render(evaluation, evidence, open_picture=open_picture), "utf-8")


def render(evaluation: Evaluation, evidence: Evidence, *, open_picture: OpenPicture) -> str:
    """Return the page. Pictures are those of the first embedder, judged by the first label."""
    labels = list(evaluation.distribution)
    gallery = Gallery(evidence, labels[0], open_picture)
    first = evidence.rankings[0]
    return (
        _environment()
        .get_template("report.html")
        .render(
            evaluation=evaluation,
            k=evaluation.options["k"],
            first=first.embedder,
            labels=labels,
            groups=list(evaluation.queries),
            shown=SHOWN,
            sheets=gallery.sheets(first),
            disputes=gallery.side_by_side(evidence.rankings),
        )
    )


def _environment() -> jinja2.Environment:
    loader = jinja2.FileSystemLoader(Path(__file__).parent / "templates")
    environment = jinja2.Environment(
        loader=loader,
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["told"] = told
    return environment


def told(by: str) -> str:
    """Say a label as a reader would: base_colour+article_type is base colour and article type."""
    return " and ".join(part.removeprefix("attributes.") for part in by.split("+")).replace(
        "_", " "
    )

"""The evaluation as one HTML file with all its images: no scripts, no links to other files."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import jinja2

from backend.embedders import short_name
from backend.lab.evaluation.evaluating import Evidence
from backend.lab.evaluation.example_queries import ExampleQueries
from backend.lab.evaluation.results import Evaluation
from backend.lab.types import OpenImage

SHOWN: Final = 40
"""Categories with a bar; smaller ones have hardly any queries."""


def write_report(
    path: Path, evaluation: Evaluation, evidence: Evidence, *, open_image: OpenImage
) -> None:
    """Write the page; create missing folders."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(render(evaluation, evidence, open_image=open_image), "utf-8")


def render(evaluation: Evaluation, evidence: Evidence, *, open_image: OpenImage) -> str:
    """Return the page. Its examples are of the first embedder, scored by the first label."""
    labels = list(evaluation.distribution)
    examples = ExampleQueries(evidence, labels[0], open_image)
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
            sections=examples.sections(first),
            disagreements=examples.disagreements(evidence.rankings),
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
    environment.filters["label_text"] = label_text
    environment.filters["short_name"] = short_name
    return environment


def label_text(by: str) -> str:
    """Return a label for readers: base_colour+article_type is base colour and article type."""
    return " and ".join(part.removeprefix("attributes.") for part in by.split("+")).replace(
        "_", " "
    )

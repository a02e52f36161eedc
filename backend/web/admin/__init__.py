"""The operator's page: the state of the installation, and an operator's actions.

`sections` has the blueprint and what its pages share; `overview` is the first page. Views call the
functions that the REST resources call. Reading order: `sections`, `wellbeing`, `overview`, then any
other page.
"""

from __future__ import annotations

from backend.web.admin import (
    evaluation_page,
    feed_edits,
    feed_pages,
    generation_pages,
    job_pages,
    overview,
    quarantine_pages,
    rule_edits,
    rule_pages,
    search_page,
)
from backend.web.admin.sections import blueprint

__all__ = [
    "blueprint",
    "evaluation_page",
    "feed_edits",
    "feed_pages",
    "generation_pages",
    "job_pages",
    "overview",
    "quarantine_pages",
    "rule_edits",
    "rule_pages",
    "search_page",
]

"""The texts of the pages that are added to those in docs/."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from manual import (
    reference_api,
    reference_cli,
    reference_metrics,
    reference_problems,
    reference_settings,
)
from manual.described import describe_empty_shop
from manual.places import COPIED, ROOT

REFERENCE: Final = """\
# Reference

These pages are generated from the code of this release, so they are complete.

| page | what it lists |
|---|---|
| [Settings](settings.md) | every environment variable, its values and its default |
| [Command line](cli.md) | every command and option of `lookalike` |
| [Operations](operations.md) | every operation of the REST API, with its parameters and answers |
| [Problem codes](problems.md) | every `code` of an error, and the operations that answer it |
| [Metrics](metrics.md) | every metric that Prometheus reads |

Two pages are written by hand: [the API in general](../api.md) and [errors](../errors.md).
"""
LESS_OFTEN_WANTED: Final = "---\nsearch:\n  boost: 0.5\n---\n"
"""Puts the pages about the project behind those for users, in the results of the search."""

PROJECT: Final = """\
# The project

For people who change the code, or want to know why it is as it is.

"""


def all_added() -> Mapping[str, str]:
    """Return the text of each page that is added, by its place in the manual."""
    shop = describe_empty_shop()
    return {
        "reference/index.md": REFERENCE,
        "reference/settings.md": reference_settings.page(),
        "reference/cli.md": reference_cli.page(),
        "reference/operations.md": reference_api.page(shop.document),
        "reference/problems.md": reference_problems.page(shop.document),
        "reference/metrics.md": reference_metrics.page(shop.metrics),
        "project/index.md": PROJECT + _list_of_copies(),
    } | {place: (ROOT / name).read_text(encoding="utf-8") for name, (place, _) in COPIED.items()}


def _list_of_copies() -> str:
    return "".join(
        f"- [{title}]({place.removeprefix('project/')})\n" for place, title in COPIED.values()
    )

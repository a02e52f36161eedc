"""Links between files of the repository become links between pages."""

from __future__ import annotations

import pytest

from manual import links, navigation, tables


@pytest.mark.parametrize(
    ("place", "written", "built"),
    [
        ("feeds.md", "[Images](images.md#a)", "[Images](images.md#a)"),
        ("feeds.md", "[map](../ARCHITECTURE.md)", "[map](project/architecture.md)"),
        ("feeds.md", "[conf](../deploy/nginx/lookalike.conf)", "conf"),
        ("feeds.md", "[settings](reference/settings.md)", "[settings](reference/settings.md)"),
        ("feeds.md", "[gone](gone.md)", "[gone](gone.md)"),
        ("feeds.md", "[web](https://example.com)", "[web](https://example.com)"),
        ("tutorials/compose.md", "[deploy](../deploying.md)", "[deploy](../deploying.md)"),
        ("project/architecture.md", "[feeds](docs/feeds.md)", "[feeds](../feeds.md)"),
        ("project/tests.md", "[why](../DECISIONS.md#x)", "[why](decisions.md#x)"),
        ("project/decisions.md", "[start](README.md)", "[start](../index.md)"),
    ],
)
def test_a_link_leads_to_the_same_page(place: str, written: str, built: str) -> None:
    assert links.rewrite(written, place).strip() == built


def test_code_stays_as_it_is() -> None:
    text = "```\n[map](../ARCHITECTURE.md)\n- a\n```\n"
    assert links.rewrite(text, "feeds.md") == text


def test_a_list_gets_an_empty_line_above() -> None:
    assert links.rewrite("Two:\n- a\n- b", "feeds.md") == "Two:\n\n- a\n- b\n"
    assert links.rewrite("- a\n  more\n- b", "feeds.md") == "- a\n  more\n- b\n"


def test_every_page_is_listed_once_and_those_of_nobody_under_more() -> None:
    nav = [{"Start": ["index.md"]}, {"Reference": ["reference/index.md"]}]
    pages = ["reference/index.md", "reference/cli.md", "index.md", "new.md"]
    titles = {"reference/index.md": "Reference", "reference/cli.md": "Command line"}
    assert navigation.complete(nav, pages, titles) == [
        {"Start": ["index.md"]},
        {"Reference": ["reference/index.md", {"Command line": "reference/cli.md"}]},
        {"More": ["new.md"]},
    ]


def test_texts_in_tables_stay_texts() -> None:
    assert tables.row("`a|<b>`", "c|<d>\n e") == "| `a\\|<b>` | c\\|&lt;d> e |"

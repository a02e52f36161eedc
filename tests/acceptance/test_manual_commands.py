"""A reader who types what quick start and tutorials say sees what they say."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from support.manual_commands import Terminal, fits, steps
from support.places import ROOT
from support.servers import free_port

from backend.catalogue.sample import unpack_sample

ON_THE_DEMO = ("quick-start", "tutorials/product-page", "tutorials/photo-search")
LAST_ON_THE_DEMO = "tutorials/second-embedder"
ON_THEIR_OWN = ("tutorials/your-catalogue", "tutorials/google-feed", "tutorials/shopify")

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400), pytest.mark.usefixtures("usual_logs")]


@pytest.fixture
def terminal() -> Iterator[Terminal]:
    """A terminal in a folder with a short name, as tables of 80 columns cut long ones."""
    with TemporaryDirectory() as folder:
        found = Terminal(Path(folder), free_port())
        yield found
        found.close()


def test_the_demo_and_what_is_asked_of_it_print_what_the_manual_says(terminal: Terminal) -> None:
    """The pages follow each other: all begin with the server of the quick start."""
    for page in (*ON_THE_DEMO, LAST_ON_THE_DEMO):
        follow(page, terminal)


@pytest.mark.parametrize("page", ON_THEIR_OWN)
def test_a_tutorial_with_a_shop_of_its_own_prints_what_it_says(
    page: str, terminal: Terminal
) -> None:
    unpack_sample(terminal.folder / "demo" / "catalogue")
    follow(page, terminal)


def follow(page: str, terminal: Terminal) -> None:
    found = list(steps(ROOT / "docs" / f"{page}.md"))
    assert len(found) > 4
    for step in found:
        printed = terminal.run(step.command)
        assert fits(step.printed, printed), f"{page}: $ {step.command}\n{printed}"

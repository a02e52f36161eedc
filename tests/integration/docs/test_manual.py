"""The manual is built without a broken link, and asks no other host for anything."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from functools import partial
from html.parser import HTMLParser
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from mkdocs.commands.build import build
from mkdocs.config import load_config
from support.browser import DESKTOP, PHONE, chromium, visit
from support.places import ROOT

from backend.settings import Settings

pytestmark = pytest.mark.slow  # the build takes ten seconds

LOADED = {"script": "src", "img": "src", "source": "src", "iframe": "src", "link": "href"}
PAGES = [
    "index.html",
    "quick-start.html",
    "tutorials/google-feed.html",
    "deploying.html",
    *(
        f"reference/{name}.html"
        for name in ("settings", "cli", "operations", "problems", "metrics")
    ),
]
READ = ("quick-start.html", "deploying.html", "concepts/embedding.html", "reference/problems.html")
"""Pages of each kind: steps, long tables, drawings, and what is generated."""


class Page(HTMLParser):
    """What a page loads by itself, the words that it shows, and its links."""

    def __init__(self, file: Path) -> None:
        super().__init__()
        self.loads: list[str] = []
        self.words: list[str] = []
        self.feed(file.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        if tag in LOADED and values.get("rel") not in ("canonical", "next", "prev"):
            self.loads.append(values.get(LOADED[tag]) or "")

    def handle_data(self, data: str) -> None:
        self.words.append(data)


@pytest.fixture(scope="module")
def manual(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built manual. The build is strict: a warning, such as a broken link, ends it."""
    folder = tmp_path_factory.mktemp("manual")
    build(load_config(str(ROOT / "docs" / "site" / "mkdocs.yml"), site_dir=str(folder)))
    return folder


def test_every_kind_of_page_is_built(manual: Path) -> None:
    assert not [name for name in PAGES if not (manual / name).is_file()]
    documents = {path.stem for path in (ROOT / "docs").glob("*.md")}
    assert documents == {path.stem for path in manual.glob("*.html")} - {"404"}


def test_a_page_loads_nothing_from_another_host(manual: Path) -> None:
    foreign = {
        (file.name, place)
        for file in manual.rglob("*.html")
        for place in Page(file).loads
        if re.match(r"(\w+:)?//", place) and not place.startswith("data:")
    }
    assert not foreign
    for sheet in manual.rglob("*.css"):
        assert not re.findall(r"url\(['\"]?(?:https?:)?//", sheet.read_text(encoding="utf-8"))


def test_the_reference_names_every_setting(manual: Path) -> None:
    words = " ".join(Page(manual / "reference" / "settings.html").words)
    assert "LOOKALIKE_MANUAL_DIR" in words
    assert "Former name: LOOKALIKE_KNOCK_SECONDS" in " ".join(words.split())
    assert len(set(re.findall(r"LOOKALIKE_\w+", words))) >= len(Settings.model_fields) - 4


def test_the_reference_of_metrics_has_the_labels_of_those_without_a_sample(manual: Path) -> None:
    words = " ".join(Page(manual / "reference" / "metrics.html").words)
    assert {"http_route", "filter_shape", "decision", "reason"} <= set(re.findall(r"\w+", words))


def test_a_drawing_is_a_part_of_its_page_and_takes_its_colours(manual: Path) -> None:
    page = (manual / "concepts" / "embedding.html").read_text(encoding="utf-8")
    (figure,) = re.findall(r"<figure>.*?</figure>", page, re.DOTALL)
    assert 'role="img" aria-label="An image goes through an embedder' in figure
    assert "<style>" not in figure
    sheet = (manual / "assets" / "manual.css").read_text(encoding="utf-8")
    assert set(re.findall(r'class="(fig-[\w-]+)"', figure)) <= set(
        re.findall(r"\.(fig-[\w-]+)", sheet)
    )


# --- in a browser --------------------------------------------------------------------------------


class Quiet(SimpleHTTPRequestHandler):
    """Serves a folder, without a line for each request."""

    def log_message(self, *_: Any) -> None:
        """Write nothing."""


@pytest.fixture(scope="module")
def address(manual: Path) -> Iterator[str]:
    """Where the manual is served."""
    handler = partial(Quiet, directory=str(manual))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.mark.parametrize("screen", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_pages_can_be_used_by_everybody_and_fit_their_screen(
    screen: dict[str, Any], address: str
) -> None:
    with chromium() as browser, visit(browser, address, **screen) as reader:
        for page in READ:
            reader.go(f"/{page}")
            assert (page, reader.violations(), reader.is_too_wide) == (page, [], False)

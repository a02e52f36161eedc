"""The manual is built without a broken link, asks no other host for anything, and is served."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

import pytest
from flask.testing import FlaskClient
from mkdocs.commands.build import build
from mkdocs.config import load_config
from support.places import ROOT
from support.shop import PROBLEM, Shop

from backend.settings import Settings

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


# --- as it is served -----------------------------------------------------------------------------


@pytest.fixture
def served(manual: Path, settings: Settings) -> Iterator[FlaskClient]:
    shop = Shop(settings.model_copy(update={"manual_dir": manual}))
    yield shop.client
    shop.close()


def test_the_server_shows_the_manual_and_its_policy_allows_its_own_scripts(
    served: FlaskClient, manual: Path
) -> None:
    assert served.get("/manual").location.endswith("/manual/")
    page = served.get("/manual/")
    assert page.mimetype == "text/html"
    assert page.data == (manual / "index.html").read_bytes()
    policy = page.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    scripts = re.findall(rb"<script>(.+?)</script>", page.data, re.DOTALL)
    assert scripts
    for script in scripts:
        digest = base64.b64encode(hashlib.sha256(script).digest()).decode()
        assert f"'sha256-{digest}'" in policy
    assert "unsafe" not in policy.partition("style-src")[0]


def test_a_browser_that_has_a_file_gets_no_second_copy(served: FlaskClient) -> None:
    for place in ("assets/manual.css", "search/search_index.json"):
        first = served.get(f"/manual/{place}", headers={"Accept-Encoding": "gzip"})
        assert first.status_code == 200
        again = served.get(
            f"/manual/{place}",
            headers={"If-None-Match": first.headers["ETag"], "Accept-Encoding": "gzip"},
        )
        assert (again.status_code, again.data) == (304, b"")


@pytest.mark.parametrize("place", ["nothing.html", "../mkdocs.yml", "%2e%2e/secret", "assets"])
def test_what_is_no_file_of_the_manual_is_not_found(
    served: FlaskClient, manual: Path, place: str
) -> None:
    (manual.parent / "secret").write_text("outside")
    answer = served.get(f"/manual/{place}")
    assert (answer.status_code, answer.mimetype) == (404, PROBLEM)


def test_without_a_built_manual_the_answer_says_how_to_build_it(
    settings: Settings, tmp_path: Path
) -> None:
    shop = Shop(settings.model_copy(update={"manual_dir": tmp_path / "none"}))
    answer = shop.client.get("/manual/")
    assert (answer.status_code, answer.mimetype) == (404, PROBLEM)
    assert "make docs" in answer.json["detail"]
    shop.close()

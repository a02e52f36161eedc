"""The server shows the built manual, and says how to build it where it is missing."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from flask.testing import FlaskClient
from support.places import ROOT
from support.shop import PROBLEM, Shop

from backend.settings import Settings

SCRIPT = "var theme = 'dark'"
FILES = {
    "index.html": f"<title>Manual</title><script>{SCRIPT}</script><script src=a.js></script>",
    "assets/manual.css": "p { color: red }",
    "search/search_index.json": '{"docs": [' + ", ".join(['"text"'] * 300) + "]}",
}


@pytest.fixture
def manual(tmp_path: Path) -> Path:
    """The folder of a small manual."""
    for name, text in FILES.items():
        (tmp_path / "manual" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "manual" / name).write_text(text)
    return tmp_path / "manual"


@pytest.fixture
def served(manual: Path, settings: Settings) -> Iterator[FlaskClient]:
    with Shop(settings.model_copy(update={"manual_dir": manual})) as shop:
        yield shop.client


def test_the_server_shows_the_manual_and_its_policy_allows_its_own_scripts(
    served: FlaskClient, manual: Path
) -> None:
    assert served.get("/manual").location.endswith("/manual/")
    page = served.get("/manual/")
    assert page.mimetype == "text/html"
    assert page.data == (manual / "index.html").read_bytes()
    policy = page.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    digest = base64.b64encode(hashlib.sha256(SCRIPT.encode()).digest()).decode()
    assert f"script-src 'self' 'sha256-{digest}';" in policy
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


def test_what_the_readme_asks_by_curl_is_an_operation(client: FlaskClient) -> None:
    paths = client.get("/openapi.json").json["paths"]
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    asked = re.findall(r"^curl '?localhost:8000([^'?\s]+)(.*)$", text, re.MULTILINE)
    assert len(asked) >= 2
    for path, options in asked:
        method = "post" if "--data" in options else "get"
        known = [it for it in paths if re.fullmatch(re.sub(r"\{\w+\}", "[^/]+", it), path)]
        assert any(method in paths[it] for it in known), path

"""The parts that are found on a photograph, in a real browser: framed, and compared by a click."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image, ImageDraw
from playwright.sync_api import expect
from support.browser import DESKTOP, PHONE, Visitor, chromium, visit
from support.http_server import http_server
from support.shop import Shop

from backend.api import create_app
from backend.catalogue.import_run import import_catalogue
from backend.catalogue.sample import unpack_sample
from backend.settings import read_settings
from backend.web import register_web

pytestmark = pytest.mark.slow

SIZES = {"desktop": DESKTOP, "phone": PHONE}
SHIRT = [(0.3, 0), (0.7, 0), (1, 0.3), (0.8, 0.4), (0.8, 1), (0.2, 1), (0.2, 0.4), (0, 0.3)]


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server of a few products by the default embedder, which finds parts."""
    catalogue = tmp_path_factory.mktemp("sample")
    unpack_sample(catalogue, products=8)
    settings = read_settings(
        _env_file=None,
        data_dir=tmp_path_factory.mktemp("parts"),
        threads=32,
    )
    with Shop(settings, embedder="lookalike-blocks") as shop:
        import_catalogue(shop.db, shop.services.image_store, catalogue)
        shop.run("index")
        app = create_app(shop.services)
        register_web(app, shop.services)
        with http_server(app, threads=8) as server:
            yield f"http://127.0.0.1:{server.port}"


@pytest.fixture(params=["desktop", "phone"])
def visitor(request: pytest.FixtureRequest, base: str) -> Iterator[Visitor]:
    with chromium() as browser, visit(browser, base, **SIZES[request.param]) as found:
        yield found


@pytest.fixture(scope="module")
def photograph(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A shirt in the upper left of a plain ground."""
    path = tmp_path_factory.mktemp("photograph") / "photograph.png"
    image = Image.new("RGB", (336, 448), "#c8b090")
    points = [(10 + across * 160, 20 + down * 220) for across, down in SHIRT]
    ImageDraw.Draw(image).polygon(points, fill="#203060")
    image.save(path)
    return path


def test_a_part_that_was_found_is_framed_and_compared_alone(
    visitor: Visitor, photograph: Path
) -> None:
    page = visitor.page
    visitor.go("/photo")
    page.set_input_files("#file", photograph)
    parts = page.locator("#parts button")
    expect(parts.first).to_be_visible()
    expect(page.locator("#results .tile")).not_to_have_count(0)
    stage, frame = (page.locator(it).first.bounding_box() for it in ("#stage", "#parts > li"))
    assert stage is not None
    assert frame is not None
    assert frame["x"] - stage["x"] < 0.2 * stage["width"]  # where the shirt is
    assert frame["width"] < 0.75 * stage["width"]
    assert visitor.violations() == []

    with page.expect_response(lambda it: it.request.method == "POST") as answer:
        parts.first.click()
    assert answer.value.ok
    expect(page.locator("#box")).to_have_attribute("aria-label", re.compile("Compared part: from"))
    expect(parts.first).to_be_visible()  # another part can be taken

    page.locator("#box").focus()
    with page.expect_response(lambda it: it.request.method == "POST"):
        page.keyboard.press("Escape")
    expect(page.locator("#box")).to_have_attribute("aria-label", re.compile("the whole"))
    expect(parts.first).to_be_visible()

"""The operator's page in a real browser: an operator signs in, looks around, promotes, retries."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect
from support.browser import DESKTOP, PATIENCE_MS, PHONE, Visitor, chromium, visit
from support.http_server import http_server
from support.image_files import colour_image
from support.keys import make_key
from support.operator_page import PAGES
from support.shop import Shop

from backend import reindex
from backend.access.scope import Scope
from backend.api import create_app
from backend.images.store import digest_of
from backend.settings import read_settings
from backend.web import register_web

pytestmark = pytest.mark.slow

MOST_BYTES = 150_000
"""Of a page before its images, as they travel."""

BROKEN = b"no image"
COLOURS = ("red", "blue", "green", "white")


@dataclass
class Operated:
    """A server that needs keys, and a key of its operator."""

    shop: Shop
    base: str
    key: str


@pytest.fixture(scope="module", autouse=True)
def patience() -> Iterator[None]:
    """A busy machine is waited for."""
    expect.set_options(timeout=PATIENCE_MS)
    yield
    expect.set_options(timeout=5_000)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as found:
        yield found


@pytest.fixture(scope="module")
def operated(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Operated]:
    """A server with a second generation to promote, and a product in quarantine."""
    settings = read_settings(
        _env_file=None,
        data_dir=tmp_path_factory.mktemp("operated"),
        embedder="mean-colour",
        promote_samples=10,
        retry_seconds=0,
        poll_seconds=0.05,
    )
    with Shop(settings) as shop:
        for number in range(24):
            colour = COLOURS[number % 4]
            values = {"article_type": colour, "display_name": f"Shirt {number}"}
            shop.save(str(number), colour_image(colour, size=(40 + number, 60)), **values)
        shop.save("broken", BROKEN)
        shop.work()
        plan = reindex.ReindexPlan(embedder="mean-colour?grid=2", promote="manual")
        shop.follow(reindex.request(shop.db, plan).id)
        app = create_app(shop.services, locked=True)
        register_web(app, shop.services, locked=True)
        with http_server(app, threads=8) as server:
            base = f"http://127.0.0.1:{server.port}"
            yield Operated(shop, base, make_key(shop.services, Scope.ADMIN))


def sign_in(visitor: Visitor, key: str) -> None:
    visitor.go("/admin")
    visitor.page.get_by_label("key").fill(key)
    visitor.page.keyboard.press("Enter")
    expect(visitor.page.locator("#verdict")).to_be_visible()


def confirm(page: Page, summary: str, button: str) -> None:
    """Open a confirmation by the keyboard, and press its button."""
    page.locator("summary", has_text=summary).first.focus()
    page.keyboard.press("Enter")
    page.get_by_role("button", name=button).press("Enter")


@pytest.mark.parametrize(
    ("size", "scheme", "pages"),
    [(DESKTOP, "light", ("", "/generations", "/evaluation")), (PHONE, "dark", PAGES)],
    ids=["desktop", "phone"],
)
def test_pages_can_be_used_by_everybody_fit_their_screen_and_are_light(
    browser: Browser, operated: Operated, size: dict[str, Any], scheme: str, pages: Sequence[str]
) -> None:
    with visit(browser, operated.base, **size, color_scheme=scheme) as visitor:
        sign_in(visitor, operated.key)
        files: dict[str, int] = {}  # what the browser has kept since
        for page in pages:
            visitor.requests.clear()
            visitor.go(f"/admin{page}")
            assert visitor.violations() == [], page
            assert not visitor.is_too_wide, page
            for it in visitor.requests:
                if it.resource_type in ("document", "stylesheet", "script"):
                    size_of_it = it.sizes()["responseBodySize"]
                    files[it.url] = max(size_of_it, files.get(it.url, 0))
            assert sum(files.values()) < MOST_BYTES, "all pages together weigh less than one may"
        assert files[f"{operated.base}/admin"] > 0


def test_an_operator_promotes_a_generation_and_retries_a_product(
    browser: Browser, operated: Operated
) -> None:
    shop = operated.shop
    with visit(browser, operated.base, **DESKTOP) as visitor:
        page = visitor.page
        sign_in(visitor, operated.key)
        expect(page.locator("#verdict")).to_contain_text("one thing to look at")
        page.get_by_role("link", name="See the quarantine").click()
        expect(page.locator(".quarantined li")).to_have_count(1)
        expect(page.locator(".quarantined img")).to_have_js_property("complete", True)

        path = shop.services.image_store.path(digest_of(BROKEN))
        assert path
        path.write_bytes(colour_image("black", size=(50, 60)))
        page.get_by_role("button", name="Retry broken").click()
        expect(page.get_by_role("status")).to_contain_text("are tried again")
        shop.work()
        assert shop.quarantine() == {}

        page.get_by_role("link", name="Generations").click()
        confirm(page, "Promote…", "Promote generation 2")
        expect(page.get_by_role("status")).to_contain_text("measures the generation")
        page.get_by_role("link", name="Overview").click()
        expect(page.locator("#running ~ .running")).to_contain_text("promote")
        shop.work()
        assert shop.states() == {1: "standby", 2: "active"}
        # The page asks for itself again.
        expect(page.locator("#running ~ p").first).to_contain_text("None.")
        expect(page.locator("#running ~ .running")).to_have_count(0)
        expect(page.locator("body")).to_contain_text("Generation 2")


def test_an_operator_tries_a_rule_and_then_saves_it(browser: Browser, operated: Operated) -> None:
    with visit(browser, operated.base, **DESKTOP) as visitor:
        page = visitor.page
        sign_in(visitor, operated.key)
        page.get_by_role("link", name="Rules").click()
        page.get_by_role("link", name="New rule").click()
        page.get_by_label("Name, for people").fill("No red ones")
        page.get_by_label("What it does").select_option("hide")
        page.get_by_label("Filter, one condition a line").fill("/?article_type=red")
        page.get_by_role("button", name="Show what it would change").press("Enter")
        expect(page.get_by_role("heading", name="What it would change")).to_be_visible()
        assert visitor.violations() == []
        page.get_by_role("button", name="Save the rule").press("Enter")
        expect(page.get_by_role("status")).to_contain_text("is saved")
        page.get_by_role("link", name="Change No red ones").click()
        expect(page.get_by_label("Filter, one condition a line")).to_have_value("article_type=red")
        confirm(page, "Remove…", "Remove rule")
        expect(page.get_by_role("status")).to_contain_text("is removed")


def test_the_map_names_products_by_the_keyboard(browser: Browser, operated: Operated) -> None:
    with visit(browser, operated.base, **DESKTOP) as visitor:
        page = visitor.page
        sign_in(visitor, operated.key)
        visitor.go("/admin/evaluation")
        page.get_by_role("button", name="blue").press("Enter")
        page.locator("[data-map] > svg").press("ArrowRight")
        expect(page.locator("[data-under]")).to_contain_text("· blue")

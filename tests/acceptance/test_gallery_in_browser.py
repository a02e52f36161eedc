"""The gallery in a real browser, on the sample catalogue; phone and desktop."""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from playwright.sync_api import Browser, expect
from support.browser import DESKTOP, PHONE, Visitor, chromium, visit
from support.http_server import http_server
from support.image_files import encoded
from support.shop import Shop

from backend.api import create_app
from backend.catalogue.import_run import import_catalogue
from backend.catalogue.sample import unpack_sample
from backend.merchandising import placements
from backend.settings import read_settings
from backend.web import register_web

pytestmark = pytest.mark.slow

PRODUCTS = 100
LONG = "long-" + "0123456789" * 8
"""A sku whose name is one long word, too."""
SIZES = {"desktop": DESKTOP, "phone": PHONE}
MOST_BYTES = 150_000
"""Of a page before its images, as they travel."""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as found:
        yield found


@pytest.fixture(scope="module")
def catalogue(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sample")
    unpack_sample(folder, products=PRODUCTS)
    return folder


@pytest.fixture(scope="module")
def base(
    browser: Browser, catalogue: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    """A server of the sample catalogue."""
    data = tmp_path_factory.mktemp("gallery")
    settings = read_settings(
        _env_file=None,
        data_dir=data,
        embedder="mean-colour",
        decoders=2,
        threads=32,  # so that no image is refused, which a browser would report as an error
    )
    with Shop(settings) as shop:
        import_catalogue(shop.db, shop.services.image_store, catalogue)
        shop.client.put(f"/v1/products/{LONG}", json={"display_name": f"{'Dampfschiff' * 20} Bag"})
        shop.client.put(f"/v1/products/{LONG}/image", data=encoded(Image.new("RGB", (90, 120))))
        shop.run("index")
        shop.db.write(lambda session: placements.put(session, "short", {"limit": 3}))
        app = create_app(shop.services)
        register_web(app, shop.services)
        with http_server(app, threads=8) as server:
            yield f"http://127.0.0.1:{server.port}"


@pytest.fixture(params=["desktop", "phone"])
def visitor(request: pytest.FixtureRequest, browser: Browser, base: str) -> Iterator[Visitor]:
    with visit(browser, base, **SIZES[request.param]) as found:
        yield found


@pytest.fixture
def on_desktop(browser: Browser, base: str) -> Iterator[Visitor]:
    with visit(browser, base, **DESKTOP) as found:
        yield found


def tiles(visitor: Visitor, within: str) -> list[str]:
    """The addresses of the products in a part of a page."""
    links = visitor.page.locator(f"{within} .tile-link")
    return [it.split("?")[0] for it in links.evaluate_all("all => all.map(it => it.pathname)")]


@pytest.mark.parametrize(("size", "scheme"), [("desktop", "light"), ("phone", "dark")])
def test_pages_can_be_used_by_everybody_and_fit_their_screen(
    browser: Browser, base: str, size: str, scheme: str
) -> None:
    options: dict[str, Any] = {**SIZES[size], "color_scheme": scheme}
    with visit(browser, base, **options) as visitor:
        visitor.go("/?gender=Women&as=axe")
        first = tiles(visitor, "#grid")[0]
        for path in ("/?gender=Women&as=axe", f"{first}?as=axe", f"/products/{LONG}", "/photo"):
            visitor.go(path)
            assert visitor.violations() == [], path
            assert not visitor.is_too_wide, path


def test_a_visitor_browses_filters_and_opens_a_product(visitor: Visitor) -> None:
    page = visitor.page
    visitor.go("/")
    page.locator("#more").click()
    expect(page.locator("#grid > li")).to_have_count(96)
    if page.locator("label[for=show-filters]").is_visible():
        page.locator("label[for=show-filters]").click()
    page.locator("#filters input[name=gender][value=Women]").check()
    expect(page).to_have_url(f"{page.url.split('?')[0]}?gender=Women")
    expect(page.locator(".chip")).to_have_count(2)
    women = tiles(visitor, "#grid")
    page.locator(".chip").first.click()
    expect(page.locator(".chip")).to_have_count(0)
    page.go_back()
    expect(page.locator(".chip")).to_have_count(2)
    assert tiles(visitor, "#grid") == women

    page.locator("#grid .tile-link").first.click()
    expect(page.locator("#similar .tile")).to_have_count(12)
    before = tiles(visitor, "#similar")
    page.get_by_label("Same type").check()
    expect(page).to_have_url(f"{page.url.split('?')[0]}?restrict=article_type")
    assert tiles(visitor, "#similar") != before
    page.locator(".why summary").first.click()
    expect(page.locator(".why[open] meter").first).to_be_visible()


def test_the_list_of_a_product_is_shaped_and_can_be_shared(on_desktop: Visitor) -> None:
    page = on_desktop.page
    on_desktop.go("/?base_colour=Black")
    page.locator("#grid .tile-link").first.click()
    expect(page.locator("#similar .tile")).to_have_count(12)
    before = tiles(on_desktop, "#similar")
    page.get_by_label("In stock").check()
    expect(page).to_have_url(re.compile("in_stock=true"))
    with page.expect_response(re.compile("diversity=1")):
        page.get_by_label("Diversity").fill("1")
    expect(page).to_have_url(re.compile("diversity=1"))
    diverse = tiles(on_desktop, "#similar")
    assert diverse != before
    page.get_by_label("Placement").select_option("short")
    expect(page.locator("#similar .tile")).to_have_count(12)  # the page asks for twelve
    expect(page.locator(".request pre")).to_contain_text("placement=short")
    shared = page.url
    on_desktop.go("/")
    page.goto(shared)
    assert page.get_by_label("In stock").is_checked()
    assert page.get_by_label("Diversity").input_value() == "1"
    assert page.get_by_label("Placement").input_value() == "short"


def test_who_wants_no_motion_sees_none(browser: Browser, base: str) -> None:
    with visit(browser, base, **DESKTOP, reduced_motion="reduce") as visitor:
        visitor.go("/")
        moving = visitor.page.evaluate(
            """() => [...document.querySelectorAll("*")].filter((it) => {
                const style = getComputedStyle(it);
                return style.transitionDuration !== "0s" || style.animationName !== "none";
            }).length"""
        )
        visitor.page.locator(".tile-link").first.hover()
        grown = visitor.page.locator(".tile-link img").first.evaluate(
            "it => getComputedStyle(it).transform"
        )
    assert (moving, grown) == (0, "none")


def test_the_pages_work_without_a_mouse(on_desktop: Visitor) -> None:
    page = on_desktop.page
    on_desktop.go("/")
    page.keyboard.press("Tab")
    expect(page.locator(".skip")).to_be_focused()
    page.keyboard.press("Enter")
    page.locator("#filters input[name=gender][value=Men]").focus()
    page.keyboard.press("Space")
    expect(page.locator(".chip")).to_have_count(2)
    expect(page.locator("#filters input[name=gender][value=Men]")).to_be_focused()
    expect(page.locator("#said")).to_contain_text("products are shown")
    page.locator("#grid .tile-link").first.focus()
    page.keyboard.press("Enter")
    expect(page.locator("#similar-title")).to_be_visible()


def test_a_photograph_is_searched_by_and_a_box_drawn_on_it(
    visitor: Visitor, catalogue: Path
) -> None:
    page = visitor.page
    image = sorted((catalogue / "images").iterdir())[0]
    visitor.go("/photo")
    page.set_input_files("#file", image)
    expect(page.locator("#results .tile")).not_to_have_count(0)
    assert tiles(visitor, "#results")[0] == f"/products/{image.stem}"

    before = len([it for it in visitor.requests if it.method == "POST"])
    page.locator("#stage").scroll_into_view_if_needed()
    area = page.locator("#stage").bounding_box()
    assert area is not None
    page.mouse.move(area["x"] + 0.1 * area["width"], area["y"] + 0.1 * area["height"])
    page.mouse.down()
    page.mouse.move(area["x"] + 0.3 * area["width"], area["y"] + 0.5 * area["height"], steps=3)
    with page.expect_response(lambda it: it.request.method == "POST") as answer:
        page.mouse.up()
    assert answer.value.ok
    asked = [it for it in visitor.requests if it.method == "POST"][before:]
    assert len(asked) == 1
    expect(page.locator("#box")).to_have_attribute(
        "aria-label", re.compile("from 10 to 30 percent")
    )

    page.locator("#box").focus()
    with page.expect_response(lambda it: it.request.method == "POST"):
        page.keyboard.press("Escape")
    expect(page.locator("#box")).to_have_attribute("aria-label", re.compile("the whole photograph"))
    expect(page.locator("#results .tile-link").first).to_have_attribute(
        "href", f"/products/{image.stem}"
    )


@pytest.mark.parametrize("way", ["drop", "paste"])
def test_a_photograph_that_is_dropped_or_pasted_on_the_grid_is_searched_by(
    on_desktop: Visitor, catalogue: Path, way: str
) -> None:
    page = on_desktop.page
    image = sorted((catalogue / "images").iterdir())[1]
    on_desktop.go("/")
    page.evaluate(
        """async ([text, type, way]) => {
            const bytes = Uint8Array.from(atob(text), (it) => it.charCodeAt(0));
            const data = new DataTransfer();
            data.items.add(new File([bytes], "photo.jpg", { type }));
            const options = { bubbles: true, cancelable: true };
            const event = way === "drop"
                ? new DragEvent("drop", { ...options, dataTransfer: data })
                : new ClipboardEvent("paste", { ...options, clipboardData: data });
            document.body.dispatchEvent(event);
        }""",
        [b64encode(image.read_bytes()).decode(), "image/jpeg", way],
    )
    expect(page).to_have_url(f"{page.url.rstrip('/')}/photo")
    expect(page.locator("#results .tile-link").first).to_have_attribute(
        "href", f"/products/{image.stem}"
    )
    page.go_back()
    expect(page.locator("#grid > li")).to_have_count(48)


def test_what_a_shopper_does_changes_the_recommendations(on_desktop: Visitor) -> None:
    page = on_desktop.page
    on_desktop.go("/")
    page.locator("#filters input[name=gender][value=Women]").check()
    expect(page.locator(".chip")).to_have_count(2)
    page.get_by_text("Shop as …").press("Enter")
    page.get_by_label("Name of the shopper").fill("bea")
    page.keyboard.press("Escape")
    expect(page.get_by_label("Name of the shopper")).to_be_hidden()
    page.get_by_text("Shop as …").press("Enter")
    page.get_by_role("button", name="Shop", exact=True).click()
    expect(page.get_by_text("Nothing is known of bea yet")).to_be_visible()
    expect(page.locator(".chip")).to_have_count(2)  # the filter is kept
    before = tiles(on_desktop, "#picked")

    page.locator("#grid .tile-link").first.click()
    expect(page.get_by_text("From what bea did lately")).to_be_visible()
    viewed = tiles(on_desktop, "#picked")
    assert viewed != before
    with page.expect_response(lambda it: "/picked" in it.url):
        page.get_by_role("button", name="Put in the cart").click()
    expect(page.locator("#said")).to_contain_text("The recommendations have changed")


def test_a_page_is_light_and_its_images_come_when_they_are_seen(on_desktop: Visitor) -> None:
    sizes: dict[str, int] = {}

    def note(response: Any) -> None:
        if "/thumbnails/" not in response.url:
            sizes[response.url] = response.request.sizes()["responseBodySize"]

    on_desktop.page.on("requestfinished", lambda it: note(it.response()))
    on_desktop.go("/")
    images = [it for it in on_desktop.requests if "/thumbnails/" in it.url]

    assert len(sizes) >= 7
    assert 10_000 < sum(sizes.values()) < MOST_BYTES
    assert 0 < len(images) < 48
    print(f"{sum(sizes.values())} bytes in {len(sizes)} files before {len(images)} images")

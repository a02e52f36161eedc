"""The gallery by a client without scripts: grid, filters, products, photographs, shoppers."""

from __future__ import annotations

import re
from html import unescape
from io import BytesIO
from typing import Any

import pytest
from flask.testing import FlaskClient
from PIL import Image
from sqlalchemy import select
from support.image_files import colour_image
from support.keys import make_key
from support.pages import HTML, link_of, pages_of, part, read, skus_in, token_in
from support.rows import traced
from support.shop import PROBLEM, Shop, stock

from backend.access.scope import Scope
from backend.database.models import Event
from backend.web.gallery import MOST
from backend.web.thumbnails import SIDES, Thumbnails

REDS = ["0001", "0002", "0003"]


@pytest.fixture
def browser(wardrobe: Shop) -> FlaskClient:
    return pages_of(wardrobe)


def counts(page: str, field: str) -> dict[str, int]:
    """How many products each value of a field has beside the grid."""
    found = re.findall(rf'name="{field}" value="([^"]*)".*?class="count">([\d,]+)<', page)
    return {unescape(value): int(count) for value, count in found}


def test_the_grid_shows_all_products_and_the_filters_their_counts(browser: FlaskClient) -> None:
    page = read(browser, "/")

    assert skus_in(page) == [*REDS, "0004", "0005"]
    assert counts(page, "gender") == {"Women": 3, "Men": 2}
    assert counts(page, "base_colour") == {"Red": 2, "Dark\\, red": 1, "Blue": 1}
    assert counts(page, "in_stock") == {"true": 4, "false": 1}


def test_counts_of_a_field_do_not_follow_its_own_choice(browser: FlaskClient) -> None:
    page = read(browser, "/?gender=Men&base_colour=Blue")

    assert skus_in(page) == ["0004"]
    assert counts(page, "gender") == {"Men": 1}
    assert counts(page, "base_colour") == {"Blue": 1, "Dark\\, red": 1}


def test_two_values_of_a_field_are_either_and_a_comma_belongs_to_its_value(
    browser: FlaskClient,
) -> None:
    page = read(browser, "/?base_colour=Blue&base_colour=Dark%5C%2C+red")

    assert skus_in(page) == ["0003", "0004"]
    assert len(re.findall(r'value="[^"]*" checked', page)) == 2


def test_each_filter_that_is_on_can_be_taken_off(browser: FlaskClient) -> None:
    page = read(browser, "/?gender=Women&base_colour=Red&price_gte=15&q=shirt")
    chips = re.findall(r'class="chip" href="([^"]+)">([^<]+)', page)
    left = {text.strip(): skus_in(read(browser, unescape(href))) for href, text in chips}

    assert skus_in(page) == ["0002"]
    assert left == {
        "Women": ["0002"],
        "Red": ["0002", "0005"],
        "Price: from 15": ["0001", "0002"],
    }


def test_one_of_the_values_between_commas_can_be_taken_off(browser: FlaskClient) -> None:
    page = read(browser, "/?base_colour=Blue,Dark%5C,%20red,Red&gender=Men")
    chips = re.findall(r'class="chip" href="([^"]+)">([^<]+)', page)
    left = {text.strip(): skus_in(read(browser, unescape(href))) for href, text in chips}

    assert left == {
        "Blue": ["0003"],
        "Dark, red": ["0004"],
        "Red": ["0003", "0004"],
        "Men": [*REDS, "0004"],
    }


def test_the_form_of_the_filters_keeps_what_it_has_no_box_for(browser: FlaskClient) -> None:
    page = read(browser, "/?price_gte=5&price_lt=50&base_colour=Red,Mauve&gender=Women&as=a")
    form = page[page.index('id="filters"') : page.index('class="no-script">Apply')]
    hidden = re.findall(r'type="hidden" name="([^"]+)" value="([^"]*)"', form)
    boxes = re.findall(r'name="([^"]+)" value="([^"]*)" checked', form)

    assert hidden == [("price_lt", "50"), ("base_colour", "Mauve"), ("as", "a")]
    assert re.search(r'name="price_gte" type="number"[^>]* value="5"', form)
    assert sorted(boxes) == [("base_colour", "Red"), ("gender", "Women")]


def test_a_range_of_prices_narrows_the_grid_and_says_how_many_there_are(
    browser: FlaskClient,
) -> None:
    page = read(browser, "/?price_gte=15&price_lte=&in_stock=true")

    assert skus_in(page) == ["0002", "0005"]
    assert ">2 products</h2>" in page
    assert skus_in(read(browser, link_of_chip(page, "Price"))) == ["0001", "0002", "0004", "0005"]
    assert skus_in(read(browser, "/?price_gte=15&price_lte=20")) == ["0002"]
    assert "No product passes these filters." in read(browser, "/?price_gte=1e9")


def link_of_chip(page: str, text: str) -> str:
    """The address of the page without one part of its filter."""
    [found] = re.findall(rf'class="chip" href="([^"]+)">{text}', page)
    return unescape(found)


def test_a_catalogue_without_prices_has_no_range_of_them(shop: Shop) -> None:
    shop.save("a", colour_image("red"))
    shop.work()
    assert "price_gte" not in read(pages_of(shop), "/")


def test_names_are_found_by_words_in_any_case_and_signs_of_sql_are_letters(
    browser: FlaskClient,
) -> None:
    assert skus_in(read(browser, "/?q=SHIRT+0004")) == ["0004"]
    assert skus_in(read(browser, "/?q=0005")) == ["0005"]
    for nothing in ("%25", "_", "%27", "shirt%00%25"):
        assert skus_in(read(browser, f"/?q={nothing}")) == []


def test_a_long_catalogue_is_read_by_pages_that_begin_behind_the_last_one(shop: Shop) -> None:
    stock(shop.db, shop.generation, 2 * MOST + 5)
    browser = pages_of(shop)
    with traced(shop.db) as statements:
        first = read(browser, "/")
        second = read(browser, link_of(first, "more"))
        third = read(browser, link_of(second, "more"))

    shown = [*skus_in(first), *skus_in(second), *skus_in(third)]
    assert shown == [f"s{n}" for n in range(1, 2 * MOST + 6)]
    assert len(skus_in(first)) == MOST
    assert 'id="more"' not in third
    assert not [it for it in statements if "count(" in it.lower() and "FROM products" in it]
    assert all(it.endswith("OFFSET 0") for it in statements if "OFFSET" in it)


def test_what_a_shop_writes_is_text_and_no_markup(wardrobe: Shop, browser: FlaskClient) -> None:
    evil = "<script>alert(1)</script>"
    wardrobe.put(
        "evil", "#d02020", display_name=evil, brand='"><img src=x>', attributes={evil: evil}
    )
    wardrobe.work()
    for address in (
        "/",
        "/products/evil",
        "/products/0001",
        "/?q=%3Cscript%3E",
        "/?as=%3Cscript%3E",
    ):
        page = read(browser, address)
        assert not re.search(r"<script(?! type=\"module\" src=)", page)
        assert "<img src=x" not in page
    assert "&lt;script&gt;alert(1)" in read(browser, "/products/evil")


def test_text_of_a_shop_that_is_written_from_the_right_stands_so(
    wardrobe: Shop, browser: FlaskClient
) -> None:
    name, brand = "قميص أحمر (XL)", "أزياء"
    wardrobe.client.patch("/v1/products/0001", json={"display_name": name, "brand": brand})
    assert f'<span class="tile-name" dir="auto">{name}</span>' in read(browser, "/")
    shown = read(browser, "/products/0001")
    assert f'<h1 dir="auto">{name}</h1>' in shown
    assert f"<bdi>{brand}</bdi>" in shown


def test_the_page_of_a_product_shows_what_looks_like_it_and_why(browser: FlaskClient) -> None:
    page = read(browser, "/products/0001")
    similar = part(page, "similar")

    assert skus_in(similar)[:2] == ["0002", "0003"]
    assert "0001" not in skus_in(similar)
    assert re.search(r'class="score"[^>]*>(0\.9\d\d|1\.000)<', similar)
    assert "<meter" in similar
    assert "Women" in unescape(re.search(r"The same:</span> ([^<]+)", similar)[1])  # type: ignore[index]
    assert "GET /v1/products/0001/similar?limit=12&amp;group_by=group_id&amp;explain=true" in page


def test_an_attribute_that_says_what_a_field_says_is_shown_once(
    wardrobe: Shop, browser: FlaskClient
) -> None:
    attributes = {"brand": "Acme", "colour name": "Acme"}
    wardrobe.client.patch("/v1/products/0001", json={"brand": "Acme", "attributes": attributes})
    page = read(browser, "/products/0001")
    assert [len(re.findall(rf"<dt>{label}</dt>", page)) for label in ("Brand", "Colour name")] == [
        1,
        1,
    ]


def test_the_address_shapes_the_list_of_similar_products(browser: FlaskClient) -> None:
    def shown(query: str) -> list[str]:
        return skus_in(part(read(browser, f"/products/0001?{query}"), "similar"))

    assert "0003" not in shown("in_stock=true")
    assert set(shown("restrict=gender")) == {"0002", "0005"}
    assert shown("limit=1&placement=&diversity=0") == ["0002"]
    assert browser.get("/products/0001?nonsense=1", headers=HTML).status_code == 422


def test_variants_stand_for_each_other_unless_all_are_asked_for(
    wardrobe: Shop, browser: FlaskClient
) -> None:
    for sku in REDS[1:]:
        wardrobe.client.patch(f"/v1/products/{sku}", json={"group_id": "g"})
    wardrobe.work()
    grouped = part(read(browser, "/products/0001"), "similar")
    every = part(read(browser, "/products/0001?group_by=none"), "similar")

    assert [sku for sku in skus_in(grouped) if sku in REDS] == ["0002"]
    assert 'href="/?group_id=g">2 variants<' in grouped
    assert [sku for sku in skus_in(every) if sku in REDS] == ["0002", "0003"]


def test_skus_of_all_kinds_have_pages_and_thumbnails(wardrobe: Shop, browser: FlaskClient) -> None:
    for sku in ("a/b", "ä ö", "50%", "a?b"):
        quoted = sku.replace("%", "%25").replace("/", "%2F").replace("?", "%3F").replace(" ", "%20")
        wardrobe.put(quoted, "#d02020", display_name=f"named {sku}")
    page = read(browser, "/?q=named")
    assert len(skus_in(page)) == 4
    for href in re.findall(r'class="tile-link" href="([^"]+)"', page):
        assert "named" in read(browser, unescape(href))
    for source in re.findall(r'<img src="([^"]+)"', page):
        assert browser.get(unescape(source)).status_code == 200


def test_a_product_without_a_vector_says_why_it_has_no_list(
    wardrobe: Shop, browser: FlaskClient
) -> None:
    wardrobe.put("new", display_name="No image yet")
    page = read(browser, "/products/new")
    assert 'role="alert"' in part(page, "similar")
    assert "This product has no image" in page


def test_a_product_that_is_not_there_is_a_page(browser: FlaskClient) -> None:
    answer = browser.get("/products/nothing", headers=HTML)
    assert (answer.status_code, answer.mimetype) == (404, "text/html")


# --- thumbnails ------------------------------------------------------------------------------


def first_thumbnail(page: str) -> str:
    return unescape(re.findall(r'<img src="([^"]+)"', page)[0])


def test_a_thumbnail_has_its_size_and_is_asked_for_again_by_its_tag(
    wardrobe: Shop, browser: FlaskClient
) -> None:
    wardrobe.put("large", display_name="large")
    buffer = BytesIO()
    Image.linear_gradient("L").resize((900, 600)).convert("RGB").save(buffer, "PNG")
    wardrobe.put_image("large", buffer.getvalue())
    address = first_thumbnail(read(browser, "/?q=large"))
    answer = browser.get(address)
    image = Image.open(BytesIO(answer.data))
    again = browser.get(address, headers={"If-None-Match": answer.headers["ETag"]})
    unversioned = browser.get(address.partition("?")[0])

    assert (answer.mimetype, max(image.size)) == ("image/webp", SIDES["small"])
    assert "immutable" in answer.headers["Cache-Control"]
    assert (again.status_code, again.data) == (304, b"")
    assert "immutable" not in unversioned.headers["Cache-Control"]
    assert browser.get("/products/large/thumbnails/2/small").status_code == 404
    assert browser.get("/products/large/thumbnails/1/huge").mimetype == PROBLEM


def test_a_thumbnail_is_decoded_once_and_gone_with_its_product(
    wardrobe: Shop, browser: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    decoded: list[Any] = []
    decode = wardrobe.services.decoders.decode_one

    def decode_and_note(source: Any, **options: Any) -> Any:
        decoded.append(source)
        return decode(source, **options)

    wardrobe.put("gone", "#12ab34", display_name="gone")
    monkeypatch.setattr(wardrobe.services.decoders, "decode_one", decode_and_note)
    address = first_thumbnail(read(browser, "/?q=gone"))
    assert [browser.get(address).status_code for _ in range(2)] == [200, 200]
    assert len(decoded) == 1
    wardrobe.client.post("/v1/admin/purge", json={"skus": ["gone"]})
    wardrobe.client.delete("/v1/products/gone")
    assert browser.get(address).status_code == 404


def test_thumbnails_that_were_not_asked_for_longest_give_way() -> None:
    kept = Thumbnails(most_bytes=10)
    kept.put("a", "small", b"1234")
    kept.put("b", "small", b"1234")
    assert kept.get("a", "small")
    kept.put("c", "small", b"1234")
    kept.put("c", "small", b"12345")

    assert kept.get("a", "small") == b"1234"
    assert kept.get("b", "small") is None
    assert kept.get("c", "small") == b"12345"


# --- photographs -----------------------------------------------------------------------------


def photograph() -> bytes:
    """An image that is blue on the left and red on the right."""
    image = Image.new("RGB", (200, 100), "#2020d0")
    image.paste("#d02020", (100, 0, 200, 100))
    buffer = BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


def test_a_photograph_finds_products_and_a_box_says_which_part_is_meant(
    browser: FlaskClient,
) -> None:
    def shown(**form: str) -> str:
        file = {"image": (BytesIO(photograph()), "photo.png")}
        return skus_in(browser.post("/photo", data={**form, **file}, headers=HTML).text)[0]

    assert shown(box="0.0,0,0.5,1") == "0004"
    assert shown(box="0.5,0,1,1") in REDS


def test_what_is_no_photograph_is_said_on_a_page(browser: FlaskClient) -> None:
    for data in (b"", b"no image"):
        file = {"image": (BytesIO(data), "photo.png")}
        answer = browser.post("/photo", data=file, headers=HTML)
        assert answer.status_code in (415, 422)
        assert answer.mimetype == "text/html"
    wrong = {"image": (BytesIO(photograph()), "photo.png"), "box": "1,1,0,0"}
    assert browser.post("/photo", data=wrong, headers=HTML).status_code == 422


# --- as a shopper ----------------------------------------------------------------------------


def test_what_a_shopper_does_is_stored_and_changes_what_is_recommended(
    wardrobe: Shop, browser: FlaskClient
) -> None:
    before = part(read(browser, "/?as=anna"), "picked")
    data = {"kind": "cart", "sku": "0001", "as": "anna", "recommendation_id": "listed"}
    answer = browser.post("/deeds", data=data, headers=HTML)
    after = part(read(browser, "/?as=anna"), "picked")

    assert answer.location == "/products/0001?as=anna"
    with wardrobe.db.read() as session:
        stored = session.scalars(select(Event)).one()
    assert (stored.kind, stored.sku, stored.shopper) == ("cart", "0001", "anna")
    assert stored.recommendation == "listed"
    assert "Nothing is known of anna yet" in before
    assert "From what anna did lately" in after
    assert skus_in(after)[0] == "0002"


def test_every_link_of_a_page_keeps_the_shopper(browser: FlaskClient) -> None:
    page = read(browser, "/products/0001?as=anna+b")
    links = re.findall(r'class="tile-link" href="([^"]+)"', page)
    assert links
    assert all(link.endswith("as=anna+b") for link in links)


def test_deeds_that_nobody_can_do_are_refused(browser: FlaskClient) -> None:
    for wrong in ({"kind": "steal"}, {"as": ""}, {"sku": ""}):
        data = {"kind": "cart", "sku": "0001", "as": "anna", **wrong}
        assert browser.post("/deeds", data=data).status_code == 422


def test_with_keys_a_session_that_only_reads_stores_nothing(wardrobe: Shop) -> None:
    browser = pages_of(wardrobe, locked=True)
    browser.post("/sign-in", data={"key": make_key(wardrobe.services, Scope.READ)})
    page = read(browser, "/?as=anna")
    data = {"kind": "cart", "sku": "0001", "as": "anna", "csrf_token": token_in(page)}

    assert "Shopping as" not in page
    assert browser.post("/deeds", data=data).status_code == 403


def test_with_keys_a_photograph_needs_the_token_of_the_session(wardrobe: Shop) -> None:
    browser = pages_of(wardrobe, locked=True)
    browser.post("/sign-in", data={"key": make_key(wardrobe.services, Scope.READ)})
    token = token_in(read(browser, "/photo"))
    codes = [
        browser.post(
            "/photo",
            data={"image": (BytesIO(colour_image("#d02020")), "a.png")},
            headers={**HTML, **headers},
        ).status_code
        for headers in ({}, {"X-Csrf-Token": "0" * 64}, {"X-Csrf-Token": token})
    ]
    assert codes == [403, 403, 200]


def test_a_product_says_what_rules_have_done_to_it(wardrobe: Shop, browser: FlaskClient) -> None:
    rules = [
        {"action": "boost", "skus": ["0003"], "weight": 0.25},
        {"action": "pin", "skus": ["0005"]},
    ]
    made = [wardrobe.client.post("/v1/admin/rules", json=it).json for it in rules]
    similar = part(read(browser, "/products/0001"), "similar")
    for it in made:
        wardrobe.client.delete(f"/v1/admin/rules/{it['id']}")

    assert skus_in(similar)[0] == "0005"
    assert f"Pinned by rule {made[1]['id']}" in similar
    assert "+0.25" in similar

"""Products are checked, compared and written; only what changed is requested from the queue."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any

import pytest
from sqlalchemy import select
from support.rows import statements_of

from backend import queue
from backend.catalogue import products
from backend.catalogue.products import NO_IMAGE, Draft, ImageRef, Outcome, Saved, parse
from backend.database.engine import Database
from backend.database.models import ACTIVE, Generation, IndexEntry, Product
from backend.errors import InvalidFilter, InvalidProduct, UnknownProduct
from backend.filters import Condition

IMAGE = ImageRef(uri="file:///shop/1.jpg", digest="a" * 64, bytes=10, mtime_ns=1_000)
OTHER = ImageRef(uri="file:///shop/1.jpg", digest="b" * 64, bytes=11, mtime_ns=2_000)


@pytest.fixture
def catalogue(any_db: Database) -> Database:
    """A database with one generation, so that requests leave entries to look at."""
    any_db.write(
        lambda session: session.add(
            Generation(
                collection="g", embedder="mean-colour", fingerprint="f", size=3, state=ACTIVE
            )
        )
    )
    return any_db


def draft(sku: str = "1", image: ImageRef | None = IMAGE, **values: Any) -> Draft:
    return Draft(sku=sku, values=parse({"sku": sku, **values}).values, image=image)


def save(db: Database, *drafts: Draft, complete: bool = True) -> Saved:
    return db.write(
        lambda session: products.save(session, drafts, priority=queue.SINGLE, complete=complete)
    )


def stored(db: Database, sku: str = "1") -> Product:
    with db.read() as session:
        return products.get(session, sku)


def finish(db: Database) -> None:
    """Play the worker: everything that was asked for is embedded and indexed."""

    def work(session: Any) -> None:
        for entry in session.scalars(select(IndexEntry)):
            entry.embedded = entry.indexed = entry.wanted
            entry.due_at = None

    db.write(work)


def asked(db: Database) -> dict[str, str]:
    """What the queue holds: sku -> the stage that it waits for."""
    query = select(Product.sku, IndexEntry).join(Product, Product.id == IndexEntry.product_id)
    with db.read() as session:
        rows = session.execute(query).all()
    return {
        sku: "image" if entry.embedded < entry.wanted else "payload"
        for sku, entry in rows
        if entry.due_at is not None
    }


# --- parse ---------------------------------------------------------------------------------


def wrong(raw: dict[str, Any]) -> dict[str, str]:
    with pytest.raises(InvalidProduct) as raised:
        parse(raw)
    return {error["field"]: error["reason"] for error in raised.value.context["errors"]}


def test_a_product_is_normalised_by_the_check() -> None:
    parsed = parse(
        {
            "sku": "007",
            "display_name": "  Tie ",
            "season": " ",
            "gender": None,
            "price": 19.999,
            "year": 2012,
            "in_stock": False,
            "attributes": {"brand": "Ace", "sizes": ["S", 40], "eco": True, "old": None},
            "image_uri": "https://cdn.example/7.jpg",
        }
    )
    assert parsed.sku == "007"
    assert parsed.values == {
        "display_name": "Tie",
        "season": None,
        "gender": None,
        "price": 20.0,
        "year": 2012,
        "in_stock": False,
        "attributes": {"brand": "Ace", "sizes": ["S", 40], "eco": True, "old": None},
    }
    assert parsed.image == ImageRef(uri="https://cdn.example/7.jpg")


@pytest.mark.parametrize(
    "sku",
    [
        "a" * 128,
        "0001",
        "A.b_c:d-9",
        "AB 12",
        "AB/12",
        "../x",
        "Größe-42",
        "#77",
        "日本",
        "ö" * 128,
    ],
)
def test_a_sku_of_allowed_characters_is_kept_as_it_is(sku: str) -> None:
    assert parse({"sku": sku}).sku == sku


@pytest.mark.parametrize(
    "sku",
    [
        "",
        "a" * 129,
        " a",
        "a ",
        ".",
        "..",
        "a\0",
        "a\tb",
        "\N{REPLACEMENT CHARACTER}",
        "1\n",
        None,
        7,
    ],
)
def test_any_other_sku_is_refused(sku: object) -> None:
    assert "1 to 128" in wrong({"sku": sku})["sku"]


def test_a_missing_sku_is_refused() -> None:
    assert set(wrong({})) == {"sku"}


def test_all_wrong_fields_are_named_at_once_with_what_is_allowed() -> None:
    with pytest.raises(InvalidProduct, match="there is no such field") as raised:
        parse({"sku": "1", "colour": "Red", "year": "2012", "price": -1})
    errors = {error["field"]: error for error in raised.value.context["errors"]}
    assert set(errors) == {"colour", "year", "price"}
    assert "base_colour" in errors["colour"]["allowed"]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("display_name", 7),
        ("display_name", "a\0b"),
        ("display_name", "half \ud83d of a face"),
        ("display_name", "x" * 2001),
        ("gender", "x" * 256),
        ("year", 2012.0),
        ("year", True),
        ("year", 12),
        ("price", float("nan")),
        ("price", float("inf")),
        ("price", "9.99"),
        ("price", True),
        ("price", 1e10),
        ("in_stock", 1),
        ("in_stock", None),
        ("attributes", ["a"]),
        ("attributes", {"a": {"b": 1}}),
        ("attributes", {"a": [["b"]]}),
        ("attributes", {"a": [None]}),
        ("attributes", {"a": float("nan")}),
        ("attributes", {"a": 2**63}),
        ("attributes", {"a": "\0"}),
        ("attributes", {"\0": "a"}),
        ("attributes", {"": "a"}),
        ("attributes", {7: "a"}),
        ("attributes", {str(n): n for n in range(201)}),
        ("attributes", {"a": "x" * 40_000}),
        ("image_uri", "images/1.jpg"),
        ("image_uri", "ftp://host/1.jpg"),
        ("image_uri", "https://"),
        ("image_uri", "store://../../etc/passwd"),
    ],
)
def test_a_value_that_cannot_be_stored_is_refused(field: str, value: object) -> None:
    assert set(wrong({"sku": "1", field: value})) == {field}


# --- save ----------------------------------------------------------------------------------


def test_a_new_product_is_stored_and_its_image_requested(catalogue: Database) -> None:
    saved = save(catalogue, draft(display_name="Tie", price=12.34, attributes={"brand": "Ace"}))
    product = stored(catalogue)
    assert saved.outcomes == (Outcome.ADDED,)
    assert saved.ids == {"1": product.id}
    assert (product.display_name, product.price, product.in_stock) == ("Tie", 12.34, True)
    assert product.attributes == {"brand": "Ace"}
    assert product.image_digest == "a" * 64
    assert asked(catalogue) == {"1": "image"}


def test_saving_the_same_again_changes_and_requests_nothing(catalogue: Database) -> None:
    same = draft(display_name="Tie", price=0.1, year=2012, attributes={"n": 1.5, "l": ["a", True]})
    save(catalogue, same)
    finish(catalogue)
    before = stored(catalogue).updated_at
    with statements_of(catalogue) as statements:
        assert save(catalogue, same).outcomes == (Outcome.UNCHANGED,)
    assert asked(catalogue) == {}
    assert stored(catalogue).updated_at == before
    assert not [s for s in statements if s.startswith(("INSERT", "UPDATE"))]


def test_a_changed_price_requests_the_payload_only(catalogue: Database) -> None:
    save(catalogue, draft(price=1))
    finish(catalogue)
    assert save(catalogue, draft(price=2)).outcomes == (Outcome.CHANGED,)
    assert asked(catalogue) == {"1": "payload"}


def test_an_attribute_that_turns_from_one_to_true_has_changed(catalogue: Database) -> None:
    save(catalogue, draft(attributes={"eco": 1}))
    assert save(catalogue, draft(attributes={"eco": True})).outcomes == (Outcome.CHANGED,)
    assert stored(catalogue).attributes["eco"] is True


def test_attributes_in_another_order_have_not_changed(catalogue: Database) -> None:
    save(catalogue, draft(attributes={"a": 1, "b": 2}))
    assert save(catalogue, draft(attributes={"b": 2, "a": 1})).outcomes == (Outcome.UNCHANGED,)


def test_a_changed_image_requests_the_image(catalogue: Database) -> None:
    save(catalogue, draft())
    finish(catalogue)
    assert save(catalogue, draft(image=OTHER)).outcomes == (Outcome.CHANGED,)
    assert asked(catalogue) == {"1": "image"}
    assert stored(catalogue).image_digest == "b" * 64


def test_a_touched_image_is_noted_and_requests_nothing(catalogue: Database) -> None:
    save(catalogue, draft())
    finish(catalogue)
    before = stored(catalogue).updated_at
    touched = ImageRef(uri=IMAGE.uri, digest=IMAGE.digest, bytes=10, mtime_ns=9_999)
    assert save(catalogue, draft(image=touched)).outcomes == (Outcome.UNCHANGED,)
    assert asked(catalogue) == {}
    assert stored(catalogue).image_mtime_ns == 9_999
    assert stored(catalogue).updated_at == before


def test_an_image_that_moved_is_requested_so_that_a_quarantined_product_finds_it(
    catalogue: Database,
) -> None:
    save(catalogue, draft())
    finish(catalogue)
    moved = ImageRef(uri="file:///new/1.jpg", digest="a" * 64, bytes=10, mtime_ns=1_000)
    save(catalogue, draft(image=moved))
    assert asked(catalogue) == {"1": "image"}


def test_a_remote_image_has_changed_when_its_uri_has(catalogue: Database) -> None:
    def remote(path: str) -> Draft:
        return draft(image=ImageRef(uri=f"https://cdn.example/{path}"))

    save(catalogue, remote("1.jpg"))
    finish(catalogue)
    assert save(catalogue, remote("1.jpg")).outcomes == (Outcome.UNCHANGED,)
    assert save(catalogue, remote("2.jpg")).outcomes == (Outcome.CHANGED,)
    assert asked(catalogue) == {"1": "image"}


def test_a_draft_without_an_image_keeps_the_one_that_is_stored(catalogue: Database) -> None:
    save(catalogue, draft())
    assert save(catalogue, draft(image=None)).outcomes == (Outcome.UNCHANGED,)
    assert stored(catalogue).image_uri == IMAGE.uri


def test_a_product_read_and_written_back_is_unchanged(catalogue: Database) -> None:
    in_store = ImageRef(uri="store://" + "c" * 64, digest="c" * 64, bytes=10, mtime_ns=5)
    save(catalogue, draft("1"), draft("2", image=in_store))
    for sku in ("1", "2"):
        back = parse({"sku": sku, "image_uri": stored(catalogue, sku).image_uri})
        assert save(catalogue, back).outcomes == (Outcome.UNCHANGED,)
        assert stored(catalogue, sku).image_bytes == 10


def test_a_file_uri_from_outside_is_refused(catalogue: Database) -> None:
    outside = parse({"sku": "1", "image_uri": "file:///etc/passwd"})
    saved = save(catalogue, outside)
    assert saved.outcomes == (Outcome.REJECTED,)
    assert "file: URI" in saved.reasons[0]
    save(catalogue, draft())
    with pytest.raises(InvalidProduct) as raised:
        catalogue.write(lambda s: products.patch(s, "1", {"image_uri": "file:///x"}, priority=0))
    assert raised.value.context["errors"][0]["field"] == "image_uri"


def test_a_complete_draft_clears_what_it_does_not_name(catalogue: Database) -> None:
    save(catalogue, draft(display_name="Tie", price=1, in_stock=False, attributes={"a": 1}))
    save(catalogue, draft(gender="Men"))
    product = stored(catalogue)
    assert (product.display_name, product.price, product.in_stock) == (None, None, True)
    assert product.attributes == {}


def test_a_partial_draft_keeps_what_it_does_not_name_and_merges_attributes(
    catalogue: Database,
) -> None:
    save(catalogue, draft(display_name="Tie", in_stock=False, attributes={"a": 1, "b": 2}))
    save(catalogue, draft(price=3, attributes={"b": None, "c": 4}), complete=False)
    product = stored(catalogue)
    assert (product.display_name, product.price, product.in_stock) == ("Tie", 3, False)
    assert product.attributes == {"a": 1, "c": 4}


def test_products_that_change_in_different_fields_keep_all_others(catalogue: Database) -> None:
    save(catalogue, *(draft(sku, price=1.0, season="Fall") for sku in ("1", "2", "3", "4")))
    save(catalogue, draft("4", price=1.0, attributes={"lining": 1}))
    remove(catalogue, ["3"])
    save(
        catalogue,
        draft("1", price=2.0),
        draft("2", image=OTHER, season="Summer"),
        draft("3", brand="Nike"),
        draft("4", attributes={"lining": True}),
        complete=False,
    )
    first, second, third, fourth = (stored(catalogue, sku) for sku in ("1", "2", "3", "4"))
    assert (first.price, first.season, first.image_digest) == (2.0, "Fall", "a" * 64)
    assert (second.price, second.season, second.image_digest) == (1.0, "Summer", "b" * 64)
    assert (third.price, third.brand, third.removed_at) == (None, "Nike", None)
    assert (fourth.price, fourth.attributes["lining"]) == (1.0, True)
    assert isinstance(fourth.attributes["lining"], bool)


def test_of_two_drafts_with_one_sku_the_last_is_written(catalogue: Database) -> None:
    saved = save(catalogue, draft(price=1), draft("2"), draft(price=3))
    assert saved.outcomes == (Outcome.REJECTED, Outcome.ADDED, Outcome.ADDED)
    assert "again" in saved.reasons[0]
    assert stored(catalogue).price == 3


@pytest.mark.parametrize("complete", [True, False])
def test_a_removed_product_comes_back_as_the_same_row_and_blank(
    catalogue: Database, complete: bool
) -> None:
    before = draft(gender="Men", price=5, in_stock=False, attributes={"fit": "slim"})
    product_id = save(catalogue, before).ids["1"]
    began = stored(catalogue).created_at
    remove(catalogue, ["1"])
    finish(catalogue)
    saved = save(catalogue, draft(image=None, gender="Women"), complete=complete)
    assert saved.outcomes == (Outcome.ADDED,)
    found = stored(catalogue)
    assert (found.id, found.gender, found.price, found.in_stock) == (
        product_id,
        "Women",
        None,
        True,
    )
    assert (found.attributes, found.image_uri, found.image_digest) == ({}, None, None)
    assert found.created_at > began
    assert asked(catalogue) == {"1": "image"}


def test_an_image_that_is_named_again_is_looked_at_again(catalogue: Database) -> None:
    save(catalogue, draft(image=ImageRef(uri="https://images.example/1.png", digest="d" * 64)))
    remove(catalogue, ["1"])
    save(catalogue, draft(image=ImageRef(uri="https://images.example/1.png")))
    assert stored(catalogue).image_digest is None, "another image may be there by now"


def test_the_number_of_statements_does_not_depend_on_the_number_of_drafts(
    catalogue: Database,
) -> None:
    def statements_for(size: int, first: int) -> int:
        skus = range(first, first + size)
        save(catalogue, *(draft(str(n)) for n in skus if n % 3))
        mixed = [draft(str(n), OTHER if n % 3 == 1 else IMAGE, price=n) for n in skus]
        with statements_of(catalogue) as statements:
            saved = save(catalogue, *mixed)
        assert {*saved.outcomes} == {Outcome.ADDED, Outcome.CHANGED}
        return len(statements)

    assert statements_for(10, first=0) == statements_for(1000, first=5000) <= 9


def test_two_writers_of_the_same_new_products_store_each_once(catalogue: Database) -> None:
    drafts = [draft(str(n)) for n in range(200)]
    gate = threading.Barrier(2)
    results: list[Saved] = []

    def work(order: Sequence[Draft]) -> None:
        gate.wait()
        results.append(save(catalogue, *order))

    threads = [threading.Thread(target=work, args=(o,)) for o in (drafts, drafts[::-1])]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(saved.count(Outcome.ADDED) for saved in results) == [0, 200]
    assert results[0].ids == results[1].ids


# --- patch, set_image, remove, get -----------------------------------------------------------


def remove(db: Database, skus: list[str]) -> tuple[int, ...]:
    return db.write(lambda session: products.remove(session, skus, priority=queue.SINGLE))


def patch(db: Database, sku: str, **changes: Any) -> Product:
    return db.write(lambda session: products.patch(session, sku, changes, priority=queue.SINGLE))


def test_a_patch_changes_what_it_names_and_returns_the_product(catalogue: Database) -> None:
    save(catalogue, draft(display_name="Tie", price=1, attributes={"a": 1}))
    finish(catalogue)
    product = patch(catalogue, "1", price=2.5, attributes={"b": 2})
    assert (product.display_name, product.price) == ("Tie", 2.5)
    assert product.attributes == {"a": 1, "b": 2}
    assert asked(catalogue) == {"1": "payload"}


def test_a_patch_of_null_clears_a_field_all_attributes_or_the_image(catalogue: Database) -> None:
    save(catalogue, draft(display_name="Tie", attributes={"a": 1}))
    product = patch(catalogue, "1", display_name=None, attributes=None, image_uri=None)
    assert (product.display_name, product.attributes, product.image_uri) == (None, {}, None)
    assert product.image_digest is None


def test_a_patch_with_a_wrong_value_changes_nothing(catalogue: Database) -> None:
    save(catalogue, draft(price=1))
    with pytest.raises(InvalidProduct):
        patch(catalogue, "1", price="2")
    assert stored(catalogue).price == 1


def test_setting_an_image_requests_it_once(catalogue: Database) -> None:
    save(catalogue, draft(image=NO_IMAGE))
    finish(catalogue)
    image = ImageRef(uri="store://" + "c" * 64, digest="c" * 64, bytes=9)
    for expected in ({"1": "image"}, {}):
        catalogue.write(lambda s: products.set_image(s, "1", image, priority=queue.SINGLE))
        assert asked(catalogue) == expected
        finish(catalogue)
    assert stored(catalogue).image_uri == image.uri


def test_removing_leaves_the_row_and_asks_for_the_deletion(catalogue: Database) -> None:
    ids = save(catalogue, draft("1"), draft("2")).ids
    finish(catalogue)
    assert remove(catalogue, ["1", "unknown"]) == (ids["1"],)
    assert asked(catalogue) == {"1": "payload"}
    with catalogue.read() as session:
        assert session.get_one(Product, ids["1"]).removed_at is not None
        assert [product.sku for product in products.page(session, limit=10)] == ["2"]


def test_removing_twice_asks_once(catalogue: Database) -> None:
    save(catalogue, draft())
    remove(catalogue, ["1"])
    finish(catalogue)
    assert remove(catalogue, ["1"]) == ()
    assert asked(catalogue) == {}


@pytest.mark.parametrize("sku", ["unknown", "removed"])
def test_an_unknown_or_removed_product_can_be_neither_read_nor_changed(
    catalogue: Database, sku: str
) -> None:
    save(catalogue, draft("removed"))
    remove(catalogue, ["removed"])
    with pytest.raises(UnknownProduct, match=sku):
        stored(catalogue, sku)
    with pytest.raises(UnknownProduct):
        patch(catalogue, sku, price=1)
    with pytest.raises(UnknownProduct):
        catalogue.write(lambda s: products.set_image(s, sku, NO_IMAGE, priority=0))


# --- page ------------------------------------------------------------------------------------


@pytest.fixture
def shelf(catalogue: Database) -> Database:
    save(
        catalogue,
        draft("a", gender="Men", year=2011, price=5, attributes={"brand": "Ace", "eco": True}),
        draft("b", gender="Women", year=2012, price=50, attributes={"sizes": ["S", "M"], "eco": 1}),
        draft("c", gender="Women", in_stock=False, attributes={"in cm (Ø)": 40, "brand": "Bolt"}),
        draft("d", attributes={"sizes": "M", "width": 2.5, "eco": False, "brand": "[]"}),
    )
    return catalogue


def listed(db: Database, **where: Condition) -> str:
    with db.read() as session:
        return "".join(product.sku for product in products.page(session, limit=10, where=where))


@pytest.mark.parametrize(
    ("field", "condition", "expected"),
    [
        ("gender", Condition(any_of=("Women", "Girls")), "bc"),
        ("gender", Condition(none_of=("Women",)), "ad"),
        ("year", Condition(gte=2011.5), "b"),
        ("year", Condition(any_of=(2011, 2012), lt=2012), "a"),
        ("price", Condition(gt=5, lte=50), "b"),
        ("in_stock", Condition(any_of=(False,)), "c"),
        ("sku", Condition(any_of=("a", "d")), "ad"),
        ("attributes.brand", Condition(any_of=("Ace",)), "a"),
        ("attributes.brand", Condition(none_of=("Ace", "Bolt")), "bd"),
        ("attributes.sizes", Condition(any_of=("M",)), "bd"),
        ("attributes.sizes", Condition(none_of=("S",)), "acd"),
        ("year", Condition(any_of=(2012, 10**12)), "b"),
        ("attributes.width", Condition(any_of=("2.5",)), "d"),
        ("attributes.eco", Condition(any_of=("true",)), "a"),
        ("attributes.eco", Condition(any_of=(True,)), "a"),
        ("attributes.eco", Condition(any_of=(1,)), "b"),
        ("attributes.eco", Condition(any_of=(False,)), "d"),
        ("attributes.in cm (Ø)", Condition(gte=40, lt=41), "c"),
        ("attributes.width", Condition(any_of=(2.5,)), "d"),
        ("attributes.brand", Condition(gte=0), ""),
        ("attributes.none", Condition(any_of=("x",)), ""),
    ],
)
def test_a_filter_lists_what_satisfies_it(
    shelf: Database, field: str, condition: Condition, expected: str
) -> None:
    assert listed(shelf, **{field: condition}) == expected


def test_fields_of_a_filter_are_anded(shelf: Database) -> None:
    both = {"gender": Condition(any_of=("Women",)), "price": Condition(gte=1)}
    assert listed(shelf, **both) == "b"


@pytest.mark.parametrize(
    ("field", "condition"),
    [
        ("colour", Condition(any_of=("Red",))),
        ("image_uri", Condition(any_of=("x",))),
        ("gender", Condition(any_of=(1,))),
        ("gender", Condition(gte=1)),
        ("gender", Condition(any_of=("\0",))),
        ("attributes.brand", Condition(any_of=("\0",))),
        ("year", Condition(any_of=("2012",))),
        ("year", Condition(any_of=(2012.5,))),
        ("year", Condition(any_of=(True,))),
        ('attributes.in "cm"', Condition(any_of=(1,))),
        ("in_stock", Condition(none_of=(1,))),
    ],
)
def test_a_filter_that_cannot_be_compared_is_refused(
    shelf: Database, field: str, condition: Condition
) -> None:
    with pytest.raises(InvalidFilter):
        listed(shelf, **{field: condition})


def test_pages_follow_each_other_by_id(shelf: Database) -> None:
    with shelf.read() as session:
        first = products.page(session, limit=3)
        second = products.page(session, limit=3, after_id=first[-1].id)
        stocked = products.page(session, limit=9, also=[Product.in_stock])
    assert [[p.sku for p in page] for page in (first, second)] == [["a", "b", "c"], ["d"]]
    assert [p.sku for p in stocked] == ["a", "b", "d"]

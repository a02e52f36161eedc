"""What goes with a product is kept ready, and never tells what is no longer so."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import func, select, update
from support.rows import traced
from support.shop import Shop

from backend import generations
from backend.database.models import Product, ReadyRelations, utcnow
from backend.recommendations import ready

COLOURS = {"red-1": "#ff0000", "red-2": "#f00808", "red-3": "#e81010", "blue-1": "#0000ff"}


@pytest.fixture
def colours(shop: Shop) -> Shop:
    for sku, colour in COLOURS.items():
        shop.put(sku, colour, article_type="Shirts")
    shop.work()
    return shop


def buy(shop: Shop, *skus: str, basket: str = "o-1") -> None:
    items = [{"kind": "purchase", "sku": sku, "user": basket, "basket": basket} for sku in skus]
    assert shop.client.post("/v1/events:batch", json={"items": items}).json["stored"] == len(skus)
    shop.work()


def together(shop: Shop, sku: str) -> list[tuple[str, str, float]]:
    items = shop.client.get(f"/v1/products/{sku}/together").json["items"]
    return [(it["sku"], it["reason"], it["score"]) for it in items]


def kept(shop: Shop) -> int:
    shop.services.together.keeper.flush()  # type: ignore[union-attr]
    with shop.services.db.read() as session:
        return session.scalar(select(func.count()).select_from(ReadyRelations)) or 0


def prepared(shop: Shop) -> set[str]:
    kept = select(Product.sku).join(ReadyRelations, ReadyRelations.product_id == Product.id)
    with shop.services.db.read() as session:
        return set(session.scalars(kept))


def forbid_searches(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: Any) -> Any:
        raise AssertionError("the index was asked")

    monkeypatch.setattr(shop.services.together, "_index_of", refuse)


def test_what_is_kept_answers_as_the_search_did_and_in_few_statements(
    colours: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    buy(colours, "red-2", "blue-1")
    first = together(colours, "red-1")
    assert [it[:2] for it in first[:2]] == [("red-2", "look"), ("red-3", "look")]
    assert ("blue-1", "inherited") in [it[:2] for it in first]
    assert kept(colours) > 0
    forbid_searches(colours, monkeypatch)
    with traced(colours.db) as statements:
        again = together(colours, "red-1")
    assert [it[:2] for it in again] == [it[:2] for it in first]
    assert [it[2] for it in again] == pytest.approx([it[2] for it in first])
    selects = [it for it in statements if it.startswith("SELECT")]
    assert sum("ready_relations" in it for it in selects) == 1
    assert len(selects) <= 5, selects


def test_popular_products_are_prepared_by_the_worker_and_then_the_newest(
    colours: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    with colours.services.db.read() as session:
        generation = generations.active(session)
    together_with = colours.services.together
    assert together_with.prepare(generation, limit=10) == 0  # nobody has done anything
    buy(colours, "red-2", "blue-1")
    together_with.prepare(generation, limit=2)
    assert prepared(colours) == {"red-2", "blue-1"}
    assert together_with.prepare(generation, limit=1) == 1
    assert prepared(colours) == {"red-2", "blue-1", "red-3"}
    assert together_with.prepare(generation, limit=100) == len(COLOURS) - 3
    assert together_with.prepare(generation, limit=100) == 0
    forbid_searches(colours, monkeypatch)
    assert ("blue-1", "together") in [it[:2] for it in together(colours, "red-2")]


def test_own_pairs_and_newer_products_are_always_the_present_ones(
    colours: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    together(colours, "red-1")
    assert kept(colours) == 1
    colours.put("red-new", "#fe0000", article_type="Shirts")
    buy(colours, "red-1", "blue-1")
    forbid_searches(colours, monkeypatch)
    found = {sku: reason for sku, reason, _ in together(colours, "red-1")}
    assert found["red-new"] == "look"
    assert found["blue-1"] == "together"


def test_what_is_old_is_answered_and_computed_anew(colours: Shop) -> None:
    together(colours, "red-1")
    assert kept(colours) == 1
    buy(colours, "red-2", "blue-1")
    old = utcnow() - timedelta(minutes=2)
    changed = update(ReadyRelations).values(made_at=old)
    colours.services.db.write(lambda session: session.execute(changed))
    assert "inherited" not in [it[1] for it in together(colours, "red-1")]
    kept(colours)
    assert "inherited" in [it[1] for it in together(colours, "red-1")]


def test_a_removed_product_is_not_answered_and_little_is_kept(colours: Shop) -> None:
    together(colours, "red-1")
    together(colours, "red-2")
    assert kept(colours) == 2
    colours.client.delete("/v1/products/red-3")
    assert "red-3" not in [it[0] for it in together(colours, "red-1")]
    db = colours.services.db
    first = update(ReadyRelations).where(ReadyRelations.product_id == 1)
    db.write(lambda session: session.execute(first.values(made_at=utcnow() - timedelta(days=1))))
    assert db.write(lambda session: ready.delete_old(session, most=5)) == 0
    assert db.write(lambda session: ready.delete_old(session, most=1)) == 1
    assert kept(colours) == 1

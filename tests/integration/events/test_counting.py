"""New events become pairs and days: each event once, and as a plain re-implementation counts."""

from __future__ import annotations

from collections import defaultdict
from datetime import UTC, datetime, timedelta
from math import sqrt
from random import Random

import pytest
from sqlalchemy import func, insert, select, update
from sqlalchemy.orm import Session
from support.rows import statements_of
from support.stored_pairs import stored_pairs

from backend.database.engine import Database
from backend.database.models import CategoryPair, Event, Product, ProductDay, ProductPair
from backend.events import counting, pairing, partners, record, shoppers
from backend.events.decay import day_of, growth
from backend.events.kinds import STRENGTH, Kind
from backend.events.record import NewEvent

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
PRODUCTS = 12


def sku(number: int) -> str:
    return f"p-{number}"


@pytest.fixture
def shop(any_db: Database) -> Database:
    any_db.write(lambda session: session.add_all(Product(sku=sku(n)) for n in range(PRODUCTS)))
    return any_db


def store(db: Database, *events: NewEvent) -> record.Recorded:
    def work(session: Session) -> record.Recorded:
        checked = [record.with_checked_time(it, now=NOW, days=365) for it in events]
        return record.record(session, checked, now=NOW)

    return db.write(work)


def count_all(db: Database, *, limit: int = 7) -> None:
    while counting.count_some(db, limit=limit):
        pass


def pairs(db: Database) -> dict[tuple[str, str], tuple[float, int]]:
    """Return {(sku, other sku): (score now, times)}."""
    with db.read() as session:
        names = {row.id: row.sku for row in session.execute(select(Product.id, Product.sku))}
        return {
            (names[it.product_id], names[it.other_id]): (it.score / growth(NOW), it.times)
            for it in stored_pairs(session)
        }


def days(db: Database) -> dict[tuple[int, str], tuple[float, int]]:
    with db.read() as session:
        rows = session.execute(
            select(ProductDay, Product.sku).join(Product, Product.id == ProductDay.product_id)
        )
        return {(day.day, name): (day.score, day.events) for day, name in rows}


def test_many_events_take_as_many_statements_as_few(shop: Database) -> None:
    counted = []
    for seed, number in ((1, 40), (2, 400)):
        store(shop, *drawn(seed, number))
        with statements_of(shop) as statements:
            assert counting.count_some(shop, limit=number) == number
        counted.append(len(statements))
    few, many = counted
    assert many == few <= 16, statements
    assert shop.is_sqlite == any("cache_size" in it for it in statements)


def drawn(seed: int, number: int) -> list[NewEvent]:
    """Draw events of few shoppers and sessions, so that many of them belong together."""
    random = Random(seed)
    return [
        NewEvent(
            id=f"e-{seed}-{index}",
            kind=random.choice(list(Kind)),
            sku=sku(random.randrange(PRODUCTS)),
            user=random.choice([None, "ann", "bob"]),
            session=random.choice([None, "s-1", "s-2", "s-3"]),
            basket=random.choice([None, None, "o-1"]),
            at=NOW - timedelta(hours=random.randrange(24 * 50)),
        )
        for index in range(number)
    ]


def people(event: NewEvent) -> set[tuple[str, str]]:
    given = (("user", event.user), ("session", event.session))
    return {(what, name) for what, name in given if name is not None}


def closeness(one: NewEvent, other: NewEvent) -> float:
    assert one.at is not None
    assert other.at is not None
    for name in ("basket", "session"):
        if getattr(one, name) is not None and getattr(one, name) == getattr(other, name):
            return 1.0
    apart = abs((one.at - other.at).total_seconds()) / 86_400
    return 0.0 if apart > 30 else 2 ** (-apart / 7)


def expected(events: list[NewEvent]) -> tuple[dict, dict]:  # type: ignore[type-arg]
    """Count as the description says, one event after the other."""
    counted: list[NewEvent] = []
    found: dict[tuple[str, str], list[float]] = defaultdict(lambda: [0.0, 0])
    by_day: dict[tuple[int, str], list[float]] = defaultdict(lambda: [0.0, 0])
    known = set()
    for event in events:
        assert event.at is not None
        who = ("user", event.user) if event.user else ("session", event.session)
        key = (who if who[1] else event.id, event.kind, event.sku, day_of(event.at))
        if event.kind not in STRENGTH or key in known:
            continue
        known.add(key)
        day = by_day[day_of(event.at), event.sku]
        day[0] += STRENGTH[event.kind]
        day[1] += 1
        best: dict[str, float] = defaultdict(float)
        for other in counted:
            if people(event) & people(other) and other.sku != event.sku:
                strength = sqrt(STRENGTH[event.kind] * STRENGTH[other.kind])
                at = max(event.at, other.at)  # type: ignore[type-var]
                added = strength * closeness(event, other) * growth(at) / growth(NOW)
                best[other.sku] = max(best[other.sku], added)
        for name, added in best.items():
            if added:
                for pair in ((event.sku, name), (name, event.sku)):
                    found[pair][0] += added
                    found[pair][1] += 1
        counted.append(event)
    return found, by_day


def test_pairs_and_days_are_those_of_a_plain_count(shop: Database) -> None:
    events = [
        NewEvent(id=f"{n}", kind=kind, sku=sku(n), user="ann", at=NOW - timedelta(days=n))
        for n, kind in enumerate([Kind.VIEW, Kind.PURCHASE, Kind.CART, Kind.LIKE, Kind.RETURN])
    ]
    events += [
        NewEvent(id="far", kind=Kind.VIEW, sku=sku(7), user="ann", at=NOW - timedelta(days=40)),
        NewEvent(id="other", kind=Kind.VIEW, sku=sku(8), user="bob", at=NOW),
        NewEvent(id="visit", kind=Kind.CART, sku=sku(9), session="s", at=NOW - timedelta(days=60)),
        NewEvent(id="visit-2", kind=Kind.CART, sku=sku(10), session="s", at=NOW),
        NewEvent(id="again", kind=Kind.CART, sku=sku(10), session="s", at=NOW),
        NewEvent(id="order", kind=Kind.PURCHASE, sku=sku(11), user="bob", at=NOW),
    ]
    store(shop, *events)
    count_all(shop)

    wanted, by_day = expected(events)
    found = pairs(shop)
    assert found.keys() == wanted.keys()
    assert (sku(0), sku(4)) not in found  # what was sent back goes with nothing
    for pair, (score, times) in wanted.items():
        assert found[pair] == (pytest.approx(score), times)
    assert found[sku(9), sku(10)] == (pytest.approx(0.6), 1)  # one session, whatever the time
    assert {it: (pytest.approx(s), n) for it, (s, n) in by_day.items()} == days(shop)


@pytest.mark.parametrize("seed", range(3))
def test_parts_of_any_size_count_the_same(db: Database, seed: int) -> None:
    db.write(lambda session: session.add_all(Product(sku=sku(n)) for n in range(PRODUCTS)))
    events = [  # a session whose visits are all of one person: who did it is then unambiguous
        it for it in drawn(seed, 120) if it.user is None or it.session is None
    ]
    store(db, *events)
    count_all(db, limit=1 + 4 * seed)

    wanted, by_day = expected(events)
    found = pairs(db)
    assert found.keys() == wanted.keys()
    for pair, (score, times) in wanted.items():
        assert found[pair] == (pytest.approx(score), times)
    assert days(db).keys() == by_day.keys()


def test_pairs_add_to_those_of_their_categories(shop: Database) -> None:
    for number, kind in ((0, "Topwear"), (1, "Bottomwear"), (2, "Topwear")):
        named = update(Product).where(Product.sku == sku(number)).values(sub_category=kind)
        shop.write(lambda session, it=named: session.execute(it))  # type: ignore[misc]
    store(
        shop,
        *[
            NewEvent(id=f"{n}", kind=Kind.PURCHASE, sku=sku(n), session="s", at=NOW)
            for n in range(4)
        ],
    )
    count_all(shop, limit=3)
    with shop.read() as session:
        found = {
            (it.level, it.category, it.other): (it.score / growth(NOW), it.times)
            for it in session.scalars(select(CategoryPair))
        }
    assert found == {
        ("sub_category", "Bottomwear", "Topwear"): (pytest.approx(2.0), 2),
        ("sub_category", "Topwear", "Bottomwear"): (pytest.approx(2.0), 2),
        ("sub_category", "Topwear", "Topwear"): (pytest.approx(2.0), 2),
    }


def test_pairs_of_the_previous_release_are_moved_and_count(shop: Database) -> None:
    with shop.read() as session:
        ids = list(session.scalars(select(Product.id).order_by(Product.id)))
    one, other, third, fourth = ids[:4]
    rows = [
        {"product_id": product, "other_id": to, "score": score * growth(NOW), "times": 2}
        for product, to, score in ((one, other, 3.0), (one, third, 4.0), (third, fourth, 5.0))
    ]
    shop.write(lambda session: session.execute(insert(ProductPair), rows))
    before = pairs(shop)
    bought = [NewEvent(kind=Kind.PURCHASE, sku=sku(n), session="s", at=NOW) for n in (0, 1)]
    store(shop, *bought)
    count_all(shop)

    expected = {
        **before,
        (sku(0), sku(1)): (pytest.approx(4.0), 3),
        (sku(1), sku(0)): (pytest.approx(1.0), 1),
    }
    assert pairs(shop) == expected
    assert left(shop) == {third}  # nothing was done with it, so its row is where it was
    assert partners.move_some(shop) == 1
    assert partners.move_some(shop) == 0
    assert pairs(shop) == expected
    assert left(shop) == set()


def left(db: Database) -> set[int]:
    """Return the products of which pairs of the previous release are not moved."""
    with db.read() as session:
        return set(session.scalars(select(ProductPair.product_id)))


def test_what_is_sent_again_is_stored_once(shop: Database) -> None:
    event = NewEvent(id="e-1", kind=Kind.VIEW, sku=sku(1), user="ann", at=NOW)
    unnamed = NewEvent(kind=Kind.VIEW, sku=sku(2), user="ann", at=NOW)

    first, again = store(shop, event, unnamed), store(shop, event, unnamed)

    assert (first.stored, first.duplicates) == (2, 0)
    assert (again.stored, again.duplicates) == (0, 2)
    count_all(shop)
    store(shop, event, unnamed)
    count_all(shop)
    assert pairs(shop)[sku(1), sku(2)] == (pytest.approx(0.2), 1)


def test_a_killed_count_is_made_again_from_the_beginning(
    shop: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    events = [
        NewEvent(id=f"{n}", kind=Kind.CART, sku=sku(n), session="s", at=NOW) for n in range(3)
    ]
    store(shop, *events)

    def end(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(pairing, "add_categories", end)  # after pairs and days were written
        with pytest.raises(KeyboardInterrupt):
            counting.count_some(shop)
    assert not pairs(shop)
    assert not days(shop)
    count_all(shop)
    assert {times for _, times in pairs(shop).values()} == {1}
    assert counting.count_some(shop) == 0


def test_an_event_waits_for_its_product(shop: Database) -> None:
    stored = store(
        shop,
        NewEvent(id="1", kind=Kind.CART, sku="later", session="s", at=NOW),
        NewEvent(id="2", kind=Kind.CART, sku=sku(1), session="s", at=NOW),
    )
    assert (stored.stored, stored.unknown) == (2, 1)
    count_all(shop)
    assert counting.join_known(shop) == 0
    assert not pairs(shop)

    shop.write(lambda session: session.add(Product(sku="later")))
    assert counting.join_known(shop) == 1
    count_all(shop)
    assert set(pairs(shop)) == {("later", sku(1)), (sku(1), "later")}


def test_a_product_keeps_its_strongest_pairs(db: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(partners, "PARTNERS", 5)
    db.write(lambda session: session.add_all(Product(sku=sku(n)) for n in range(40)))
    for number in range(1, 40):
        kind = Kind.PURCHASE if number <= 5 else Kind.VIEW
        visit = f"s-{number}"
        store(
            db,
            NewEvent(id=f"{visit}-a", kind=Kind.PURCHASE, sku=sku(0), session=visit, at=NOW),
            NewEvent(id=f"{visit}-b", kind=kind, sku=sku(number), session=visit, at=NOW),
        )
        count_all(db)
    kept = [other for one, other in pairs(db) if one == sku(0)]
    assert len(kept) <= 10
    assert {sku(n) for n in range(1, 6)} <= set(kept)


@pytest.mark.parametrize("limit", [7, 1000])
def test_an_act_goes_with_the_newest_acts_of_its_shopper(db: Database, limit: int) -> None:
    number = pairing.MOST_OTHERS + 10
    db.write(lambda session: session.add_all(Product(sku=sku(n)) for n in range(number + 1)))
    events = [
        NewEvent(kind=Kind.VIEW, sku=sku(n), user=user, at=NOW - timedelta(hours=100 - n))
        for n in range(number)
        for user in ("ann", "bob")
    ]
    store(db, *events, NewEvent(id="last", kind=Kind.CART, sku=sku(number), user="ann", at=NOW))
    count_all(db, limit=limit)
    found = pairs(db)
    assert {other for one, other in found if one == sku(number)} == {
        sku(n) for n in range(10, number)
    }
    assert found[sku(0), sku(1)][1] == 2  # of both shoppers


def test_a_forgotten_shopper_leaves_no_event(shop: Database) -> None:
    store(
        shop,
        NewEvent(id="1", kind=Kind.VIEW, sku=sku(1), user="ann", session="s-1", at=NOW),
        NewEvent(id="2", kind=Kind.VIEW, sku=sku(2), session="s-1", at=NOW),
        NewEvent(id="3", kind=Kind.VIEW, sku=sku(3), user="bob", session="s-1", at=NOW),
        NewEvent(id="4", kind=Kind.VIEW, sku="unknown", user="ann", at=NOW),
    )
    count_all(shop)
    with shop.read() as session:
        assert [it.event_id for it in shoppers.events_of(session, "ann")] == ["1", "2", "4"]
    assert shop.write(lambda session: shoppers.forget(session, "ann")) == 3
    assert shop.write(lambda session: shoppers.forget(session, "ann")) == 0
    with shop.read() as session:
        assert session.scalars(select(Event.event_id)).all() == ["3"]


def test_old_events_are_deleted(shop: Database) -> None:
    store(shop, *drawn(5, 20))
    old = update(Event).where(Event.event_id == "e-5-3").values(at=NOW - timedelta(days=366))
    shop.write(lambda session: session.execute(old))
    gone = shop.write(lambda session: shoppers.delete_old(session, now=NOW, days=365))
    assert gone == 1
    with shop.read() as session:
        assert session.scalar(select(func.count()).select_from(Event)) == 19

"""Lists for shoppers against what shoppers did later: drawn shoppers who each like one look."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random

import numpy as np
import pytest
from sqlalchemy import func, select
from sqlalchemy.orm import Session
from support.stored_pairs import stored_pairs
from typer.testing import Result

from backend.bootstrap import build
from backend.catalogue import image_vectors
from backend.database.engine import Database
from backend.database.migrate import migrate
from backend.database.models import (
    ACTIVE,
    Event,
    Generation,
    IndexEntry,
    Product,
    ProductDay,
)
from backend.errors import NotEvaluable
from backend.events.importing import import_events
from backend.events.kinds import Kind
from backend.events.record import NewEvent
from backend.lab.recommending import splits_of_events
from backend.lab.recommending.comparing import Comparison, GroupScores, Options, compare
from backend.lab.recommending.contenders import OURS
from backend.lab.recommending.list_scores import ListJudge, ListScore
from backend.lab.recommending.trial import trial_of
from backend.settings import Settings

LOOKS, EACH, SHOPPERS = 6, 12, 30
START = datetime(2026, 1, 1, tzinfo=UTC)


def sku(look: int, number: int) -> str:
    return f"p-{look}-{number}"


def fill(db: Database) -> None:
    """Products of a few looks, whose vectors lie around one axis each; the last one is removed."""
    rng = np.random.default_rng(0)
    rows = []
    for at in range(LOOKS * EACH):
        vector = np.eye(LOOKS, dtype=np.float32)[at // EACH]
        vector = vector + rng.normal(0, 0.15, LOOKS).astype(np.float32)
        rows.append((at + 1, sku(*divmod(at, EACH)), f"d-{at}", vector / np.linalg.norm(vector)))

    def work(session: Session) -> None:
        session.add(
            Generation(
                id=1, collection="c", embedder="e", fingerprint="f", size=LOOKS, state=ACTIVE
            )
        )
        session.add_all(Product(id=it[0], sku=it[1]) for it in rows)
        session.flush()
        session.add_all(
            IndexEntry(generation_id=1, product_id=it[0], embedded_digest=it[2], requested_at=START)
            for it in rows
        )
        session.get_one(Product, len(rows)).removed_at = START
        image_vectors.store(session, "f", {it[2]: it[3] for it in rows})

    db.write(work)


def drawn(shoppers: int = SHOPPERS, acts: int = 8) -> list[NewEvent]:
    """Each shopper views products of one look, one a day."""
    random, found = Random(1), []
    for shopper in range(shoppers):
        for day, number in enumerate(random.sample(range(EACH), acts)):
            found.append(
                NewEvent(
                    kind=Kind.VIEW,
                    sku=sku(shopper % LOOKS, number),
                    user=f"u-{shopper}",
                    session=f"s-{shopper}-{day}",
                    at=START + timedelta(days=day, minutes=shopper),
                )
            )
    return found


@pytest.fixture
def shop(db: Database) -> Database:
    fill(db)
    return db


@contextmanager
def show_nothing(what: str) -> Iterator[Callable[[int, int], None]]:
    yield lambda done, total: None


def group(comparison: Comparison, name: str) -> GroupScores:
    return next(it for it in comparison.groups if it.group == name)


def score(comparison: Comparison, name: str, contender: str) -> ListScore:
    return next(it for it in group(comparison, name).scores if it.contender == contender)


def hit(comparison: Comparison, name: str, contender: str) -> float:
    return score(comparison, name, contender).metrics["hit"].value


@pytest.fixture(scope="module")
def compared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Database, Comparison]]:
    db = Database(f"sqlite:///{tmp_path_factory.mktemp('shop') / 'shop.db'}")
    migrate(db)
    fill(db)
    yield db, compare(db, drawn(), Options(k=3), watch=show_nothing)
    db.engine.dispose()


def test_lists_are_compared_and_the_shops_database_stays_as_it_is(
    compared: tuple[Database, Comparison],
) -> None:
    db, found = compared
    assert (found.events.stored, found.products) == (SHOPPERS * 8, LOOKS * EACH - 1)
    assert hit(found, "known", OURS) > 0.5
    assert hit(found, "known", OURS) > hit(found, "known", "popular")
    assert hit(found, "known", OURS) > hit(found, "known", "random")
    assert score(found, "known", "popular").lead["hit"].value < 0
    with db.read() as session:
        assert session.scalar(select(func.count(Event.id))) == 0


def test_only_looks_find_products_of_which_nothing_is_known(
    compared: tuple[Database, Comparison],
) -> None:
    _, found = compared
    for blind in ("popular", "together only"):
        assert hit(found, "cold", blind) == 0
        assert score(found, "cold", blind).metrics["cold_share"].value == 0
    assert hit(found, "cold", "looks only") > 0.2
    exploring = f"{OURS}, explore=0.2"
    assert hit(found, "cold", exploring) >= hit(found, "cold", OURS)
    assert score(found, "cold", exploring).metrics["cold_share"].value > 0.2


def test_visitors_without_a_history_are_a_group_of_their_own(shop: Database) -> None:
    late = [
        NewEvent(
            kind=Kind.CART,
            sku=sku(1, number),
            session="late",
            at=START + timedelta(days=8, hours=number),
        )
        for number in range(3)
    ]
    found = compare(shop, [*drawn(12), *late], Options(k=3, shoppers=5), watch=show_nothing)
    new = group(found, "new")
    assert (new.shoppers, new.right) == (1, 3.0)
    assert score(found, "new", "looks only").empty == 1
    assert score(found, "new", OURS).empty == 0


def test_nothing_of_the_future_or_of_cold_products_is_left_to_learn_from(shop: Database) -> None:
    events = drawn()
    with trial_of(shop) as trial:
        import_events(trial.db, events, days=36_500)
        future = splits_of_events.split(trial.db, later=0.25)
        cold = splits_of_events.cold_products(trial.db, share=0.3, seed=0)
        splits_of_events.count(trial.db, lambda done, total: None)
        splits_of_events.forget(trial.db, cold)
        splits_of_events.count(trial.db, lambda done, total: None)
        with trial.db.read() as session:
            assert session.scalar(select(func.max(Event.at))) < future.at
            assert not cold & set(session.scalars(select(Event.product_id)))
            assert not cold & set(session.scalars(select(ProductDay.product_id)))
            others = {pair.other_id for pair in stored_pairs(session)}
            assert others
            assert not cold & others
            ids = {row.sku: row.id for row in session.execute(select(Product.sku, Product.id))}
    seen: dict[str, set[int]] = {}
    later: dict[str, set[int]] = {}
    for event in events:
        assert event.at is not None
        side = later if event.at >= future.at else seen
        if event.sku in ids:
            side.setdefault(str(event.user), set()).add(ids[event.sku])
    assert {who[1]: set(acts) for who, acts in future.acts.items()} == {
        who: acts - seen[who] for who, acts in later.items() if acts - seen[who]
    }


def test_the_figures_are_those_of_a_hand_calculation() -> None:
    judge = ListJudge(events={1: 3, 2: 1}, products=4, k=2, seed=0)
    right = [frozenset({2, 3}), frozenset({9})]
    (first, other) = judge.scores({"a": [[1, 2], [3]], "b": [[2, 3], []]}, right)
    assert [first.metrics[name].value for name in ("hit", "recall")] == [0.5, 0.25]
    worth = 1 / np.log2(3)
    assert first.metrics["ndcg"].value == pytest.approx(worth / (1 + worth) / 2)
    listed = [-(np.log2(4 / 8) + np.log2(2 / 8)) / 2, -np.log2(1 / 8)]
    assert first.metrics["novelty"].value == pytest.approx(np.mean(listed))
    assert first.metrics["cold_share"].value == 0.5
    assert (first.coverage, first.empty) == (0.75, 0)
    assert (other.coverage, other.empty) == (0.5, 1)
    assert other.lead["recall"].value == pytest.approx(0.25)
    assert other.metrics["cold_share"].value == 0.5


def test_a_file_that_foretells_nothing_says_so(shop: Database) -> None:
    elsewhere = NewEvent(kind=Kind.VIEW, sku="elsewhere", user="ann", at=START)
    with pytest.raises(NotEvaluable, match="no event of the file"):
        compare(shop, [elsewhere], Options(), watch=show_nothing)


def test_the_command_writes_figures_and_prints_tables(
    settings: Settings, tmp_path: Path, run_command: Callable[..., Result]
) -> None:
    services = build(settings)
    fill(services.db)
    services.close()
    path = tmp_path / "events.csv"
    lines = [f"{it.kind},{it.sku},{it.user},{it.session},{it.at:%Y-%m-%d %H:%M}" for it in drawn()]
    path.write_text("\n".join(["kind,sku,buyer,session,at", *lines]), "utf-8")
    asked = ("evaluate", "recommendations", "--events", str(path), "--map", "user=buyer")
    few = ("--k", "3", "--shoppers", "6")
    shown = run_command(*asked, *few, "--json", str(tmp_path / "figures.json"))
    assert "Shoppers with a history" in shown.stdout
    figures = json.loads((tmp_path / "figures.json").read_text())
    assert figures["groups"][0]["scores"][0]["contender"] == OURS
    assert figures["events"]["stored"] == SHOPPERS * 8
    # the last columns, and the end of the longest title, are there in a terminal of 80 columns
    for part in ("novelty", " cold ", "products each"):
        assert shown.stdout.count(part) == len(figures["groups"])
    repeated = run_command(*asked, *few, "--json", "-").stdout
    assert json.loads(repeated)["groups"] == figures["groups"]

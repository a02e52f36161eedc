"""Lists for simulated shoppers of one or two tastes: the product's own beside simpler ones.

    python benchmarks/shopper_tastes.py [--products 2000] [--shoppers 400] [--judges 120] [--seed 0]

Everything here is simulated, and so are its figures: they compare lists under the assumptions below
and say nothing of real shoppers. Products lie around 40 drawn looks (64 dimensions, noise .5); a
tenth of them is new and has no event. A shopper likes one or two points near drawn looks, and would
like the 2% of the products that are nearest to any of them. Each shopper acts 12 times, on one
taste each time, and on few products more often than on others, as in shops. Events go through
`record` and `counting`, lists through the code that serves them; vectors are compared exactly.

For each list of ten: the share of products that the shopper would like, with its standard error;
for shoppers of two tastes also how many lists have a product of both; the share of new products.
"""

from __future__ import annotations

import argparse
import tempfile
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import insert
from sqlalchemy.orm import Session

from backend.catalogue import image_vectors
from backend.database import migrate
from backend.database.engine import Database
from backend.database.models import ACTIVE, Generation, IndexEntry, Product
from backend.events import counting, record
from backend.events.kinds import Kind
from backend.events.record import NewEvent
from backend.lab.recommending.contenders import contenders, visitor
from backend.lab.recommending.trial import InMemory, Trial

LOOKS, SIZE, K, ACTS, LIKED = 40, 64, 10, 12, 0.02
NOW = datetime(2026, 3, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Shopper:
    """Somebody with one or two tastes: `liked` are the ids of the products near each of them."""

    name: str
    tastes: NDArray[np.float32]
    liked: list[set[int]]


def unit(vectors: NDArray[np.float64]) -> NDArray[np.float32]:
    return (vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)).astype(np.float32)


def draw_shopper(
    name: str, centres: NDArray[np.float32], vectors: NDArray[np.float32], rng: np.random.Generator
) -> Shopper:
    looks = rng.choice(LOOKS, size=1 + int(rng.integers(2)), replace=False)
    tastes = unit(centres[looks] + rng.normal(0, 0.3 / SIZE**0.5, (len(looks), SIZE)))
    many = round(LIKED * len(vectors))
    near = np.argsort(-(vectors @ tastes.T), axis=0)[:many]
    return Shopper(name, tastes, [{int(at) + 1 for at in near[:, it]} for it in range(len(looks))])


def events_of(
    shopper: Shopper,
    vectors: NDArray[np.float32],
    weights: NDArray[np.float64],
    rng: np.random.Generator,
) -> list[NewEvent]:
    events = []
    for number in range(ACTS):
        taste = shopper.tastes[int(rng.integers(len(shopper.tastes)))]
        chances = weights * np.exp(12 * (vectors @ taste))
        at = int(rng.choice(len(vectors), p=chances / chances.sum()))
        kind = rng.choice([Kind.VIEW, Kind.VIEW, Kind.CART, Kind.PURCHASE])
        events.append(
            NewEvent(
                id=f"{shopper.name}-{number}",
                kind=Kind(kind),
                sku=f"p-{at}",
                user=shopper.name,
                at=NOW - timedelta(days=float(rng.uniform(0, 40))),
            )
        )
    return events


def fill(db: Database, vectors: NDArray[np.float32]) -> Trial:
    """Store the products and their vectors."""
    migrate.migrate(db)
    generation = Generation(
        id=1, collection="c", embedder="drawn", fingerprint="drawn", size=SIZE, state=ACTIVE
    )
    each = range(len(vectors))
    done = {"generation_id": 1, "requested_at": NOW, "wanted": 1, "embedded": 1, "indexed": 1}

    def work(session: Session) -> None:
        session.add(generation)
        session.flush()
        session.execute(insert(Product), [{"id": at + 1, "sku": f"p-{at}"} for at in each])
        session.execute(
            insert(IndexEntry),
            [{**done, "product_id": at + 1, "embedded_digest": f"d-{at}"} for at in each],
        )
        image_vectors.store(session, "drawn", {f"d-{at}": vectors[at] for at in each})

    db.write(work)
    return Trial(db, generation, InMemory([at + 1 for at in each], vectors))


def judge(trial: Trial, shoppers: list[Shopper], new: set[int], seed: int) -> None:
    """Print how each list fares."""
    lists = contenders(trial, k=K, now=NOW, seed=seed)
    visitors = {it.name: visitor(trial, ("shopper", it.name), now=NOW) for it in shoppers}
    print(f"{'list':32} one taste    two tastes   both   new")
    for name, choose in lists.items():
        hits: dict[int, list[float]] = {1: [], 2: []}
        both, listed_new = [], []
        for shopper in shoppers:
            found = choose(visitors[shopper.name])
            likes = set().union(*shopper.liked)
            hits[len(shopper.liked)].append(len(likes & set(found)) / K)
            listed_new.append(len(new & set(found)) / K)
            if len(shopper.liked) == 2:
                both.append(all(liked & set(found) for liked in shopper.liked))
        shown = [
            f"{np.mean(each):.3f} ±{np.std(each) / len(each) ** 0.5:.3f}" for each in hits.values()
        ]
        print(f"{name:32} {shown[0]}  {shown[1]}  {np.mean(both):.2f}  {np.mean(listed_new):.3f}")


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--products", type=int, default=2000)
    parser.add_argument("--shoppers", type=int, default=400)
    parser.add_argument("--judges", type=int, default=120, help="shoppers whose lists are judged")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    rng = np.random.default_rng(options.seed)
    centres = unit(rng.normal(size=(LOOKS, SIZE)))
    noise = rng.normal(0, 0.5 / SIZE**0.5, (options.products, SIZE))
    vectors = unit(centres[np.arange(options.products) % LOOKS] + noise)
    new = rng.random(options.products) < 0.1
    weights = np.where(new, 0.0, 1 + rng.pareto(1.2, options.products))
    shoppers = [draw_shopper(f"u-{at}", centres, vectors, rng) for at in range(options.shoppers)]
    with tempfile.TemporaryDirectory() as folder:
        db = Database(f"sqlite:///{Path(folder) / 'simulated.db'}")
        trial = fill(db, vectors)
        for shopper in shoppers:
            events = [
                record.with_checked_time(it, now=NOW, days=365)
                for it in events_of(shopper, vectors, weights, rng)
            ]
            db.write(lambda session, it=events: record.record(session, it, now=NOW))  # type: ignore[misc]
        while counting.count_some(db):
            pass
        judge(
            trial,
            shoppers[: options.judges],
            {int(at) + 1 for at in np.flatnonzero(new)},
            options.seed,
        )
        db.close()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

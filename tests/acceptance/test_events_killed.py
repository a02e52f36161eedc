"""A server that is killed while it stores and counts events: none is lost, none counts twice."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from sqlalchemy import func, insert, select
from support.installation import PATIENCE_SECONDS, Installation, embedded
from support.servers import wait_for
from support.stored_pairs import stored_pairs

from backend.database.models import Event, ListedDay, Product, ProductDay

PRODUCTS, SHOPPERS, EACH = 40, 60, 10
KILLS = 2


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Installation]:
    with embedded(tmp_path, embedder="mean-colour", poll_seconds=0.05) as found:
        yield found


class Client(threading.Thread):
    """Sends parts of events until each is acknowledged; again, if the server dies meanwhile."""

    def __init__(self, shop: Installation) -> None:
        super().__init__()
        self._shop = shop
        self.acknowledged: set[str] = set()

    def run(self) -> None:
        for part in range(SHOPPERS):
            # two products that no other shopper has: the counts below are exact
            items = [
                {
                    "id": f"e-{part}-{at}",
                    "kind": "purchase" if at < 2 else "impression",
                    "sku": f"p-{(part + at % 2) % PRODUCTS}",
                    "user": f"u-{part}",
                    "basket": f"o-{part}",
                    "recommendation_id": f"similar-1-{part}-{at // 2}",
                }
                for at in range(EACH)
            ]
            while not self._send(items):
                time.sleep(0.05)
            self.acknowledged |= {str(item["id"]) for item in items}

    def _send(self, items: list[dict[str, Any]]) -> bool:
        try:
            answer = requests.post(f"{self._shop.url}/v1/events:batch", json={"items": items})
        except requests.RequestException:  # it was killed, or has no address yet
            return False
        return answer.status_code == 200


@pytest.mark.slow
def test_kills_lose_no_acknowledged_event_and_count_none_twice(shop: Installation) -> None:
    shop.db.write(
        lambda session: session.execute(
            insert(Product), [{"sku": f"p-{at}"} for at in range(PRODUCTS)]
        )
    )
    shop.api()
    client = Client(shop)
    client.start()
    for kill in range(1, KILLS + 1):
        wait_for(
            lambda at=kill: len(client.acknowledged) >= at * SHOPPERS * EACH / (KILLS + 1),  # type: ignore[misc]
            seconds=PATIENCE_SECONDS,
        )
        shop.kill_api()
        shop.api()
    client.join()
    wait_for(lambda: _count(shop, Event.pending.is_not(None)) == 0, seconds=PATIENCE_SECONDS)

    with shop.db.read() as session:
        stored = set(session.scalars(select(Event.event_id)))
        bought = session.scalar(select(func.sum(ProductDay.events)))
        pairs = sum(pair.times for pair in stored_pairs(session))
        shown, sold = session.execute(
            select(func.sum(ListedDay.impressions), func.sum(ListedDay.purchases))
        ).one()
    assert stored == client.acknowledged
    assert len(stored) == SHOPPERS * EACH
    assert bought == 2 * SHOPPERS
    assert pairs == 2 * SHOPPERS
    assert (shown, sold) == ((EACH - 2) * SHOPPERS, 2 * SHOPPERS)


def _count(shop: Installation, where: Any) -> int:
    with shop.db.read() as session:
        return session.scalar(select(func.count(Event.id)).where(where)) or 0

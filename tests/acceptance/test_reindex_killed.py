"""A server that is killed while it builds another index goes on with it, and so do the commands."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
from support.catalogue import draw_catalogue
from support.installation import Installation, embedded
from support.servers import wait_for

from backend import generations
from backend.database.models import ACTIVE, BUILDING, Generation
from backend.queue.progress import Progress, progress

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

PRODUCTS = 500
PATIENCE = 240


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Installation]:
    settings = {"embedder": "mean-colour?grid=1", "batch_size": 4, "poll_seconds": 0.1}
    with embedded(tmp_path, **settings) as found:
        found.run("import", str(draw_catalogue(tmp_path / "shop", PRODUCTS)))
        found.run("index")
        found.api()
        yield found


def test_a_build_whose_server_was_killed_goes_on_and_is_promoted(shop: Installation) -> None:

    def how_far(state: str) -> tuple[Generation, Progress] | None:
        with shop.db.read() as session:
            found = generations.in_state(session, state)
            return (found, progress(session, found.id)) if found else None

    def is_half_built() -> bool:
        found = how_far(BUILDING)
        return found is not None and found[1].indexed > 10

    job = shop.json("reindex", "--embedder", "mean-colour?grid=4", "--no-wait")["job"]
    wait_for(is_half_built, seconds=PATIENCE, every=0.01)
    shop.kill_api()
    at_kill = how_far(BUILDING)
    assert at_kill is not None
    assert 10 < at_kill[1].indexed < PRODUCTS
    refused = shop.run("reindex", status=1)
    assert "is building already" in refused or "is a re-index that has not ended" in refused

    shop.api()
    wait_for(lambda: how_far(BUILDING) is None, seconds=PATIENCE)
    active = how_far(ACTIVE)
    assert active is not None
    assert (active[0].id, active[1].indexed) == (2, PRODUCTS)
    url = shop.url
    answer = requests.get(f"{url}/v1/products/7/similar", timeout=60).json()
    assert answer["generation"] == 2
    assert requests.get(f"{url}/v1/admin/jobs/{job}", timeout=60).json()["state"] == "done"

    assert shop.json("generations", "rollback")["id"] == 1  # by the server, which has the index
    answer = requests.get(f"{url}/v1/products/7/similar", timeout=60).json()
    assert answer["generation"] == 1
    assert shop.json("generations", "drop", "2")["state"] == "retired"
    assert [one["id"] for one in shop.json("generations", "list")["items"]] == [2, 1]
    assert shop.json("generations", "show", "2")["quality"]["checks"]["counts"]["passed"]
    assert shop.json("verify")["drift"] == 0

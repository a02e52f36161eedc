"""One worker by itself: how it ends, what it does not do, and what must not stop it in silence."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from sqlalchemy import func, select
from support.image_files import big_image, random_image
from support.installation import Installation, distributed
from support.qdrant_wire import Wire
from support.servers import wait_for

from backend.database.models import IndexEntry, utcnow
from backend.queue import Stage, waits_for
from workers.app import make_app
from workers.names import Queue

pytestmark = pytest.mark.slow


@pytest.fixture
def lone(tmp_path: Path, postgres_url: str) -> Iterator[Installation]:
    """An installation where nothing runs yet; without an owner, products stay embedded."""
    with distributed(tmp_path, postgres_url, lease_seconds=30) as found:
        yield found


def embedded(shop: Installation) -> int:
    with shop.db.read() as session:
        return session.scalar(select(func.count()).where(waits_for(Stage.APPLY))) or 0


def leased(shop: Installation) -> int:
    with shop.db.read() as session:
        held = select(func.count()).where(waits_for(Stage.EMBED), IndexEntry.due_at > utcnow())
        return session.scalar(held) or 0


def refuse_the_acknowledgement(shop: Installation) -> None:
    """Close the connections that acknowledge, and let no new one in; the others stay."""
    clients = shop.redis.client.client_list()
    closed = [one for one in clients if one["cmd"] == "exec"]
    assert closed
    shop.redis.client.config_set("maxclients", len(clients) - len(closed))
    for one in closed:
        shop.redis.client.client_kill_filter(_id=one["id"])


def test_an_acknowledgement_that_fails_does_not_leave_the_worker_deaf(lone: Installation) -> None:
    lone.worker("w1")
    lone.wait_until_ready("w1")
    for number in range(3):
        lone.put(f"slow-{number}", big_image(number), notify=number == 2)
    wait_for(lambda: leased(lone), every=0.02)
    refuse_the_acknowledgement(lone)
    wait_for(lambda: "the connection to the broker was lost" in lone.log_of("w1"))
    lone.redis.client.config_set("maxclients", 1000)
    lone.put("after", random_image(1))
    wait_for(lambda: embedded(lone) == 4, seconds=10)
    assert lone.log_of("w1").count("the connection to the broker was lost") == 1


def test_sigterm_lets_the_worker_finish_its_batch(lone: Installation) -> None:
    supervisor = lone.worker("w1")
    lone.wait_until_ready("w1")
    for number in range(4):
        lone.put(f"slow-{number}", big_image(number), notify=number == 3)
    taken = wait_for(lambda: leased(lone), every=0.02)
    supervisor.send_signal(signal.SIGTERM)
    assert supervisor.wait(20) == 0
    assert embedded(lone) >= taken
    assert leased(lone) == 0


def test_a_worker_whose_supervisor_is_killed_finishes_its_batch_and_ends(
    lone: Installation,
) -> None:
    supervisor = lone.worker("w1")
    lone.wait_until_ready("w1")
    worker = lone.pid_of_worker("w1")
    for number in range(4):
        lone.put(f"slow-{number}", big_image(number), notify=number == 3)
    taken = wait_for(lambda: leased(lone), every=0.02)
    supervisor.kill()
    supervisor.wait()
    wait_for(lambda: not psutil.pid_exists(worker))
    assert embedded(lone) >= taken
    assert leased(lone) == 0


def test_a_message_that_comes_after_its_time_is_thrown_away(
    tmp_path: Path, postgres_url: str
) -> None:
    with distributed(tmp_path, postgres_url, message_seconds=1) as shop:
        shop.put("late", random_image(1))
        assert shop.redis.client.llen(Queue.INDEX) == 1
        time.sleep(1.1)
        shop.worker("w1")
        wait_for(lambda: shop.redis.client.llen(Queue.INDEX) == 0, seconds=30)
        time.sleep(1)
        assert embedded(shop) == 0
        shop.services.notify()
        wait_for(lambda: embedded(shop) == 1)


def test_with_a_qdrant_server_the_workers_apply_and_run_jobs_too(
    tmp_path: Path, postgres_url: str
) -> None:
    wire = Wire()
    qdrant = {"qdrant_url": "http://127.0.0.1", "qdrant_grpc_port": wire.port}
    try:
        with distributed(tmp_path, postgres_url, **qdrant) as shop:
            shop.worker("w1")
            shop.worker("w2")
            shop.start("beat")
            shop.wait_until_ready("w1", "w2")
            shop.import_products(60)
            shop.wait_until_indexed(60)
            shop.delete("7")
            shop.wait_until_indexed(59)
            result = shop.verify()
        assert (result["drift"], result["checked"]) == (0, 60)
        (collection,) = wire.local.get_collections().collections
        assert wire.local.count(collection.name).count == 59
    finally:
        wire.stop()


@pytest.mark.slow
@pytest.mark.parametrize("shown", [True, False], ids=["where it is asked for", "otherwise not"])
def test_a_worker_shows_itself_to_flower(tmp_path: Path, postgres_url: str, shown: bool) -> None:
    with distributed(tmp_path, postgres_url, task_events=shown) as shop:
        shop.worker("w1")
        shop.wait_until_ready("w1")
        control = make_app(shop.settings).control
        answers = [control.ping(timeout=1) for _ in range(3)]
        assert any(answers) is shown

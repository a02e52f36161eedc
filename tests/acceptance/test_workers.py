"""Two Celery workers, one for shoppers, the scheduler and the API, over Redis and PostgreSQL."""

from __future__ import annotations

import io
import os
import random
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
import pytest
import requests
from PIL import Image
from support.image_files import big_image, random_image
from support.installation import PATIENCE_SECONDS, Installation, distributed
from support.servers import wait_for

from backend.catalogue.products import get
from backend.queue.progress import State, states
from workers import names
from workers.app import make_app
from workers.names import Queue

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory, postgres_url: str) -> Iterator[Installation]:
    """One installation for the whole module, with everything running."""
    with distributed(tmp_path_factory.mktemp("installation"), postgres_url) as found:
        found.worker("w1")
        found.worker("w2")
        found.worker("shoppers", queue="interactive")
        found.start("beat")
        found.api()
        found.wait_until_ready("w1", "w2", "shoppers")
        yield found


@pytest.fixture
def url(shop: Installation) -> str:
    found = shop.url
    assert found is not None
    return found


def count(shop: Installation) -> int:
    return shop.progress().products


def fresh(shop: Installation) -> int:
    """The first of a range of skus, and of images, that no other test has used."""
    return 1000 * (1 + count(shop))


def state_of(shop: Installation, sku: str) -> State:
    with shop.db.read() as session:
        product = get(session, sku)
        return states(session, shop.generation.id, [product.id])[product.id][0]


# --- the queue ------------------------------------------------------------------------------


def test_an_import_is_embedded_by_the_workers_and_applied_by_the_owner(shop: Installation) -> None:
    before = count(shop)
    shop.import_products(300, first=fresh(shop))
    shop.wait_until_indexed(before + 300)
    assert shop.verify()["drift"] == 0


@contextmanager
def frozen(shop: Installation, *names: str) -> Iterator[None]:
    """Stop workers where they are, and their supervisors, which would take them for hung."""
    workers = [shop.pid_of_worker(name) for name in names]
    supervisors = [shop.process(name).pid for name in names]
    for pid in [*supervisors, *workers]:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in [*workers, *supervisors]:
            os.kill(pid, signal.SIGCONT)


@pytest.mark.slow
def test_a_single_write_overtakes_an_import(shop: Installation) -> None:
    before, first = count(shop), fresh(shop)
    with frozen(shop, "w1", "w2"):  # or they might be done before the single write
        shop.import_products(4000, first=first)
        shop.put("overtaker", random_image(first - 1))
    wait_for(lambda: state_of(shop, "overtaker") is State.INDEXED, every=0.02)
    assert shop.progress().pending > 0, "the import was over before the single write"
    shop.wait_until_indexed(before + 4001)


def test_lost_messages_are_made_up_for_by_the_scheduler(shop: Installation) -> None:
    before, first = count(shop), fresh(shop)
    shop.put("unheard", random_image(first), notify=False)
    shop.wait_until_indexed(before + 1)


def wake_up_message(shop: Installation) -> bytes:
    """A message as the notifier sends it, taken from a queue that nobody listens at."""
    make_app(shop.settings).send_task(names.WORK, queue="aside", expires=60)
    found: bytes = shop.redis.client.rpop("aside")
    return found


def test_doubled_and_dropped_messages_change_nothing(shop: Installation) -> None:
    before, first = count(shop), fresh(shop)
    message, chance = wake_up_message(shop), random.Random(7)
    shop.import_products(300, first=first)
    while shop.progress().pending:
        if chance.random() < 0.5:
            shop.redis.client.delete(Queue.INDEX)
        else:
            shop.redis.client.lpush(Queue.INDEX, *[message] * 20)
    shop.wait_until_indexed(before + 300)
    assert shop.verify()["drift"] == 0


@pytest.mark.parametrize("lose_data", [False, True], ids=["keeping", "losing"])
def test_a_killed_redis_is_survived(shop: Installation, lose_data: bool) -> None:
    before, first = count(shop), fresh(shop)
    shop.import_products(400, first=first)
    shop.redis.kill(lose_data=lose_data)
    shop.put(f"without-redis-{lose_data}", random_image(first - 1))
    shop.redis.start()
    shop.wait_until_indexed(before + 401)


def test_while_redis_is_away_the_workers_go_on(shop: Installation) -> None:
    before, first = count(shop), fresh(shop)
    shop.redis.kill(lose_data=False)
    try:
        shop.put("nobody-was-told", random_image(first))
        shop.wait_until_indexed(before + 1)
    finally:
        shop.redis.start()


def test_a_redis_without_memory_ends_no_worker_and_work_goes_on(shop: Installation) -> None:
    before, first = count(shop), fresh(shop)
    workers = [shop.pid_of_worker(name) for name in ("w1", "w2", "shoppers")]
    shop.redis.client.config_set("maxmemory", "1")
    try:
        shop.put("no-memory", random_image(first))
        shop.wait_until_indexed(before + 1)
    finally:
        shop.redis.client.config_set("maxmemory", "0")
    shop.put("memory-again", random_image(first + 1))
    shop.wait_until_indexed(before + 2)
    assert [shop.pid_of_worker(name) for name in ("w1", "w2", "shoppers")] == workers


def test_a_killed_worker_loses_nothing_and_another_takes_its_place(shop: Installation) -> None:
    before = count(shop)
    killed = shop.pid_of_worker("w1")
    shop.import_products(600, first=fresh(shop))
    wait_for(lambda: shop.progress().pending < 600, every=0.02)
    os.kill(killed, signal.SIGKILL)
    shop.wait_until_indexed(before + 600)
    wait_for(lambda: shop.pid_of_worker("w1") != killed)
    assert shop.verify()["drift"] == 0


def test_a_hung_worker_is_replaced(shop: Installation) -> None:
    hung = shop.pid_of_worker("w2")
    os.kill(hung, signal.SIGSTOP)
    wait_for(lambda: not psutil.pid_exists(hung))
    assert "no heartbeat" in shop.log_of("w2")
    wait_for(lambda: shop.pid_of_worker("w2"))


POISON: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda _: b"",
    "text": lambda _: b"<html>not found</html>",
    "truncated": lambda whole: whole[: len(whole) // 2],
    "bomb": lambda whole: _with_size(whole, 60_000),
    "speck": lambda whole: _as(whole, "PNG", size=(1, 1)),
}
ODD: dict[str, Callable[[bytes], bytes]] = {
    "CMYK": lambda whole: _as(whole, "JPEG", mode="CMYK"),
    "palette": lambda whole: _as(whole, "GIF", mode="P"),
    "grey": lambda whole: _as(whole, "PNG", mode="L"),
    "see-through": lambda whole: _as(whole, "PNG", mode="RGBA"),
    "corrupt scan": lambda whole: whole[:-200] + bytes(100) + whole[-100:],
}


def _with_size(jpeg: bytes, side: int) -> bytes:
    """Have the header claim another size."""
    start = jpeg.index(b"\xff\xc0") + 5
    return jpeg[:start] + side.to_bytes(2, "big") * 2 + jpeg[start + 4 :]


def _as(whole: bytes, format: str, *, mode: str = "RGB", size: tuple[int, int] = (48, 64)) -> bytes:
    out = io.BytesIO()
    Image.open(io.BytesIO(whole)).convert(mode).resize(size).save(out, format)
    return out.getvalue()


def test_poison_is_quarantined_alone_and_harms_no_worker(shop: Installation) -> None:
    before, first = shop.progress(), fresh(shop)
    workers = [shop.pid_of_worker(name) for name in ("w1", "w2")]
    for number, (kind, change) in enumerate({**POISON, **ODD}.items()):
        shop.put(kind.replace(" ", "-"), change(random_image(first + number)), notify=False)
        shop.put(f"beside-{number}", random_image(first + 100 + number), notify=False)
    now = wait_for(lambda: (now := shop.progress()).at_rest and now)
    assert set(shop.quarantine()) == set(POISON)
    assert now.indexed == before.indexed + len(POISON) + 2 * len(ODD)
    assert workers == [shop.pid_of_worker(name) for name in ("w1", "w2")]
    shop.delete(*POISON)
    shop.wait_until_indexed(now.indexed)


AT_A_BIG_PICTURE = 45_000_000  # bytes; a decoder takes 28 MB for itself


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP], ids=["kills", "hangs"])
def test_an_image_that_ends_every_decoder_is_quarantined_alone(
    shop: Installation, number: int
) -> None:
    before, first = count(shop), fresh(shop)
    workers = [shop.pid_of_worker(name) for name in ("w1", "w2")]
    shop.put("deadly", big_image(first))
    while not shop.quarantine():
        for worker in workers:
            for decoder in psutil.Process(worker).children():
                with suppress(psutil.NoSuchProcess):
                    if decoder.memory_info().rss > AT_A_BIG_PICTURE:
                        decoder.send_signal(number)
        time.sleep(0.01)
    shop.put("beside-deadly", random_image(first + 1))
    wait_for(lambda: state_of(shop, "beside-deadly") is State.INDEXED)
    assert set(shop.quarantine()) == {"deadly"}
    assert workers == [shop.pid_of_worker(name) for name in ("w1", "w2")]
    shop.delete("deadly", "beside-deadly")
    shop.wait_until_indexed(before)


# --- a shopper's image -----------------------------------------------------------------------


def ask(url: str, seed: int) -> requests.Response:
    return requests.post(
        f"{url}/v1/similar?limit=1",
        data=random_image(seed),
        headers={"Content-Type": "image/jpeg"},
        timeout=PATIENCE_SECONDS,
    )


def test_an_image_is_embedded_by_a_worker_and_finds_its_product(
    shop: Installation, url: str
) -> None:
    before, first = count(shop), fresh(shop)
    shop.put("shown", random_image(first))
    shop.put("other", random_image(first + 1))
    shop.wait_until_indexed(before + 2)
    answer = ask(url, first).json()
    assert answer["items"][0]["sku"] == "shown"
    assert answer["items"][0]["score"] > 0.999
    assert shop.redis.client.keys("lookalike:reply:*") == []


def test_without_a_worker_an_image_is_refused_and_skus_still_answer(
    shop: Installation, url: str
) -> None:
    before, first = count(shop), fresh(shop)
    shop.put("known", random_image(first))
    shop.wait_until_indexed(before + 1)
    stopped = shop.pid_of_worker("shoppers")
    os.kill(stopped, signal.SIGSTOP)
    try:
        started = time.monotonic()
        refused = ask(url, first)
        took = time.monotonic() - started
        by_sku = requests.get(f"{url}/v1/products/known/similar", timeout=PATIENCE_SECONDS)
    finally:
        os.kill(stopped, signal.SIGCONT)
    assert (refused.status_code, refused.json()["code"]) == (503, "embedder-busy")
    assert refused.headers["Retry-After"]
    assert took >= shop.settings.interactive_seconds
    assert by_sku.status_code == 200
    wait_for(lambda: ask(url, first).status_code == 200)
    assert shop.redis.client.keys("lookalike:reply:*") == [], "an expired image was embedded"


def test_no_network_is_loaded_into_the_web_processes(shop: Installation, url: str) -> None:
    assert ask(url, 1).status_code == 200
    master = shop.process("api")
    processes = [master, *master.children(recursive=True)]
    assert len(processes) > 1
    for process in processes:
        assert "libtorch" not in Path(f"/proc/{process.pid}/maps").read_text()

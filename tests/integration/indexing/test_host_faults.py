"""What goes wrong with the host is not charged to an image: its row waits, and says for what."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import Any

import pytest
from sqlalchemy import select, update
from sqlalchemy.exc import OperationalError
from support import hostile_decoding
from support.exact_index import ExactIndex
from support.host_faults import ImageHost, full_disk, lost_commits, no_file_descriptors
from support.image_files import colour_image
from support.rows import entry
from support.shop import LIMITS, FakeEmbedder, Shop

from backend import indexing, queue
from backend.catalogue.products import ImageRef
from backend.database.models import IndexEntry
from backend.errors import IndexRefused, IndexUnavailable
from backend.images.decoder_pool import DecoderPool
from backend.images.open_images import ImageOpener
from backend.settings import Settings
from backend.status import status
from backend.vectors import Point

SIZE = 13
LONG = 5  # tries: more than a row has before it is in quarantine


@pytest.fixture(scope="module")
def decoders() -> Iterator[DecoderPool]:
    with DecoderPool(1, limits=LIMITS, seconds=5, decode=hostile_decoding.decode) as pool:
        yield pool


@pytest.fixture
def shop(settings: Settings, decoders: DecoderPool) -> Iterator[Shop]:
    index = ExactIndex(size=SIZE, schema=indexing.schema())
    changes: dict[str, Any] = {"embedder": "mean-colour?grid=2", "retry_seconds": 0}
    fake = FakeEmbedder()
    with Shop(settings, fake_embedder=fake, decoders=decoders, index=index, **changes) as shop:
        yield shop


@pytest.fixture
def host() -> Iterator[ImageHost]:
    found = ImageHost(colour_image("red"))
    yield found
    found.close()


def try_often(shop: Shop, *, fails: type[Exception] | None = None) -> None:
    """Embed as often as would quarantine a row whose failures count."""
    for _ in range(LONG):
        if fails:
            with pytest.raises(fails):
                shop.embed()
        else:
            shop.embed()
        shop.db.write(queue.free_leases)


def waiting(shop: Shop) -> dict[str, int]:
    """What `status` says: {reason: products that wait for that}."""
    shown = status(shop.db, shop.services.indexes.look_at_shard)
    return {row["reason"]: row["products"] for row in shown["waiting"]}


def with_decoders(shop: Shop, pool: DecoderPool) -> None:
    opener = shop.services.image_opener.by(pool)
    shop.services = replace(shop.services, image_opener=opener)


# --- what keeps a row waiting ----------------------------------------------------------------


@pytest.mark.parametrize("mood", ["is dead", "hangs", "resets", "fails"])
def test_products_of_an_image_host_that_does_not_answer_wait_until_it_does(
    shop: Shop, decoders: DecoderPool, host: ImageHost, mood: str
) -> None:
    opener = ImageOpener(
        shop.services.image_store,
        decoders,
        fetch=partial(host.fetch, limits=LIMITS, seconds=0.2),
        outages=shop.services.outages,
    )
    shop.services = replace(shop.services, image_opener=opener)
    ids = [shop.save(f"s{n}", image=ImageRef(uri=host.uri(n))) for n in range(6)]
    host.die() if mood == "is dead" else setattr(host, "mood", mood)

    for _ in range(2):  # some have failed alone before the host was known to be at fault
        try_often(shop)

    assert shop.quarantine() == {}
    assert shop.progress().pending == 6
    assert all(reason.startswith("image-unavailable: ") for reason in waiting(shop))
    assert sum(waiting(shop).values()) >= 4
    host.come_back() if mood == "is dead" else setattr(host, "mood", "answers")
    while any(entry(shop.db, id_).embedded == 0 for id_ in ids):
        shop.db.write(queue.free_leases)
        shop.embed()
    shop.apply()
    assert (shop.progress().indexed, waiting(shop)) == (6, {})


def test_the_log_has_one_line_for_a_dead_host_and_not_one_for_each_image(
    shop: Shop, decoders: DecoderPool, host: ImageHost, capsys: pytest.CaptureFixture[str]
) -> None:
    opener = ImageOpener(
        shop.services.image_store, decoders, fetch=partial(host.fetch, limits=LIMITS)
    )
    shop.services = replace(shop.services, image_opener=opener)
    for number in range(30):
        shop.save(f"s{number}", image=ImageRef(uri=host.uri(number)))
    host.die()
    for _ in range(4):
        try_often(shop)
    host.come_back()
    assert capsys.readouterr().out.count(f"localhost:{host.port}") <= 1


def test_products_wait_while_no_decoder_can_be_started(shop: Shop, decoders: DecoderPool) -> None:
    id_ = shop.save("red", colour_image("red"))
    with DecoderPool(limits=LIMITS, decode=hostile_decoding.missing) as broken:
        with_decoders(shop, broken)
        shop.embed()
        shop.db.write(queue.free_leases)
    assert entry(shop.db, id_).failures == 0
    (reason,) = waiting(shop)
    assert reason.startswith("decoder-unavailable: a decoder process does not start")
    with_decoders(shop, decoders)
    shop.work()
    assert shop.progress().indexed == 1


def test_products_wait_while_no_file_can_be_opened(shop: Shop, decoders: DecoderPool) -> None:
    shop.save("s", colour_image("red"))
    with DecoderPool(limits=LIMITS) as fresh:
        with_decoders(shop, fresh)
        for _ in range(LONG):
            with no_file_descriptors():
                shop.embed()
            shop.db.write(queue.free_leases)
        assert waiting(shop) == {
            "decoder-unavailable: a decoder cannot be started: Too many open files": 1
        }
        shop.work()
    assert shop.progress().indexed == 1


def broken_device(_vector: Any) -> Any:
    raise RuntimeError("CUDA error: an illegal memory access was encountered")


def test_products_wait_while_the_device_fails_for_any_image(shop: Shop) -> None:
    for colour in ("red", "green", "blue"):
        shop.save(colour, colour_image(colour))
    shop.embedder.when = dict.fromkeys(("red", "green", "blue", "grey"), broken_device)
    try_often(shop)
    assert shop.quarantine() == {}
    (reason,) = waiting(shop)
    assert reason.startswith("embedder-failed: RuntimeError: CUDA error")
    shop.embedder.when.clear()
    shop.work()
    assert shop.progress().indexed == 3


def test_a_full_disk_costs_no_product_its_tries(shop: Shop) -> None:
    ids = [shop.save(colour, colour_image(colour)) for colour in ("red", "green")]
    with full_disk(shop.db):
        try_often(shop, fails=OperationalError)
    assert [entry(shop.db, id_).failures for id_ in ids] == [0, 0]
    shop.work()
    assert (shop.progress().indexed, shop.quarantine()) == (2, {})


@pytest.mark.parametrize("is_written", [False, True], ids=["lost", "written"])
@pytest.mark.parametrize("after", range(8))
def test_a_claim_that_a_lost_database_interrupts_is_given_back_before_its_lease_ends(
    shop: Shop, after: int, is_written: bool
) -> None:
    for colour in ("red", "green"):
        shop.save(colour, colour_image(colour))
    with (
        lost_commits(shop.db, after=after, is_written=is_written),
        suppress(OperationalError),
    ):
        shop.work()
    shop.work()
    now = shop.progress()
    assert (now.indexed, now.at_rest, shop.quarantine()) == (2, True, {})


def test_an_index_that_does_not_answer_says_so_in_the_row_and_in_the_status(shop: Shop) -> None:
    shop.save("s", colour_image("red"))
    shop.embed()
    working, shop.index = shop.index, ExactIndex(size=SIZE, schema=indexing.schema())
    shop.index.close()
    with pytest.raises(IndexUnavailable):
        shop.apply()
    (reason,) = waiting(shop)
    assert reason.startswith("index-unavailable: ")
    shop.index = working
    shop.db.write(queue.free_leases)
    shop.work()
    assert (shop.progress().indexed, waiting(shop)) == (1, {})


def test_a_job_does_not_wait_for_a_dead_host_for_ever_and_says_what_is_left(shop: Shop) -> None:
    shop.save("s", image=ImageRef(uri="https://images.example/s.png"))
    for number in range(3):
        shop.save(f"s{number}", image=ImageRef(uri=f"https://images.example/{number}.png"))
    shop.save("good", colour_image("red"))

    result = shop.run("index")

    assert (result["indexed"], result["quarantined"]) == (1, 0)
    assert result["waiting"] == 4


# --- what heals by itself --------------------------------------------------------------------


def quarantine_for(shop: Shop, sku: str, reason: str) -> int:
    """Put a product into quarantine, as a former release did."""
    id_ = shop.save(sku, colour_image("red"))
    values = {"due_at": None, "last_error": reason, "failures": 3}
    shop.execute(update(IndexEntry).where(IndexEntry.product_id == id_).values(values))
    return id_


def test_what_is_in_quarantine_for_the_hosts_fault_is_tried_again_by_itself(shop: Shop) -> None:
    for sku, reason in {
        "host": "image-unavailable: images.example answered with status 503",
        "decoder": "decoder-unavailable: a decoder process does not start",
        "image": "corrupt-image: the PNG image is damaged",
        "killer": "decoder-died: the image ended its decoder twice",
    }.items():
        quarantine_for(shop, sku, reason)
    assert set(shop.quarantine()) == {"host", "decoder", "image", "killer"}
    shop.worker.maintenance.heal()
    assert set(shop.quarantine()) == {"image", "killer"}
    shop.work()
    assert shop.progress().indexed == 2


def test_the_end_of_an_outage_heals_at_once(shop: Shop) -> None:
    shop.work()  # the first look is over
    quarantine_for(shop, "s", "image-unavailable: images.example answered with status 503")
    shop.work()
    assert list(shop.quarantine()) == ["s"]
    shop.services.outages.fail("image host images.example", "refused")
    shop.services.outages.work("image host images.example")
    shop.work()
    assert shop.progress().indexed == 1


# --- an index that refuses one point ---------------------------------------------------------


class PickyIndex(ExactIndex):
    """Refuses whole batches that hold some products, as an engine does, and says not which."""

    def __init__(self, refuses: Callable[[Point], bool], error: type[Exception]) -> None:
        super().__init__(size=SIZE, schema=indexing.schema())
        self.refuses, self.error, self.calls = refuses, error, 0

    def upsert(self, points: Any) -> None:
        self.calls += 1
        if any(self.refuses(point) for point in points):
            raise self.error("Wrong input: something in the batch")
        super().upsert(points)


@pytest.mark.parametrize("error", [IndexRefused, TypeError], ids=["status 400", "a converter"])
def test_the_one_point_that_the_index_refuses_is_found_by_halving(
    shop: Shop, error: type[Exception]
) -> None:
    for number in range(32):
        shop.save(f"s{number}", colour_image(f"rgb({number},0,0)"), price=float(number))
    index = PickyIndex(lambda point: point.payload["price"] == 17, error)
    shop.index = index
    shop.work()
    assert list(shop.quarantine()) == ["s17"]
    assert shop.quarantine()["s17"].startswith("index-refused: point ")
    assert shop.progress().indexed == 31
    index.refuses = lambda point: False
    shop.worker.maintenance.heal()
    shop.work()
    assert (shop.progress().indexed, shop.quarantine()) == (32, {})


def test_a_point_at_which_the_index_fails_waits_and_holds_up_no_other(shop: Shop) -> None:
    for number in range(8):
        shop.save(f"s{number}", colour_image(f"rgb({number},0,0)"), price=float(number))
    shop.index = PickyIndex(lambda point: point.payload["price"] == 3, IndexUnavailable)
    shop.work()
    assert (shop.progress().indexed, shop.progress().pending) == (7, 1)
    assert shop.quarantine() == {}
    assert list(waiting(shop)) == ["index-unavailable: Wrong input: something in the batch"]


def test_an_index_that_refuses_every_point_quarantines_none(shop: Shop) -> None:
    for number in range(40):
        shop.save(f"s{number}", colour_image(f"rgb({number},0,0)"))
    while shop.embed():
        pass
    index = PickyIndex(lambda point: True, IndexRefused)
    shop.index = index
    with pytest.raises(IndexUnavailable, match="refuses every point"):
        shop.apply()
    assert shop.quarantine() == {}
    assert index.calls < 40
    with shop.db.read() as session:
        assert set(session.scalars(select(IndexEntry.failures))) == {0}

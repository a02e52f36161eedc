"""What no product names any more goes after a time of grace, and nothing that is named does."""

from __future__ import annotations

import os
import uuid
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import select, update
from sqlalchemy.orm import Session
from support.rows import arrange, make_generation

from backend import queue
from backend.catalogue import image_vectors, named_images, products, unnamed_images
from backend.catalogue.products import Draft, ImageRef
from backend.database import clock
from backend.database.engine import Database
from backend.database.models import ClockRow, UnnamedImage, utcnow
from backend.images.store import ImageStore

GRACE = timedelta(days=7)
FINGERPRINT = "f" * 64


class Stock:
    """A catalogue and its store, whose images can be named, left and looked for."""

    def __init__(self, db: Database, store: ImageStore) -> None:
        self.db, self.store = db, store
        self.later = timedelta()

    def put(self, data: bytes) -> str:
        """Store an image and its vector."""
        digest = self.store.put(data)
        vector = np.ones(4, dtype=np.float32)
        self.db.write(lambda s: image_vectors.store(s, FINGERPRINT, {digest: vector}))
        return digest

    def name(self, sku: str, digest: str) -> int:
        image = ImageRef(uri=self.store.uri(digest), digest=digest)
        draft = Draft(sku=sku, values={}, image=image)
        return self.db.write(lambda s: products.save(s, [draft], priority=queue.SINGLE)).ids[sku]

    def remove(self, *skus: str) -> None:
        self.db.write(lambda s: products.remove(s, skus, priority=queue.SINGLE))

    def look(self, *, days: float = 0) -> dict[str, int]:
        """Look through everything so many days later; return what is unnamed then."""
        self.later += timedelta(days=days, hours=2)  # a pass begins an hour after the last one
        now = utcnow() + self.later
        while unnamed_images.look_through(self.db, self.store, grace=GRACE, seconds=9, now=now):
            pass
        with self.db.read() as session:
            found = unnamed_images.summary(session)
        assert found.pop("checked_at") is not None
        return found

    def holds(self, digest: str) -> tuple[bool, bool]:
        """Whether an image's file and its vector are there."""
        with self.db.read() as session:
            known = image_vectors.known(session, FINGERPRINT, [digest])
        return self.store.exists(digest), digest in known


@pytest.fixture(params=["file", "memory"])
def stock(request: pytest.FixtureRequest, any_db: Database, tmp_path: Path) -> Stock:
    make_generation(any_db)
    url = f"memory://{uuid.uuid4().hex}" if request.param == "memory" else f"file://{tmp_path}/i"
    return Stock(any_db, ImageStore(url))


@pytest.fixture
def local(db: Database, tmp_path: Path) -> Stock:
    make_generation(db)
    return Stock(db, ImageStore(f"file://{tmp_path}/images"))


NOTHING = {"images": 0, "bytes": 0, "vectors": 0}


def test_what_no_product_names_is_counted_and_deleted_after_the_grace(stock: Stock) -> None:
    red, blue = stock.put(b"red"), stock.put(b"blue")
    stock.name("r", red)
    stock.name("b", blue)
    assert stock.look() == NOTHING
    stock.remove("r")
    assert stock.look(days=1) == {"images": 1, "bytes": 3, "vectors": 1}
    stock.look(days=6.5)
    assert stock.holds(red) == (True, True)
    assert stock.look(days=1) == NOTHING
    assert (stock.holds(red), stock.holds(blue)) == ((False, False), (True, True))


def test_an_image_that_is_named_again_is_kept_and_its_grace_begins_anew(stock: Stock) -> None:
    red = stock.put(b"red")
    stock.name("r", red)
    stock.remove("r")
    stock.look()
    stock.name("r", red)
    assert stock.look(days=8) == NOTHING
    stock.remove("r")
    stock.look(days=1)
    stock.look(days=6)
    assert stock.holds(red) == (True, True)


def test_the_last_good_image_of_a_product_is_named(stock: Stock) -> None:
    red, torn = stock.put(b"red"), stock.put(b"torn")
    id_ = stock.name("r", torn)
    with stock.db.read() as session:
        assert named_images.named(session, [red, torn, "unknown"]) == {torn}
    arrange(stock.db, [id_], embedded_digest=red)
    with stock.db.read() as session:
        assert named_images.named(session, [red, torn, "unknown"]) == {red, torn}
        assert named_images.contents_of(session, [id_]) == {red, torn}
    stock.look()
    stock.look(days=8)
    assert stock.holds(red) == (True, True)


def test_an_image_that_an_import_stores_again_is_kept_until_its_row_is_written(
    local: Stock,
) -> None:
    red = local.put(b"red")
    path = local.store.path(red)
    assert path is not None
    long_ago = (utcnow() - timedelta(days=30)).timestamp()
    os.utime(path, (long_ago, long_ago))
    local.look()
    local.later = timedelta()
    local.store.put(b"red")  # the row comes a moment later
    now = utcnow() + timedelta(minutes=59)
    noted_before = update(UnnamedImage).values(found_at=now - 2 * GRACE)
    local.db.write(lambda session: session.execute(noted_before))
    while unnamed_images.look_through(local.db, local.store, grace=GRACE, seconds=9, now=now):
        pass
    assert local.holds(red) == (True, True)


def test_an_image_that_is_stored_while_it_is_deleted_is_there_afterwards(local: Stock) -> None:
    """At the worst moment: the deletion has judged, and has not yet deleted."""
    red = local.put(b"red")

    def put_meanwhile() -> bool:
        assert not local.store.exists(red), "it was moved aside"
        local.store.put(b"red")
        return False

    later = utcnow() + timedelta(days=1)
    assert local.store.delete_unless(red, put_meanwhile, stored_after=later)
    assert local.store.read(red) == b"red"


def test_an_image_that_is_named_while_it_is_deleted_is_put_back(local: Stock) -> None:
    red = local.put(b"red")
    later = utcnow() + timedelta(days=1)
    assert not local.store.delete_unless(red, lambda: True, stored_after=later)
    assert not local.store.delete_unless(red, lambda: False, stored_after=utcnow() - GRACE)
    assert local.store.read(red) == b"red"


def test_a_deletion_whose_process_died_is_undone(local: Stock) -> None:
    red = local.put(b"red")

    def die() -> bool:
        raise KeyboardInterrupt

    path = local.store.path(red)
    assert path is not None
    path.rename(path.with_name(f".{red}.gone"))
    local.look()
    assert local.store.read(red) == b"red"
    with pytest.raises(KeyboardInterrupt):
        local.store.delete_unless(red, die, stored_after=utcnow() + GRACE)
    assert local.store.read(red) == b"red"


def test_a_pass_goes_on_where_it_was_left_and_the_next_begins_an_hour_later(local: Stock) -> None:
    now = utcnow()

    def look(after: timedelta) -> bool:
        return unnamed_images.look_through(
            local.db, local.store, grace=GRACE, seconds=-1, now=now + after
        )

    assert sum(look(timedelta()) for _ in range(256)) == 255
    red = local.put(b"red")
    assert not look(timedelta(minutes=59))
    assert all(look(timedelta(minutes=61)) for _ in range(255))
    look(timedelta(minutes=61))
    with local.db.read() as session:
        assert unnamed_images.summary(session)["images"] == 1
    assert local.holds(red) == (True, True)


def _put_back(session: Session) -> None:
    row = session.scalars(select(ClockRow)).one()
    assert row.origin is not None
    row.origin -= 2 * GRACE


def test_the_grace_goes_by_the_clock_of_the_database(local: Stock) -> None:
    """A host whose clock is ahead of it would delete what was found a moment ago."""
    local.put(b"red")
    with local.db.read() as session:
        time = clock.now(session)
    local.db.write(clock.now)
    local.db.write(_put_back)
    while unnamed_images.look_through(local.db, local.store, grace=GRACE, seconds=9):
        pass
    with local.db.read() as session:
        found_at = session.scalars(select(UnnamedImage.found_at)).one()
    assert found_at < time - GRACE

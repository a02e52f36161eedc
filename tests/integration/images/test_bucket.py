"""The image store in a bucket of a real S3 server: what it keeps, and what its silence costs."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from support.bucket import BUCKET, BucketServer, bucket_server
from support.proxy import Proxy, proxy
from support.servers import wait_for

from backend.errors import ImageUnavailable, MissingImage
from backend.images import store as image_store
from backend.images.store import ImageStore, digest_of

DATA = b"an image"
DIGEST = digest_of(DATA)


@pytest.fixture(scope="module")
def server() -> Iterator[BucketServer]:
    pytest.importorskip("moto")
    with bucket_server() as found:
        yield found


@pytest.fixture
def between(server: BucketServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[Proxy]:
    s3fs = pytest.importorskip("s3fs")
    s3fs.S3FileSystem.clear_instance_cache()  # it remembers the last test's address
    monkeypatch.setattr(image_store, "READ_SECONDS", 1)
    monkeypatch.setattr(image_store, "ATTEMPTS", 1)
    with proxy(server.port) as found:
        for name, value in server.environment(found.port).items():
            monkeypatch.setenv(name, value)
        yield found


@pytest.fixture
def store(between: Proxy) -> ImageStore:
    return ImageStore(f"s3://{BUCKET}/images")


def test_an_image_is_stored_found_listed_and_deleted(store: ImageStore) -> None:
    assert not store.exists(DIGEST)
    assert store.put(DATA) == store.put(DATA) == DIGEST
    assert (store.read(DIGEST), store.size(DIGEST)) == (DATA, len(DATA))
    assert store.listed(DIGEST[:2]) == {DIGEST: len(DATA)}
    later = datetime.now(UTC) + timedelta(hours=1)
    assert not store.delete_unless(DIGEST, lambda: True, stored_after=later)
    assert store.delete_unless(DIGEST, lambda: False, stored_after=later)
    with pytest.raises(MissingImage):
        store.read(DIGEST)


@pytest.mark.slow
def test_a_silent_bucket_is_left_alone_and_used_when_it_is_back(
    store: ImageStore, between: Proxy
) -> None:
    store.put(DATA)
    with between.silenced():
        for _ in range(image_store.TOLERATED + 1):
            with pytest.raises(ImageUnavailable, match="the image store failed"):
                store.read(DIGEST)
        taken = between.accepted
        for _ in range(20):
            with pytest.raises(ImageUnavailable, match="not asked for a moment"):
                store.read(DIGEST)
        assert between.accepted == taken
        assert store.problem()
    assert wait_for(lambda: is_back(store))
    assert store.problem() is None


def test_an_answer_that_is_cut_off_is_no_image(store: ImageStore, between: Proxy) -> None:
    large = b"x" * 300_000
    digest = store.put(large)
    between.cut_after = 100_000
    with pytest.raises(ImageUnavailable):
        store.read(digest)
    between.cut_after = None
    assert wait_for(lambda: is_back(store))
    assert store.read(digest) == large


def is_back(store: ImageStore) -> bool:
    try:
        return store.exists(DIGEST) is not None
    except ImageUnavailable:
        return False

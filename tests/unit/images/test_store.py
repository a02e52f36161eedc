"""Images are kept by the digest of their bytes, whole or not at all."""

from __future__ import annotations

import errno
import hashlib
import os
import threading
import uuid
from pathlib import Path

import pytest

from backend.errors import ConfigurationError, DiskFull, ImageUnavailable, NoImage
from backend.images.store import ImageStore, digest_of

DATA = b"not really an image"
DIGEST = hashlib.sha256(DATA).hexdigest()


@pytest.fixture
def local(tmp_path: Path) -> ImageStore:
    return ImageStore(f"file://{tmp_path}/images")


@pytest.fixture(params=["file", "plain path", "memory"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> ImageStore:
    urls = {
        "file": f"file://{tmp_path}/images",
        "plain path": f"{tmp_path}/images/",
        "memory": f"memory://{uuid.uuid4().hex}",
    }
    return ImageStore(urls[request.param])


def test_what_is_put_can_be_read_by_its_digest(store: ImageStore) -> None:
    assert store.put(DATA) == DIGEST == digest_of(DATA)
    assert store.read(DIGEST) == DATA
    with store.open(DIGEST) as file:
        assert file.read(3) == DATA[:3]


def test_the_uri_of_an_image_is_its_digest(store: ImageStore) -> None:
    assert store.uri(DIGEST) == f"store://{DIGEST}"


def test_only_what_was_put_exists(store: ImageStore) -> None:
    assert not store.exists(DIGEST)
    store.put(DATA)
    assert store.exists(DIGEST)


def test_an_image_that_is_not_there_is_no_image(store: ImageStore) -> None:
    with pytest.raises(NoImage, match=DIGEST):
        store.read(DIGEST)


def test_only_a_folder_of_this_host_has_paths(local: ImageStore, tmp_path: Path) -> None:
    local.put(DATA)
    assert local.is_local
    assert local.path(DIGEST) == tmp_path / "images" / DIGEST[:2] / DIGEST
    elsewhere = ImageStore("memory://elsewhere")
    assert not elsewhere.is_local
    assert elsewhere.path(DIGEST) is None


def test_putting_again_does_not_write_again(local: ImageStore) -> None:
    local.put(DATA)
    path = local.path(DIGEST)
    assert path is not None
    os.utime(path, ns=(1, 1))
    local.put(DATA)
    assert path.stat().st_mtime_ns == 1


def test_a_file_that_a_power_loss_cut_short_is_written_again(local: ImageStore) -> None:
    local.put(DATA)
    path = local.path(DIGEST)
    assert path is not None
    path.write_bytes(DATA[:5])
    local.put(DATA)
    assert local.read(DIGEST) == DATA


def test_a_failed_write_leaves_nothing_behind(
    local: ImageStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(self: Path, target: Path) -> Path:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(DiskFull, match="No space left"):
        local.put(DATA)
    path = local.path(DIGEST)
    assert path is not None
    assert list(path.parent.iterdir()) == []


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_is_not_a_store_out_of_reach(
    local: ImageStore, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def refuse(*_: object) -> int:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(Path, "write_bytes", refuse)
    with pytest.raises(DiskFull, match=os.strerror(number)):
        local.put(b"image")


def test_many_threads_may_put_the_same_image(local: ImageStore) -> None:
    data = b"x" * 1_000_000
    gate = threading.Barrier(8)

    def put() -> None:
        gate.wait()
        local.put(data)
        assert local.read(digest_of(data)) == data

    threads = [threading.Thread(target=put) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    path = local.path(digest_of(data))
    assert path is not None
    assert [file.name for file in path.parent.iterdir()] == [digest_of(data)]


def test_a_store_out_of_reach_is_unavailable_not_empty(tmp_path: Path) -> None:
    (tmp_path / "images").write_text("a file where the folder should be")
    store = ImageStore(f"file://{tmp_path}/images")
    with pytest.raises(ImageUnavailable):
        store.put(DATA)
    with pytest.raises(ImageUnavailable):
        store.read(DIGEST)


def test_an_object_store_that_does_not_answer_is_unavailable(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pytest.importorskip("s3fs")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "x")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")  # the discard port: refused
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    store = ImageStore("s3://shop/images")
    assert not store.is_local
    with pytest.raises(ImageUnavailable):
        store.read(DIGEST)


def test_a_url_that_no_filesystem_knows_is_a_wrong_setting() -> None:
    with pytest.raises(ConfigurationError, match="nowhere"):
        ImageStore("nowhere://images").exists(DIGEST)

"""Local image files are read, and nothing else on this host is."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from backend import images
from backend.catalogue.sources.files import Folder
from backend.errors import ForbiddenImage, ImageTooLarge, ImageUnavailable, NoImage
from backend.images.limits import ImageLimits
from backend.images.local_files import inside, local_path, read_file

LIMITS = ImageLimits()
NOBODY = 65534


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Take all permissions from a file or folder; who is root gives up that right meanwhile."""
    before = path.stat().st_mode
    path.chmod(0)
    is_root = os.geteuid() == 0
    try:
        if is_root:
            os.seteuid(NOBODY)
        yield
    finally:
        if is_root:
            os.seteuid(0)
        path.chmod(before)


def test_a_regular_file_is_read(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"data")

    assert read_file(tmp_path / "a.png", limits=LIMITS) == b"data"


def test_what_is_no_regular_file_is_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")

    for path in (tmp_path / "fifo", Path("/dev/zero"), tmp_path):
        with pytest.raises(ForbiddenImage, match="not a regular file"):
            read_file(path, limits=LIMITS)


def test_a_file_that_may_not_be_read_is_no_fault_of_the_image(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"data")

    with locked(tmp_path / "a.png"), pytest.raises(ImageUnavailable, match="no permission"):
        read_file(tmp_path / "a.png", limits=LIMITS)


def test_an_image_in_a_folder_that_may_not_be_looked_into_is_awaited(tmp_path: Path) -> None:
    (tmp_path / "img" / "new").mkdir(parents=True)

    with locked(tmp_path / "img"):
        for name in ("img/a b.png", "img/new/a.png"):
            found = Folder(tmp_path).image(name)
            assert found is not None
            assert found.uri == (tmp_path / name).as_uri()
            with pytest.raises(ImageUnavailable, match="no permission"):
                found.read(100)


def test_a_missing_file_is_no_image(tmp_path: Path) -> None:
    for path in (tmp_path / "absent.jpg", Path("with\0nul")):
        with pytest.raises(NoImage, match="no file"):
            read_file(path, limits=LIMITS)


def test_a_file_above_the_limit_is_not_read(tmp_path: Path) -> None:
    with (tmp_path / "sparse.jpg").open("wb") as file:
        file.truncate(10**12)

    with pytest.raises(ImageTooLarge, match="1,000,000,000,000 bytes"):
        read_file(tmp_path / "sparse.jpg", limits=LIMITS)


def test_a_path_cannot_leave_its_folder(tmp_path: Path) -> None:
    folder = tmp_path / "catalogue"
    (folder / "images").mkdir(parents=True)
    (tmp_path / "secret.png").touch()
    (folder / "images" / "link.png").symlink_to(tmp_path / "secret.png")
    (folder / "images" / "own.png").symlink_to(folder / "images" / "1.png")
    (folder / "loop").symlink_to(folder / "loop")

    for relative in ("../secret.png", str(tmp_path / "secret.png"), "images/link.png", "a\0b"):
        with pytest.raises(ForbiddenImage):
            inside(folder, relative)
    assert inside(folder, "images/../images/1.png") == folder / "images" / "1.png"
    assert inside(folder, "images/own.png") == folder / "images" / "1.png"


def test_a_file_uri_is_a_local_path(tmp_path: Path) -> None:
    assert local_path("file:///a/b%20c.jpg") == Path("/a/b c.jpg")
    assert local_path("images/1.jpg", folder=tmp_path) == tmp_path / "images" / "1.jpg"
    with pytest.raises(ForbiddenImage, match="another host"):
        local_path("file://server/share/1.jpg")
    with pytest.raises(ForbiddenImage, match="leaves"):
        local_path("file:///etc/passwd", folder=tmp_path)


def test_local_paths_are_told_from_addresses() -> None:
    assert images.is_remote("https://cdn.example/1.jpg")
    assert images.is_remote("s3://bucket/1.jpg")
    assert not images.is_remote("file:///a.jpg")
    assert not images.is_remote("images/1.jpg")


def test_a_file_that_grows_while_it_is_read_is_read_whole_and_within_the_limit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "grows.jpg"
    path.write_bytes(b"data")
    real = os.fstat

    def before_it_grew(descriptor: int) -> os.stat_result:
        found = real(descriptor)
        with path.open("ab") as file:
            file.write(b"and more")
        return found

    monkeypatch.setattr("backend.images.local_files.os.fstat", before_it_grew)
    assert read_file(path, limits=LIMITS) == b"dataand more"
    with pytest.raises(ImageTooLarge):
        read_file(path, limits=ImageLimits(max_bytes=15))

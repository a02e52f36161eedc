"""Feeds in archives and packed files, also within each other."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import tarfile
import tempfile
import zipfile
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pyarrow as pa
import pytest

from backend.catalogue.sources import open_source
from backend.catalogue.sources.feed import CutOff, FeedRow
from backend.errors import UnreadableCatalogue

CSV = b"sku,name,image\nA,Tee,img/a.jpg\nB,Cap,img/b.jpg\n"
IMAGES = {"img/a.jpg": b"one", "img/b.jpg": b"two"}
MEMBERS = {"feed.csv": CSV, **IMAGES}


def zipped(members: dict[str, bytes]) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return made.getvalue()


def tarred(members: dict[str, bytes]) -> bytes:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as archive:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return made.getvalue()


def zstandard(data: bytes) -> bytes:
    made = pa.BufferOutputStream()
    with pa.CompressedOutputStream(made, "zstd") as stream:
        stream.write(data)
    return bytes(made.getvalue().to_pybytes())


def read(path: Path, data: bytes) -> tuple[list[FeedRow], CutOff | None]:
    path.write_bytes(data)
    with closing(open_source(path)) as source:
        rows = [row for row in source.read() if isinstance(row, FeedRow)]
        for row in rows:
            if row.image:
                row.fields = {**row.fields, "bytes": row.image.read(100)}
        return rows, source.cut_off()


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


@pytest.mark.parametrize(
    "data",
    [
        zipped({"all.zip": zipped(MEMBERS)}),
        zipped({"a/b.zip": zipped({"c.ZIP": zipped(MEMBERS)})}),
        gzip.compress(zipped(MEMBERS)),
        tarred(MEMBERS),
        gzip.compress(tarred(MEMBERS)),
        bz2.compress(tarred(MEMBERS)),
        lzma.compress(tarred(MEMBERS)),
        zstandard(tarred(MEMBERS)),
        gzip.compress(tarred({f"shop/{name}": data for name, data in MEMBERS.items()})),
    ],
    ids=[
        "zip-zip",
        "zip-zip-zip",
        "gz-zip",
        "tar",
        "tar.gz",
        "tar.bz2",
        "tar.xz",
        "tar.zst",
        "folder",
    ],
)
def test_an_archive_is_read_with_its_images_and_nothing_is_left_of_it(
    tmp_path: Path, temporary: Path, data: bytes
) -> None:
    rows, cut_off = read(tmp_path / "feed", data)
    assert [(row.sku, row.fields["bytes"]) for row in rows] == [("A", b"one"), ("B", b"two")]
    assert cut_off is None
    assert list(temporary.iterdir()) == []


@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress, lzma.compress])
@pytest.mark.parametrize("around", [bytes, gzip.compress])
def test_a_packed_table_is_read(
    tmp_path: Path, pack: Callable[[bytes], bytes], around: Callable[[bytes], bytes]
) -> None:
    rows, cut_off = read(tmp_path / "feed.csv", around(pack(CSV)))
    assert [row.sku for row in rows] == ["A", "B"]
    assert cut_off is None


@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress, lzma.compress])
def test_two_packed_files_in_a_row_are_one(tmp_path: Path, pack: Callable[[bytes], bytes]) -> None:
    rows, _ = read(tmp_path / "feed.csv", pack(CSV) + pack(b"C,Hat,\n"))
    assert [row.sku for row in rows] == ["A", "B", "C"]


@pytest.mark.parametrize("pack", [bz2.compress, lzma.compress])
def test_a_packed_table_that_ends_early_counts_as_cut_off(
    tmp_path: Path, pack: Callable[[bytes], bytes]
) -> None:
    lines = b"".join(b"%d,Tee,\n" % number for number in range(100_000))
    _, cut_off = read(tmp_path / "feed.csv", pack(b"sku,name,image\n" + lines)[:-20])
    assert cut_off is not None
    assert cut_off.is_certain


def test_a_tar_that_ends_early_is_refused(tmp_path: Path, temporary: Path) -> None:
    big = {"feed.csv": CSV, "img/a.jpg": bytes(100_000)}
    with pytest.raises(UnreadableCatalogue, match="tar is damaged"):
        read(tmp_path / "feed.tar", tarred(big)[:50_000])
    assert list(temporary.iterdir()) == []


@pytest.mark.parametrize("name", ["feed.json", "feed.json.gz", "feed.csv.bz2", "feed.xml.xz"])
def test_a_zip_may_hold_such_a_table(tmp_path: Path, name: str) -> None:
    data = {"json": b'[{"sku": "A"}]', "csv": b"sku,name\nA,x\n"}.get(
        name.split(".")[1], b"<a><item><sku>A</sku><name>x</name></item></a>"
    )
    packs = {"gz": gzip.compress, "bz2": bz2.compress, "xz": lzma.compress}
    pack = packs.get(name.rpartition(".")[2], bytes)
    rows, _ = read(tmp_path / "feed.zip", zipped({name: pack(data)}))
    assert [row.sku for row in rows] == ["A"]


def test_settings_in_json_beside_a_folder_are_no_table(tmp_path: Path) -> None:
    (tmp_path / "shop" / "export").mkdir(parents=True)
    (tmp_path / "shop" / "settings.json").write_text('{"a": 1}')
    (tmp_path / "shop" / "export" / "feed.csv").write_bytes(b"sku,name\nA,x\n")
    with closing(open_source(tmp_path / "shop")) as source:
        assert [row.sku for row in source.read()] == ["A"]


def test_a_table_packed_with_zstandard_is_read_as_far_as_it_goes(tmp_path: Path) -> None:
    lines = [f"A{at},Shirt {at * 7919 % 1000}\n" for at in range(60_000)]
    packed = zstandard("".join(["sku,name\n", *lines]).encode())
    whole, cut_off = read(tmp_path / "a.csv.zst", packed)
    assert (len(whole), cut_off) == (60_000, None)
    first, cut_off = read(tmp_path / "b.csv.zst", packed[: len(packed) * 3 // 4])
    assert 1_000 < len(first) < 60_000
    assert cut_off == CutOff("the Zstandard file ends before its last frame does", is_certain=True)


def test_a_damaged_file_of_zstandard_is_named(tmp_path: Path) -> None:
    packed = zstandard(b"sku,name\nA,Shirt\n" * 100)
    with pytest.raises(UnreadableCatalogue, match="the file is damaged"):
        read(tmp_path / "a.csv.zst", packed[:6] + bytes(9) + packed[15:])

"""FashionMNIST's files, wherever they came from, are a catalogue of images with a class."""

from __future__ import annotations

import gzip
import io
import os
from collections import Counter
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from support.fashion_mnist import idx, pictures_of, write_fashion_mnist

from backend.catalogue.sources import open_source
from backend.catalogue.sources.fashion_mnist import CLASSES, find_folder
from backend.catalogue.sources.feed import FeedRow, Reject
from backend.errors import UnreadableCatalogue
from backend.lab.training.downloads import download_fashion_mnist

REAL = Path(os.environ.get("FASHION_MNIST", "/usr/share/datasets/fashion-mnist"))


def read(path: Path) -> list[FeedRow | Reject]:
    with closing(open_source(path)) as source:
        return list(source.read())


@pytest.mark.parametrize("gzipped", [True, False])
@pytest.mark.parametrize("below", ["", "FashionMNIST/raw"])
def test_every_image_is_a_product_of_its_class(tmp_path: Path, below: str, gzipped: bool) -> None:
    write_fashion_mnist(tmp_path / below, gzipped=gzipped)

    rows = read(tmp_path)

    assert len(rows) == 60
    first, last = rows[0], rows[-1]
    assert isinstance(first, FeedRow)
    assert isinstance(last, FeedRow)
    assert (first.line, first.sku, last.line, last.sku) == (1, "train-00000", 60, "test-00019")
    assert first.fields["article_type"] == CLASSES[0]
    assert last.fields == {
        "display_name": "Ankle boot test-00019",
        "article_type": "Ankle boot",
        "attributes": {"split": "test"},
    }


def test_an_image_keeps_its_pixels(tmp_path: Path) -> None:
    write_fashion_mnist(tmp_path)
    drawn = pictures_of((np.arange(40) % 10).astype(np.uint8))

    row = read(tmp_path)[7]

    assert isinstance(row, FeedRow)
    assert row.image
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(row.image.read(10_000)))), drawn[7])


def test_skus_and_rows_agree(tmp_path: Path) -> None:
    source = open_source(write_fashion_mnist(tmp_path))

    assert list(source.skus()) == [(row.line, row.sku) for row in source.read()]


def test_the_training_images_alone_will_do(tmp_path: Path) -> None:
    write_fashion_mnist(tmp_path)
    for path in tmp_path.glob("t10k*"):
        path.unlink()

    assert len(read(tmp_path)) == 40


def test_a_label_of_no_class_is_rejected_with_its_line(tmp_path: Path) -> None:
    write_fashion_mnist(tmp_path)
    labels = np.array([0] * 5 + [10] + [0] * 34, np.uint8)
    (tmp_path / "train-labels-idx1-ubyte.gz").write_bytes(gzip.compress(idx(labels)))

    (reject,) = (row for row in read(tmp_path) if isinstance(row, Reject))

    assert (reject.line, reject.sku) == (6, "train-00005")
    assert "no class 10" in reject.reason


@pytest.mark.parametrize(
    ("name", "data", "reason"),
    [
        ("train-images-idx3-ubyte.gz", b"not gzip", "train-images"),
        ("train-images-idx3-ubyte.gz", gzip.compress(b"hello"), "not an IDX file of 3"),
        ("train-images-idx3-ubyte.gz", gzip.compress(b""), "not an IDX file of 3"),
        (
            "train-images-idx3-ubyte.gz",
            gzip.compress(idx(np.zeros((40, 28, 28), np.uint8))[:-1]),
            "cut off",
        ),
        (
            "train-images-idx3-ubyte.gz",
            gzip.compress(idx(np.zeros((9, 28, 28), np.uint8))),
            "has 9 images, its labels are 40",
        ),
        ("t10k-labels-idx1-ubyte.gz", None, "no file of labels"),
    ],
    ids=["no gzip", "too short", "empty", "cut off", "too few", "without labels"],
)
def test_a_file_that_is_something_else_is_named(
    tmp_path: Path, name: str, data: bytes | None, reason: str
) -> None:
    path = write_fashion_mnist(tmp_path) / name
    if data is None:
        path.unlink()
    else:
        path.write_bytes(data)

    with pytest.raises(UnreadableCatalogue, match=reason):
        read(tmp_path)


@pytest.mark.skipif(not REAL.is_dir(), reason="FASHION_MNIST names no folder")
def test_the_real_files_hold_seventy_thousand_images() -> None:
    rows = read(REAL)

    kinds = Counter(row.fields["article_type"] for row in rows if isinstance(row, FeedRow))
    assert kinds == dict.fromkeys(CLASSES, 7_000)


def test_without_files_and_network_both_ways_out_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")

    with pytest.raises(UnreadableCatalogue, match=r"Name a folder .* dataset-fashion-mnist"):
        download_fashion_mnist(tmp_path)


def test_files_that_torchvision_has_fetched_are_not_fetched_again(tmp_path: Path) -> None:
    write_fashion_mnist(tmp_path / "FashionMNIST" / "raw", gzipped=False)

    assert find_folder(download_fashion_mnist(tmp_path)) == tmp_path / "FashionMNIST" / "raw"

"""The default network and a real catalogue, imported while the shop is open."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
from support import real_catalogue
from support.installation import Installation, distributed
from support.servers import wait_for

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

PRODUCTS = 5000
NEW = "new-arrival"


@pytest.fixture
def catalogue(shared_data: Path, tmp_path: Path) -> Path:
    """The first products of the shared catalogue, with their images."""
    return real_catalogue.unpack(shared_data, tmp_path / "shop", PRODUCTS)


@pytest.fixture
def shop(tmp_path: Path, postgres_url: str) -> Iterator[Installation]:
    changes = {
        "embedder": "lookalike-fashion",
        "interactive_seconds": 10,  # the workers take all there is of a small machine
        "lease_seconds": 60,
        "hang_seconds": 60,
        "decode_seconds": 10,
    }
    with distributed(tmp_path / "installation", postgres_url, **changes) as found:
        for name, queue in (("w1", "index"), ("w2", "index"), ("shoppers", "interactive")):
            found.worker(name, queue=queue)
        found.start("beat")
        found.api()
        found.wait_until_ready("w1", "w2", "shoppers", seconds=120)
        yield found


def first_of(catalogue: Path) -> Path:
    """Return the image of the first product in the file that has one."""
    _, *rows = (catalogue / "styles.csv").read_text().splitlines()
    images = (catalogue / "images" / f"{row.split(',', 1)[0]}.jpg" for row in rows)
    return next(image for image in images if image.exists())


def similar(url: str, sku: str) -> requests.Response:
    return requests.get(f"{url}/v1/products/{sku}/similar", timeout=10)


def test_a_real_catalogue_is_imported_while_the_shop_answers(
    shop: Installation, catalogue: Path
) -> None:
    url = shop.url
    images = sorted((catalogue / "images").iterdir())
    expected = (PRODUCTS, PRODUCTS - len(images))
    importing = shop.start("import", str(catalogue))
    first = first_of(catalogue)
    wait_for(lambda: similar(url, first.stem).status_code == 200, seconds=60)

    arrive(url, images[-1].read_bytes())
    assert shop.progress().pending > 0, "all was indexed before the new arrival"
    answer = requests.post(
        f"{url}/v1/similar",
        data=first.read_bytes(),
        headers={"Content-Type": "image/jpeg"},
        timeout=20,
    )
    assert answer.status_code == 200, answer.text
    assert answer.json()["items"][0]["score"] > 0.999

    answered = 0
    while importing.poll() is None or shop.progress().pending:
        assert similar(url, first.stem).status_code == 200
        answered += 1
        time.sleep(0.1)
    assert importing.returncode == 0
    assert answered > 3
    now = shop.progress()
    assert (now.products, now.quarantined) == (expected[0] + 1, expected[1])
    assert shop.verify()["drift"] == 0
    assert has_loaded(shop, "w1", "libopenvino")
    assert not has_loaded(shop, "api", "libopenvino")
    assert not has_loaded(shop, "api", "libtorch")


def arrive(url: str, image: bytes) -> None:
    """Store a new product and its image, and wait until it is found."""
    product = f"{url}/v1/products/{NEW}"
    assert requests.put(product, json={"article_type": "Tops"}, timeout=10).ok
    assert requests.put(
        f"{product}/image", data=image, headers={"Content-Type": "image/jpeg"}, timeout=10
    ).ok
    wait_for(lambda: similar(url, NEW).status_code == 200, seconds=120)


def has_loaded(shop: Installation, name: str, library: str) -> bool:
    parent = shop.process(name)
    return any(
        library in Path(f"/proc/{process.pid}/maps").read_text()
        for process in [parent, *parent.children(recursive=True)]
    )

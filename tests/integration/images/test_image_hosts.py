"""Images on other hosts: a host that does not answer holds up neither the others nor the worker."""

from __future__ import annotations

import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
from support.host_faults import ImageHost
from support.image_files import colour_image
from support.servers import wait_for

from backend.errors import HostUnavailable, ImageUnavailable
from backend.images.decoder_pool import Decoded, DecoderPool
from backend.images.limits import ImageLimits
from backend.images.open_images import AHEAD, FETCHERS, IN_FLIGHT, ImageOpener
from backend.images.store import ImageStore
from backend.outages import Outages

LIMITS = ImageLimits()
TARGET = (8, 8)


@pytest.fixture(scope="module")
def decoders() -> Iterator[DecoderPool]:
    with DecoderPool(1, limits=LIMITS) as pool:
        yield pool


@pytest.fixture
def host() -> Iterator[ImageHost]:
    found = ImageHost(colour_image("red"))
    yield found
    found.close()


@pytest.fixture
def other() -> Iterator[ImageHost]:
    found = ImageHost(colour_image("blue"))
    yield found
    found.close()


def opener_of(
    decoders: DecoderPool, folder: Path, *hosts: ImageHost, seconds: float = 5, first: float = 5
) -> ImageOpener:
    """Open images of these hosts as the product does."""

    def fetch(uri: str) -> bytes:
        port = int(uri.split("/")[2].partition(":")[2])
        host = next(one for one in hosts if one.port == port)
        return host.fetch(uri, limits=LIMITS, seconds=seconds)

    store = ImageStore(f"file://{folder}")
    return ImageOpener(store, decoders, fetch=fetch, outages=Outages(first_seconds=first))


@pytest.mark.parametrize("mood", ["hangs", "resets", "fails"])
def test_a_host_that_fails_for_all_is_soon_left_alone_and_every_image_signals_life(
    decoders: DecoderPool, host: ImageHost, tmp_path: Path, mood: str
) -> None:
    host.mood = mood
    beats: list[None] = []
    opener = opener_of(decoders, tmp_path, host, seconds=0.5)
    uris = [host.uri(number) for number in range(96)]

    found = list(opener.open(uris, TARGET, heartbeat=partial(beats.append, None)))

    assert len(beats) == len(found) == 96
    assert all(isinstance(one, ImageUnavailable) for one in found)
    assert sum(isinstance(one, HostUnavailable) for one in found) >= 96 - 2
    assert len(host.asked) <= 2 * FETCHERS


def test_a_host_that_refuses_is_at_fault_from_the_first_image_on(
    decoders: DecoderPool, host: ImageHost, tmp_path: Path
) -> None:
    opener = opener_of(decoders, tmp_path, host)
    host.die()
    found = list(opener.open([host.uri(number) for number in range(3)], TARGET))
    host.come_back()

    assert [type(one) for one in found] == [HostUnavailable] * 3
    assert "cannot be reached" in str(found[0])


@pytest.mark.slow
def test_a_dead_host_holds_up_no_image_of_another(
    decoders: DecoderPool, host: ImageHost, other: ImageHost, tmp_path: Path
) -> None:
    host.mood = "hangs"
    opener = opener_of(decoders, tmp_path, host, other, seconds=3)
    uris = [one.uri(number) for number in range(40) for one in (host, other)]

    found = list(opener.open(uris, TARGET))

    assert [type(one) for one in found[1::2]] == [Decoded] * 40
    assert opener.is_doubtful(host.uri(0))
    assert not opener.is_doubtful(other.uri(0))


def test_a_host_that_comes_back_is_found_by_one_try(
    decoders: DecoderPool, host: ImageHost, tmp_path: Path
) -> None:
    opener = opener_of(decoders, tmp_path, host, first=0.001)
    host.die()
    list(opener.open([host.uri(number) for number in range(5)], TARGET))
    assert opener.is_doubtful(host.uri(0))
    host.come_back()

    def answers() -> bool:
        return isinstance(next(opener.open([host.uri("again")], TARGET)), Decoded)

    wait_for(answers)
    assert not opener.is_doubtful(host.uri(0))


def test_an_image_for_which_a_host_fails_that_gives_others_is_its_own_fault(
    decoders: DecoderPool, host: ImageHost, tmp_path: Path
) -> None:
    opener = opener_of(decoders, tmp_path, host)
    for number in range(5):
        uris = [host.uri(f"broken{number}"), host.uri(number)]
        broken, good = opener.open(uris, TARGET)
        assert type(broken) is ImageUnavailable
        assert isinstance(good, Decoded)


def test_a_large_claim_is_not_fetched_at_once(decoders: DecoderPool, tmp_path: Path) -> None:
    asked: list[str] = []

    def fetch(uri: str) -> bytes:
        asked.append(uri)
        return b"no image"

    opener = ImageOpener(ImageStore(f"file://{tmp_path}"), decoders, fetch=fetch)
    results = opener.open([f"https://a.example/{n}" for n in range(3 * AHEAD)], TARGET)

    next(results)
    wait_for(lambda: len(asked) >= AHEAD)
    time.sleep(0.1)  # what is not bounded would go on
    assert len(asked) <= AHEAD + IN_FLIGHT
    results.close()

"""What a download refuses, and what it blames."""

from __future__ import annotations

import time
from collections.abc import Iterator
from email.utils import formatdate
from pathlib import Path

import pytest
from support.certificates import make_certificate
from support.feed_host import FeedHost, feed_host

from backend.errors import FeedUnavailable, ForbiddenFeed
from backend.feeds.download import Download, FeedLimits, fetch_feed

LIMITS = FeedLimits(max_bytes=1_000_000, seconds=20)


@pytest.fixture
def plain() -> Iterator[FeedHost]:
    with feed_host() as host:
        host.fill(10)
        yield host


@pytest.fixture
def tls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FeedHost]:
    certificate = make_certificate(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate[0]))
    with feed_host(certificate) as host:
        host.fill(10)
        yield host


def fetch(uri: str, path: Path, *hosts: FeedHost) -> Download | None:
    return fetch_feed(
        uri,
        path,
        hosts=[host.name for host in hosts],
        limits=LIMITS,
        seen=None,
        progress=lambda _done, _total: None,
        may_connect=lambda address: address.is_loopback,
    )


def test_a_redirect_leads_from_http_to_https_and_not_back(
    plain: FeedHost, tls: FeedHost, tmp_path: Path
) -> None:
    path = tmp_path / "feed"
    plain.elsewhere, tls.elsewhere = tls.url(), plain.url()
    assert fetch(plain.url("elsewhere"), path, plain, tls)
    assert path.read_text() == tls.text
    plain.asked.clear()
    with pytest.raises(ForbiddenFeed, match="not https"):
        fetch(tls.url("elsewhere"), path, plain, tls)
    assert plain.asked == []


def test_a_date_to_try_again_is_compared_with_the_clock_of_the_host(
    plain: FeedHost, tmp_path: Path
) -> None:
    plain.status, plain.retry_after = 503, formatdate(time.time() + 1000, usegmt=True)
    with pytest.raises(FeedUnavailable, match=r"asks to wait (999|1000|1001) s"):
        fetch(plain.url(), tmp_path / "feed", plain)
    plain.retry_after = "soon"
    with pytest.raises(FeedUnavailable, match=r"status 503$"):
        fetch(plain.url(), tmp_path / "feed", plain)


def test_a_redirect_to_a_host_that_is_not_allowed_is_not_followed(
    plain: FeedHost, tls: FeedHost, tmp_path: Path
) -> None:
    plain.elsewhere = tls.url("feed.csv?token=hunter2")
    with pytest.raises(ForbiddenFeed, match="not among the hosts that feeds") as refused:
        fetch(plain.url("elsewhere"), tmp_path / "feed", plain)
    assert "hunter2" not in refused.value.message
    assert tls.asked == []


def test_a_full_disk_is_not_a_fault_of_the_host(plain: FeedHost) -> None:
    with pytest.raises(FeedUnavailable, match="cannot be stored: No space left"):
        fetch(plain.url(), Path("/dev/full"), plain)

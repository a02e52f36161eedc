"""One rule says which remote addresses images may come from."""

from __future__ import annotations

import pytest

from backend.api.image_addresses import check_addresses
from backend.catalogue.products import Draft, ImageRef
from backend.errors import ForbiddenImage, InvalidProduct
from backend.images.addresses import parse_address
from backend.images.fetch import fetch
from backend.images.limits import ImageLimits
from backend.settings import Settings

HOSTS = ("cdn.example", "Other.Example:8443", "bucket", "2606:2800:220:1::1")

ALLOWED = [
    "https://cdn.example/1.jpg",
    "http://cdn.example/1.jpg?size=large size",
    "HTTPS://CDN.example/1.jpg",
    "https://cdn.example:443/1.jpg",
    "http://cdn.example:80/1.jpg",
    "https://cdn.example:/1.jpg",
    "https://other.example:8443/1.jpg",
    "https://[2606:2800:220:1::1]/1.jpg",
    "s3://bucket/1.jpg",
]

FORBIDDEN = {
    "another host": "https://elsewhere.example/1.jpg",
    "a longer host": "https://cdn.example.evil.example/1.jpg",
    "a host in the path": "https://evil.example/cdn.example/1.jpg",
    "a trailing dot": "https://cdn.example./1.jpg",
    "another port": "https://cdn.example:8443/1.jpg",
    "the port of another scheme": "http://cdn.example:443/1.jpg",
    "without the listed port": "https://other.example/1.jpg",
    "port zero": "https://cdn.example:0/1.jpg",
    "a port that is no number": "https://cdn.example:port/1.jpg",
    "a port out of range": "https://cdn.example:99999/1.jpg",
    "credentials": "https://user:secret@cdn.example/1.jpg",
    "a user": "https://user@cdn.example/1.jpg",
    "empty credentials": "https://@cdn.example/1.jpg",
    "a host as credentials": "https://cdn.example@evil.example/1.jpg",
    "a backslash": "https://evil.example\\@cdn.example/1.jpg",
    "no host": "https:///1.jpg",
    "a half-open bracket": "https://[::1/1.jpg",
    "a newline in the host": "https://cdn.exa\nmple/1.jpg",
    "a tab in the scheme": "ht\ttps://cdn.example/1.jpg",
    "a control character in front": "\x01https://cdn.example/1.jpg",
    "a newline in the path": "https://cdn.example/1.jpg\r\nHost: evil.example",
    "a delete character": "https://cdn.example/\x7f.jpg",
    "another scheme": "ftp://cdn.example/1.jpg",
    "another store": "gs://bucket/1.jpg",
    "a local file": "file:///etc/passwd",
    "a local path": "/etc/passwd",
    "another bucket": "s3://another-bucket/1.jpg",
    "nothing": "",
}


def of(uri: str) -> Draft:
    return Draft(sku="1", values={}, image=ImageRef(uri=uri))


@pytest.mark.parametrize("uri", ALLOWED)
def test_an_address_on_an_allowed_host_is_allowed(uri: str) -> None:
    assert parse_address(uri, hosts=HOSTS).hostname in uri.lower()
    check_addresses(of(uri), (), Settings(image_hosts=HOSTS))


@pytest.mark.parametrize("uri", FORBIDDEN.values(), ids=FORBIDDEN)
def test_what_the_fetch_refuses_the_api_refuses_too(uri: str) -> None:
    with pytest.raises(ForbiddenImage):
        parse_address(uri, hosts=HOSTS)
    with pytest.raises(ForbiddenImage):
        fetch(uri, hosts=HOSTS, limits=ImageLimits(), seconds=1)
    with pytest.raises(InvalidProduct, match="allowed host"):
        check_addresses(of(uri), (), Settings(image_hosts=HOSTS))


def test_without_allowed_hosts_no_address_is_allowed() -> None:
    for uri in ALLOWED:
        with pytest.raises(ForbiddenImage, match="not among the hosts"):
            parse_address(uri, hosts=())

"""A shop's web pages, as a browser without scripts asks for them."""

from __future__ import annotations

import re
from html import unescape

from flask import Flask
from flask.testing import FlaskClient

from backend.api import create_app
from backend.bootstrap import Services
from backend.web import facets, register_web, thumbnails
from support.shop import Shop

HTML = {"Accept": "text/html"}


_apps: list[tuple[Services, bool, Flask]] = []
"""The apps of the last shops: to make one takes longer than most tests."""


def pages_of(shop: Shop, *, locked: bool = False, fresh: bool = False) -> FlaskClient:
    """A browser at the pages of a shop, whose app remembers nothing; `fresh`, not even its keys."""
    kept = [app for its, keys, app in _apps if its is shop.services and keys == locked]
    if fresh or not kept:
        app = create_app(shop.services, locked=locked)
        register_web(app, shop.services, locked=locked)
        _apps[:] = [*_apps[-3:], (shop.services, locked, app)]
    else:
        app = kept[-1]
        app.extensions[facets.KEPT].clear()
        app.extensions[thumbnails.KEPT] = thumbnails.Thumbnails()
    return app.test_client()


def read(browser: FlaskClient, address: str) -> str:
    """A page that must be there."""
    answer = browser.get(address, headers=HTML)
    assert answer.status_code == 200, answer.text
    return answer.text


def part(page: str, id: str) -> str:
    """The text from the beginning of a part of a page on, up to the next section."""
    found = re.search(rf'<(?:section|div)[^>]*\bid="{id}".*?(?=</section>|\Z)', page, re.DOTALL)
    assert found, f"no {id} in {page}"
    return found[0]


def skus_in(page: str) -> list[str]:
    """The products that a page leads to, in order; each as often as it stands there."""
    tiles = re.findall(r'class="tile-link" href="/products/([^"?]+)', page)
    return [unescape(sku) for sku in tiles]


def token_in(page: str) -> str:
    """The token of the session in a form of a page."""
    found = re.search(r'name="csrf_token" value="([0-9a-f]{64})"', page)
    assert found
    return found[1]


def link_of(page: str, id: str) -> str:
    """The address of a link by its id."""
    found = re.search(rf'id="{id}"[^>]*href="([^"]+)"', page)
    assert found
    return unescape(found[1])

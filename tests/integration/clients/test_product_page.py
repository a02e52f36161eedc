"""The page of docs/integrating.md: a product with similar ones, from the clients' own example."""

from __future__ import annotations

import re
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Thread

import httpx
import pytest
from support.http_server import http_server
from support.keys import make_key
from support.places import ROOT
from support.shop import Shop

from backend.access.scope import Scope
from backend.api import create_app

sys.path.insert(0, str(Path(ROOT) / "clients" / "python"))
sys.path.insert(0, str(Path(ROOT) / "examples"))
from lookalike_client import Client

from product_page.page import serve


@contextmanager
def page_server(client: Client) -> Iterator[str]:
    """Serve the pages; yields their address."""
    with serve(0, client) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture
def browser() -> Iterator[httpx.Client]:
    with httpx.Client(trust_env=False, follow_redirects=True) as found:
        yield found


def shown(html: str) -> list[str]:
    return re.findall(r"sku=(\w+)", html)


def test_the_page_shows_similar_products_and_tells_what_was_clicked(
    wardrobe: Shop, browser: httpx.Client
) -> None:
    key = make_key(wardrobe.services, Scope.ADMIN)  # only an admin reads what a shopper did
    with (
        http_server(create_app(wardrobe.services, locked=True)) as server,
        Client(f"http://localhost:{server.port}", key=key, tries=1) as client,
        page_server(client) as shop,
    ):
        page = browser.get(f"{shop}/p/0001").text
        assert shown(page) == ["0002", "0005", "0004"]  # 0003 is sold out
        assert key not in page
        link = re.findall(r'href="(/go[^"]+)"', page)[0].replace("&amp;", "&")
        assert "<h1>Shirt 0002</h1>" in browser.get(f"{shop}{link}").text
        assert browser.get(f"{shop}/p/nobody").status_code == 404
        wardrobe.put("new", display_name="<New>")
        new = browser.get(f"{shop}/p/new").text
        assert "<h1>&lt;New&gt;</h1>" in new
        assert shown(new) == []  # it has no vector
        events = client.api.list_user_events(browser.cookies["shopper"])["items"]
        kinds = {(it["kind"], it["sku"]) for it in events}
        assert kinds >= {("impression", "0002"), ("click", "0002")}


def test_a_server_that_is_down_is_no_reason_to_wait(browser: httpx.Client) -> None:
    with socket.socket() as taken:  # nobody listens there
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
        with Client(url, timeout=2, tries=1) as client, page_server(client) as shop:
            assert browser.get(f"{shop}/p/0001").status_code == 503

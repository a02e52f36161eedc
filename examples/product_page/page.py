"""A shop's page of a product, with similar products below it.

`LOOKALIKE_URL=… LOOKALIKE_KEY=… python page.py 8080` serves `/p/SKU`. The key stays in this
process: browsers ask the shop alone.
"""

from __future__ import annotations

import os
import sys
import uuid
from collections.abc import Iterator
from contextlib import suppress
from functools import cached_property
from html import escape
from http import HTTPStatus
from http.cookies import SimpleCookie
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, quote, unquote, urlsplit

import httpx
from lookalike_client import Client, LookalikeError

SHOWN = "display_name,price,currency,image_url,in_stock"
STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 56rem; }
.product { display: flex; gap: 2rem; }
.similar { display: grid; grid-template-columns: repeat(4, 1fr); gap: 1rem; }
.similar a { color: inherit; text-decoration: none; }
img { background: #f4f4f4; border-radius: .5rem; object-fit: contain; }
.product img { width: 16rem; height: 20rem; } .similar img { width: 100%; height: 12rem; }
"""


class Shop:
    """What the page asks the API for."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def product(self, sku: str) -> dict[str, Any] | None:
        """Return a product, None if there is none. A shop has products of its own instead."""
        try:
            return self._client.api.get_product(sku, fields=SHOWN)
        except LookalikeError as error:
            if error.status == HTTPStatus.NOT_FOUND:
                return None
            raise

    def similar(self, sku: str) -> dict[str, Any] | None:
        """Return four products that look like one, in stock, one of all its variants.

        None where there is no answer now: the product waits for its vector, or the server is down.
        """
        wanted = {"limit": 4, "in_stock": True, "group_by": "group_id", "fields": SHOWN}
        with suppress(LookalikeError, httpx.HTTPError):
            return self._client.similar(sku, **wanted)
        return None

    def tell(self, kind: str, skus: list[str], list_id: str, shopper: str) -> None:
        """Tell that products of a list were shown, or one was clicked; a lost event is no harm."""
        about = {"kind": kind, "user": shopper, "recommendation_id": list_id}
        with suppress(LookalikeError, httpx.HTTPError):
            self._client.api.post_events({"items": [{**about, "sku": sku} for sku in skus]})


def page(product: dict[str, Any], found: dict[str, Any] | None) -> str:
    """Return the page as HTML."""
    name = escape(product["display_name"] or product["sku"])
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{name}</title>'
        f"<style>{STYLE}</style><main><article class='product'>{image(product, name)}"
        f"<div><h1>{name}</h1><p>{price(product)}</p></div></article>"
        f"{''.join(section(found)) if found and found['items'] else ''}</main></html>"
    )


def section(found: dict[str, Any]) -> Iterator[str]:
    """Yield the part of the page with similar products."""
    yield "<h2>You may also like</h2><section class='similar'>"
    for item in found["items"]:
        product = item["product"]
        name = escape(product["display_name"] or item["sku"])
        target = f"/go?list={quote(found['recommendation_id'])}&sku={quote(item['sku'], safe='')}"
        yield f'<a href="{escape(target)}">{image(product, name)}<br>{name}<br>{price(product)}</a>'
    yield "</section>"


def image(product: dict[str, Any], name: str) -> str:
    """Return an image; its address needs no key."""
    return (
        f'<img src="{escape(product["image_url"])}" alt="{name}">' if product["image_url"] else ""
    )


def price(product: dict[str, Any]) -> str:
    """Return a price as text, if there is one."""
    amount, currency = product["price"], product["currency"] or ""
    return escape(f"{amount:.2f} {currency}") if amount is not None else ""


class Handler(BaseHTTPRequestHandler):
    """Answers `/p/SKU`, and `/go` for a click on a similar product."""

    shop: Shop

    def do_GET(self) -> None:
        """Answer a browser."""
        asked = urlsplit(self.path)
        if asked.path == "/go":
            self._go(parse_qs(asked.query))
            return
        sku = unquote(asked.path.removeprefix("/p/"))
        try:
            product = self.shop.product(sku) if asked.path.startswith("/p/") else None
        except (LookalikeError, httpx.HTTPError):
            self.send_error(HTTPStatus.SERVICE_UNAVAILABLE)
            return
        if product is None:
            self.send_error(HTTPStatus.NOT_FOUND)
            return
        found = self.shop.similar(sku)
        self._send(HTTPStatus.OK, page(product, found).encode())
        if found:
            skus = [item["sku"] for item in found["items"]]
            self.shop.tell("impression", skus, found["recommendation_id"], self._shopper)

    def _go(self, query: dict[str, list[str]]) -> None:
        [sku], [list_id] = query["sku"], query["list"]
        self.shop.tell("click", [sku], list_id, self._shopper)
        self._send(HTTPStatus.SEE_OTHER, b"", Location=f"/p/{quote(sku, safe='')}")

    @cached_property
    def _shopper(self) -> str:
        """A pseudonym, which a cookie keeps."""
        cookies = SimpleCookie(self.headers.get("Cookie", ""))
        return cookies["shopper"].value if "shopper" in cookies else uuid.uuid4().hex

    def _send(self, status: HTTPStatus, body: bytes, **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Set-Cookie", f"shopper={self._shopper}; HttpOnly; SameSite=Lax; Path=/")
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Log nothing."""


def serve(port: int, client: Client) -> ThreadingHTTPServer:
    """Return a server for the pages of a shop; port 0 is a free one."""
    handler = type("ShopHandler", (Handler,), {"shop": Shop(client)})
    return ThreadingHTTPServer(("127.0.0.1", port), handler)


if __name__ == "__main__":
    url, key = os.environ["LOOKALIKE_URL"], os.environ.get("LOOKALIKE_KEY")
    with Client(url, key=key, timeout=2, tries=1) as lookalike:
        server = serve(int(sys.argv[1]), lookalike)
        sys.stdout.write(f"http://127.0.0.1:{server.server_port}/p/SKU\n")
        sys.stdout.flush()
        server.serve_forever()

"""Two clients with the same methods: one waits for each answer, the other one is awaited."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Sequence
from typing import Any, Self, TypeAlias

import httpx

from lookalike_client import requests
from lookalike_client.operations import Operations
from lookalike_client.requests import Answer, Fields, Request

Page: TypeAlias = Callable[[str | None], Request]
"""Returns the request for the page of a cursor, None: the first one."""


class Client:
    """A client that waits for each answer. Close it, or use it in a `with`."""

    def __init__(
        self,
        url: str,
        *,
        key: str | None = None,
        timeout: float = 30.0,
        tries: int = requests.TRIES,
    ) -> None:
        """`timeout` is in seconds; `tries` is how often a request is sent at most."""
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        self._http = httpx.Client(base_url=url, headers=headers, timeout=timeout)
        self._tries = tries
        self.api: Operations[Answer] = Operations(self.send)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close all connections."""
        self._http.close()

    def send(self, request: Request) -> Answer:
        """Send a request, again where that may help; raises LookalikeError, or httpx's errors."""
        for tries in range(1, self._tries + 1):
            try:
                response = self._http.request(request.method, request.path, **request.options)
            except httpx.TransportError:
                if (seconds := requests.wait_after(None, tries, self._tries)) is None:
                    raise
            else:
                if (seconds := requests.wait_after(response, tries, self._tries)) is None:
                    return requests.read(response)
            time.sleep(seconds)
        raise AssertionError("the last try returns or raises")

    def get_product(self, sku: str) -> Answer:
        """Read a product."""
        return self.send(requests.product("GET", sku))

    def put_product(self, sku: str, fields: Fields, *, if_match: str | None = None) -> Answer:
        """Store a complete product."""
        return self.send(requests.product("PUT", sku, json=dict(fields), if_match=if_match))

    def patch_product(self, sku: str, fields: Fields, *, if_match: str | None = None) -> Answer:
        """Change some fields of a product."""
        return self.send(requests.product("PATCH", sku, json=dict(fields), if_match=if_match))

    def delete_product(self, sku: str) -> None:
        """Remove a product."""
        self.send(requests.product("DELETE", sku))

    def put_image(self, sku: str, image: bytes) -> Answer:
        """Give a product its first image."""
        return self.send(requests.put_image(sku, image))

    def products(self, **filters: Any) -> Iterator[Answer]:
        """Yield all products that pass a filter, page by page."""
        return self._items(lambda cursor: requests.products(filters, cursor))

    def each(self, ask: Callable[..., Answer], *names: Any, **query: Any) -> Iterator[Answer]:
        """Yield the items of all pages of a list of `api`, such as `each(api.list_rules)`."""
        cursor = None
        while True:
            page = ask(*names, **query, cursor=cursor)
            yield from page["items"]
            if (cursor := page["next_cursor"]) is None:
                return

    def _items(self, page_of: Page) -> Iterator[Answer]:
        cursor = None
        while True:
            page = self.send(page_of(cursor))
            yield from page["items"]
            if (cursor := page["next_cursor"]) is None:
                return

    def put_products(self, items: Sequence[Fields]) -> list[Answer]:
        """Store up to 1,000 products; return the result of each."""
        results: list[Answer] = self.send(requests.batch("batch", {"items": items}))["items"]
        return results

    def patch_products(self, items: Sequence[Fields]) -> list[Answer]:
        """Change up to 1,000 products; return the result of each."""
        results: list[Answer] = self.send(requests.batch("patch", {"items": items}))["items"]
        return results

    def import_products(self, items: Iterable[Fields]) -> Answer:
        """Send many products at once; return the job that stores them, for `get_import`."""
        return self.send(requests.import_products(items))

    def get_import(self, number: int) -> Answer:
        """Read how far an import is: its `state`, and in the end its `result`."""
        return self.send(Request("GET", f"/v1/imports/{number}"))

    def similar(self, sku: str, **parameters: Any) -> Answer:
        """Find the products that look like this one."""
        return self.send(requests.similar(sku, parameters))

    def all_similar(self, sku: str, **parameters: Any) -> Iterator[Answer]:
        """Yield what looks like a product, page by page; a page has `limit` of them."""
        return self._items(lambda cursor: requests.similar(sku, parameters, cursor))

    def search(self, image: bytes, **parameters: Any) -> Answer:
        """Find the products that look like an image."""
        return self.send(requests.search(image, parameters))

    def all_found(self, image: bytes, **parameters: Any) -> Iterator[Answer]:
        """Yield what looks like an image, page by page; the image is sent once."""
        return self._items(lambda cursor: requests.search(image, parameters, cursor))

    def search_by(self, **members: Any) -> Answer:
        """Find similar products as a JSON body asks: by `sku`, `text` or `image_uri`."""
        return self.send(requests.search_by(members))

    def all_found_by(self, **members: Any) -> Iterator[Answer]:
        """Yield what a JSON body asks for, page by page; an image is fetched once."""
        return self._items(lambda cursor: requests.search_by(members, cursor))

    def recommend(self, **members: Any) -> Answer:
        """Recommend products by examples, for a shopper or a visit."""
        return self.send(requests.recommend(members))

    def all_recommended(self, **members: Any) -> Iterator[Answer]:
        """Yield recommendations, page by page."""
        return self._items(lambda cursor: requests.recommend(members, cursor))


class AsyncClient:
    """A client for asyncio. Close it, or use it in an `async with`."""

    def __init__(
        self,
        url: str,
        *,
        key: str | None = None,
        timeout: float = 30.0,
        tries: int = requests.TRIES,
    ) -> None:
        """`timeout` is in seconds; `tries` is how often a request is sent at most."""
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        self._http = httpx.AsyncClient(base_url=url, headers=headers, timeout=timeout)
        self._tries = tries
        self.api: Operations[Awaitable[Answer]] = Operations(self.send)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Close all connections."""
        await self._http.aclose()

    async def send(self, request: Request) -> Answer:
        """Send a request, again where that may help; raises LookalikeError, or httpx's errors."""
        for tries in range(1, self._tries + 1):
            try:
                response = await self._http.request(request.method, request.path, **request.options)
            except httpx.TransportError:
                if (seconds := requests.wait_after(None, tries, self._tries)) is None:
                    raise
            else:
                if (seconds := requests.wait_after(response, tries, self._tries)) is None:
                    return requests.read(response)
            await asyncio.sleep(seconds)
        raise AssertionError("the last try returns or raises")

    async def get_product(self, sku: str) -> Answer:
        """Read a product."""
        return await self.send(requests.product("GET", sku))

    async def put_product(self, sku: str, fields: Fields, *, if_match: str | None = None) -> Answer:
        """Store a complete product."""
        return await self.send(requests.product("PUT", sku, json=dict(fields), if_match=if_match))

    async def patch_product(
        self, sku: str, fields: Fields, *, if_match: str | None = None
    ) -> Answer:
        """Change some fields of a product."""
        return await self.send(requests.product("PATCH", sku, json=dict(fields), if_match=if_match))

    async def delete_product(self, sku: str) -> None:
        """Remove a product."""
        await self.send(requests.product("DELETE", sku))

    async def put_image(self, sku: str, image: bytes) -> Answer:
        """Give a product its first image."""
        return await self.send(requests.put_image(sku, image))

    def products(self, **filters: Any) -> AsyncIterator[Answer]:
        """Yield all products that pass a filter, page by page."""
        return self._items(lambda cursor: requests.products(filters, cursor))

    async def each(
        self, ask: Callable[..., Awaitable[Answer]], *names: Any, **query: Any
    ) -> AsyncIterator[Answer]:
        """Yield the items of all pages of a list of `api`, such as `each(api.list_rules)`."""
        cursor = None
        while True:
            page = await ask(*names, **query, cursor=cursor)
            for item in page["items"]:
                yield item
            if (cursor := page["next_cursor"]) is None:
                return

    async def _items(self, page_of: Page) -> AsyncIterator[Answer]:
        cursor = None
        while True:
            page = await self.send(page_of(cursor))
            for item in page["items"]:
                yield item
            if (cursor := page["next_cursor"]) is None:
                return

    async def put_products(self, items: Sequence[Fields]) -> list[Answer]:
        """Store up to 1,000 products; return the result of each."""
        results: list[Answer] = (await self.send(requests.batch("batch", {"items": items})))[
            "items"
        ]
        return results

    async def patch_products(self, items: Sequence[Fields]) -> list[Answer]:
        """Change up to 1,000 products; return the result of each."""
        results: list[Answer] = (await self.send(requests.batch("patch", {"items": items})))[
            "items"
        ]
        return results

    async def import_products(self, items: Iterable[Fields]) -> Answer:
        """Send many products at once; return the job that stores them, for `get_import`."""
        return await self.send(requests.import_products(items))

    async def get_import(self, number: int) -> Answer:
        """Read how far an import is: its `state`, and in the end its `result`."""
        return await self.send(Request("GET", f"/v1/imports/{number}"))

    async def similar(self, sku: str, **parameters: Any) -> Answer:
        """Find the products that look like this one."""
        return await self.send(requests.similar(sku, parameters))

    def all_similar(self, sku: str, **parameters: Any) -> AsyncIterator[Answer]:
        """Yield what looks like a product, page by page; a page has `limit` of them."""
        return self._items(lambda cursor: requests.similar(sku, parameters, cursor))

    async def search(self, image: bytes, **parameters: Any) -> Answer:
        """Find the products that look like an image."""
        return await self.send(requests.search(image, parameters))

    def all_found(self, image: bytes, **parameters: Any) -> AsyncIterator[Answer]:
        """Yield what looks like an image, page by page; the image is sent once."""
        return self._items(lambda cursor: requests.search(image, parameters, cursor))

    async def search_by(self, **members: Any) -> Answer:
        """Find similar products as a JSON body asks: by `sku`, `text` or `image_uri`."""
        return await self.send(requests.search_by(members))

    def all_found_by(self, **members: Any) -> AsyncIterator[Answer]:
        """Yield what a JSON body asks for, page by page; an image is fetched once."""
        return self._items(lambda cursor: requests.search_by(members, cursor))

    async def recommend(self, **members: Any) -> Answer:
        """Recommend products by examples, for a shopper or a visit."""
        return await self.send(requests.recommend(members))

    def all_recommended(self, **members: Any) -> AsyncIterator[Answer]:
        """Yield recommendations, page by page."""
        return self._items(lambda cursor: requests.recommend(members, cursor))

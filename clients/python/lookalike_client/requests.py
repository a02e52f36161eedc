"""Requests to the API, and what is done with their answers; nothing here waits or connects."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias
from urllib.parse import quote

import httpx

Fields: TypeAlias = Mapping[str, Any]
"""Members of a product, as in the OpenAPI document."""


class Answer(dict[str, Any]):
    """JSON as it was answered, and its `ETag` for `if_match`."""

    etag: str | None = None


TRIES: Final = 3
LONGEST_WAIT: Final = 30.0
FIRST_WAIT: Final = 0.5


class LookalikeError(Exception):
    """The API has refused a request; `problem` is the whole problem document."""

    def __init__(self, status: int, problem: Fields) -> None:
        super().__init__(problem.get("detail") or f"status {status}")
        self.status = status
        self.problem = problem
        self.code: str = problem.get("code", "")
        self.detail: str = problem.get("detail", "")


@dataclass(frozen=True)
class Request:
    """A request that may be sent more than once: a write carries a key, so it is done once."""

    method: str
    path: str
    params: Mapping[str, Any] = field(default_factory=dict)
    json: Any = None
    content: bytes | None = None
    content_type: str = "application/octet-stream"
    if_match: str | None = None
    if_none_match: str | None = None
    key: str = field(default_factory=lambda: uuid.uuid4().hex)

    @property
    def options(self) -> dict[str, Any]:
        """Return what `httpx` takes beside method and path."""
        headers = {} if self.method == "GET" else {"Idempotency-Key": self.key}
        if self.content is not None:
            headers["Content-Type"] = self.content_type
        if self.if_match is not None:
            headers["If-Match"] = self.if_match
        if self.if_none_match is not None:
            headers["If-None-Match"] = self.if_none_match
        params = {name: value for name, value in self.params.items() if value is not None}
        return {
            "params": params,
            "headers": headers,
            "json": dict(self.json) if isinstance(self.json, Mapping) else self.json,
            "content": self.content,
        }


def filled(path: str, names: Sequence[object]) -> str:
    """Return a path with names in the places of its `{}`."""
    return path.format(*(quote(str(name), safe="") for name in names))


def product(method: str, sku: str, rest: str = "", **options: Any) -> Request:
    """Return a request about one product."""
    return Request(method, f"/v1/products/{quote(sku, safe='')}{rest}", **options)


def batch(what: str, members: Mapping[str, Sequence[Any]]) -> Request:
    """Return a request about many products."""
    return Request("POST", f"/v1/products:{what}", json=dict(members))


def import_products(items: Iterable[Fields]) -> Request:
    """Return a request that sends many products as lines of JSON."""
    lines = b"".join(json.dumps(dict(it)).encode() + b"\n" for it in items)
    kind = "application/x-ndjson"
    return Request("POST", "/v1/products:import", content=lines, content_type=kind)


def image_bytes(image: bytes) -> bytes:
    """Return the bytes of an image; a path, which would be sent as a text, is refused."""
    if isinstance(image, (bytes, bytearray, memoryview)):
        return bytes(image)
    raise TypeError("give the bytes of the image, such as Path('photo.jpg').read_bytes()")


def put_image(sku: str, image: bytes) -> Request:
    """Return a request that gives a product its first image."""
    return product("PUT", sku, "/image", content=image_bytes(image))


def search(image: bytes, parameters: Mapping[str, Any], cursor: str | None = None) -> Request:
    """Return a request for what looks like an image; its cursor stands for the image."""
    content = image_bytes(image) if cursor is None else b""
    params = {**parameters, "cursor": cursor}
    return Request("POST", "/v1/similar", params=params, content=content)


def search_by(members: Mapping[str, Any], cursor: str | None = None) -> Request:
    """Return a request for what a JSON body asks for; its cursor stands for an image."""
    if cursor is not None:
        others = {name: it for name, it in members.items() if name != "image_uri"}
        members = {**others, "cursor": cursor}
    return Request("POST", "/v1/similar", json=dict(members))


def recommend(members: Mapping[str, Any], cursor: str | None = None) -> Request:
    """Return a request for recommendations."""
    further = {} if cursor is None else {"cursor": cursor}
    return Request("POST", "/v1/recommendations", json={**members, **further})


def similar(sku: str, parameters: Mapping[str, Any], cursor: str | None = None) -> Request:
    """Return a request for what looks like a product."""
    return product("GET", sku, "/similar", params={**parameters, "cursor": cursor})


def products(filters: Fields, cursor: str | None = None) -> Request:
    """Return a request for a page of the catalogue."""
    return Request("GET", "/v1/products", params={"limit": 100, **filters, "cursor": cursor})


def wait_after(response: httpx.Response | None, tries: int, most: int = TRIES) -> float | None:
    """Return the seconds until a request is sent again; None if it is not.

    `response` is None where there was none, `tries` how often the request was sent, of `most`.
    """
    if tries >= most:
        return None
    backoff = FIRST_WAIT * 2.0 ** (tries - 1)
    if response is None:
        return backoff
    said = response.headers.get("Retry-After", "")
    if response.status_code not in (429, 503) and not (response.status_code == 409 and said):
        return None
    return min(float(said), LONGEST_WAIT) if said.isdecimal() else backoff


def read(response: httpx.Response) -> Answer:
    """Return the JSON of a good answer. Raises LookalikeError."""
    if response.status_code >= 400:
        try:
            problem = response.json()
        except ValueError:
            problem = {"detail": response.text[:300]}
        raise LookalikeError(response.status_code, problem if isinstance(problem, dict) else {})
    found = Answer(response.json() if response.content else {})
    found.etag = response.headers.get("ETag")
    return found

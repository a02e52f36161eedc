"""Conditional requests: entity tags, `If-Match`, `If-None-Match`, and answers that are compressed.

A product's tag is `"REVISION-ANSWER"`. The revision stands for what a client may write of the
product, the rest for the whole answer, with state and signed addresses. A read compares both parts.
A write compares the revision alone: otherwise it would fail because the product was indexed
meanwhile.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import re
from collections.abc import Sequence
from typing import Any, Final

from flask import Flask, Response, g, request
from sqlalchemy.orm import Session
from werkzeug.datastructures import ETags

from backend.api.context import request_notes, this_request
from backend.api.problems import MEDIA_TYPE, RequestError
from backend.catalogue import product_images, products
from backend.catalogue.products import FIELDS, ImageRef, Outcome
from backend.database.models import Product
from backend.errors import UnknownProduct

COMPRESSED: Final = ("application/json", MEDIA_TYPE)
SHORTEST: Final = 1_000
"""Bytes from which an answer is compressed: a shorter one fits into a packet as it is."""

LEVEL: Final = 1
"""Of gzip's nine: higher ones take longer, and save 2% more of JSON."""

GZIPPED: Final = "-gzip"
"""What the tag of a compressed answer ends with: another representation has another tag."""

LISTS: Final = frozenset(
    {
        "similar.similar_to_product",
        "together.together",
        "trending.list_trending",
        "trending.list_new",
    }
)
"""Reads whose answers name their request, and how long it took. Their tags are weak: they stand for
all the rest."""

_OF_REQUEST: Final = re.compile(
    rb'"(?:request_id|recommendation_id)": ?"[^"]*"|"took_ms": ?[0-9.e-]+'
)

_LENGTH: Final = 16  # hex digits of each part of a tag


def register_conditional_answers(app: Flask) -> None:
    """Tag and compress the JSON answers of an app, and answer 304 where the client has one."""
    app.after_request(_finish)


# --- reads -----------------------------------------------------------------------------------


def _finish(response: Response) -> Response:
    media_type = response.mimetype
    tag(response)
    if response.status_code == 304:
        return response
    return compress(response) if media_type in COMPRESSED else response


def tag(response: Response) -> None:
    """Give a JSON answer its `ETag`; make it the 304 for a client that has it already."""
    if response.mimetype == "application/json" and not response.is_streamed:
        _tag(response)


def _tag(response: Response) -> None:
    sent, headers = this_request(), response.headers
    revision: str | None = vars(request_notes()).get("revision")
    is_read = sent.method in ("GET", "HEAD") and response.status_code == 200
    if not (revision or (is_read and sent.path.startswith("/v1/"))) or "ETag" in headers:
        return
    is_list = sent.endpoint in LISTS
    data = response.get_data()
    digest = _digest_of_list(data) if is_list else hashlib.sha256(data).hexdigest()
    answer = digest[:_LENGTH]
    tag = f"{revision}-{answer}" if revision else answer
    headers["ETag"] = f'W/"{tag}"' if is_list else f'"{tag}"'
    if "Cache-Control" not in headers:  # `setdefault` makes an error first
        headers["Cache-Control"] = "private, no-cache"
    if not is_read or "HTTP_IF_NONE_MATCH" not in sent.environ:
        return
    if any(request.if_none_match.contains_weak(it) for it in (tag, tag + GZIPPED)):
        response.status_code = 304
        response.set_data(b"")
        del headers["Content-Type"], headers["Content-Length"]


def _digest_of_list(answer: bytes) -> str:
    """Return the digest of an answer with a list, without what is another at each request.

    That is behind its items.
    """
    end = max(0, answer.rfind(b'"next_cursor"'))
    digest = hashlib.sha256(memoryview(answer)[:end])
    digest.update(_OF_REQUEST.sub(b"", answer[end:]))
    return digest.hexdigest()


def compress(response: Response) -> Response:
    """Compress the body of an answer, if the client takes that and it is long enough."""
    headers = response.headers
    if response.is_streamed or "Content-Encoding" in headers:
        return response
    if "Vary" in headers:
        response.vary.add("Accept-Encoding")
    else:
        headers["Vary"] = "Accept-Encoding"
    if "HTTP_ACCEPT_ENCODING" not in this_request().environ:
        return response
    data = response.get_data()
    if len(data) < SHORTEST or request.accept_encodings["gzip"] <= 0:
        return response
    response.set_data(gzip.compress(data, LEVEL, mtime=0))
    response.headers["Content-Encoding"] = "gzip"
    tag, is_weak = response.get_etag()
    if tag and not is_weak:  # a weak one stands for all representations
        response.set_etag(tag + GZIPPED)
    return response


# --- writes ----------------------------------------------------------------------------------


def note_revision(session: Session, product: Product) -> None:
    """Give the answer to this request the tag of a product."""
    images = product_images.load_all(session, [product])[product.id]
    g.revision = revision_of(product, images)


def revision_of(product: Product, images: Sequence[ImageRef]) -> str:
    """Return what stands for the fields and images of a product, whoever asks for it.

    Digests of images are left out: of an image on another host it is noted while it is embedded.
    """
    fields: dict[str, Any] = {name: getattr(product, name) for name in ("sku", *FIELDS)}
    whole = [fields, [(image.uri, image.role) for image in images]]
    text = json.dumps(whole, sort_keys=True, ensure_ascii=False, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:_LENGTH]


def check_preconditions(session: Session, sku: str) -> None:
    """Raise the 412 unless a product is as `If-Match` and `If-None-Match` demand.

    Call it in the transaction of the write: no other writer changes the product until its end.
    """
    if {"If-Match", "If-None-Match"} & set(request.headers.keys()):
        check_revision(_locked_revision(session, sku), what="product")


def note_revision_of(revision: str) -> None:
    """Give the answer to this request the tag of what has such a revision, without a hyphen."""
    g.revision = revision


def check_revision(current: str | None, *, what: str) -> None:
    """Raise the 412 unless a resource is as `If-Match` and `If-None-Match` demand.

    `current` is the first part of its tag; None: it is not there.
    """
    if "If-Match" in request.headers and not _names(request.if_match, current):
        reason = f"there is no such {what}" if current is None else f"the {what} has changed"
        raise _refusal(f"{reason}: `If-Match` does not hold; read it again")
    if "If-None-Match" in request.headers and _names(request.if_none_match, current):
        raise _refusal(f"the {what} exists: `If-None-Match` does not hold")


def check_added(outcome: Outcome) -> None:
    """Raise the 412 if a product that should be new was added meanwhile by another writer."""
    if request.if_none_match.star_tag and outcome is not Outcome.ADDED:
        raise _refusal("the product exists: `If-None-Match` does not hold")


def _locked_revision(session: Session, sku: str) -> str | None:
    try:
        products.lock(session, sku)
        product = products.get(session, sku)
    except UnknownProduct:
        return None
    return revision_of(product, product_images.load_all(session, [product])[product.id])


def _names(tags: ETags, revision: str | None) -> bool:
    """Tell whether a header names a revision: by `*`, or in a tag of any of its answers."""
    if revision is None:
        return False
    given = filter(None, tags.as_set())  # an empty tag is read as None
    return tags.star_tag or any(tag.split("-")[0] == revision for tag in given)


def _refusal(detail: str) -> RequestError:
    return RequestError(412, "precondition-failed", detail)

"""Lists of similar items as JSON: by a product, a text or an image. Pages make them too."""

from __future__ import annotations

from dataclasses import replace

from backend import log_fields
from backend.api.attribute_checks import said_of_attributes
from backend.api.context import request_notes, services
from backend.api.cursors import continued, write_cursor
from backend.api.image_addresses import check_query_addresses
from backend.api.image_slots import image_slot
from backend.api.problems import fault_of, invalid_request
from backend.api.replay import log_similar
from backend.api.request_log import took_ms
from backend.api.schemas import Json
from backend.api.schemas.shaping import NO_PRODUCT
from backend.api.schemas.written_items import write_answer
from backend.api.splitting import NOBODY, Asker, tried_generation, without_generation
from backend.catalogue import skus
from backend.database.models import Generation
from backend.search.query import Answer, Query
from backend.search.query_image import EmbeddedQuery
from backend.vectors import Vector


def by_sku(
    sku: str,
    query: Query,
    fields: list[str],
    cursor: str | None = None,
    *,
    asker: Asker = NOBODY,
) -> Json:
    """Return the products that look like a product, as JSON; raises as `to_product` does."""
    about = skus.normalise(sku)
    query = continued(query, cursor, about)
    if asker.split.generation_id is not None:
        query, asker = _in_generation(query, asker)
    answer = services().similar.to_product(sku, query)
    return _written(answer, query, fields, about, asker=asker)


def _in_generation(query: Query, asker: Asker) -> tuple[Query, Asker]:
    """Return the query in the generation that is tried: for a product's own vector there."""
    if query.image is not None or query.text is not None:
        return query, replace(asker, split=without_generation(asker.split))
    tried, split = tried_generation(asker.split)
    return replace(query, generation_id=tried.id if tried else None), replace(asker, split=split)


def _check_alone(query: Query) -> None:
    """Raise RequestError for what needs a query product, which an image or a text is not."""
    if query.shaping.restrict:
        raise invalid_request([fault_of("restrict", NO_PRODUCT)])


def by_address(uri: str, query: Query, fields: list[str], asker: Asker) -> Json:
    """Return the products that look like the image at an address, as `by_image` does."""
    _check_alone(query)
    check_query_addresses({"/image_uri": uri}, services().settings)
    with image_slot():
        data = services().fetch_image(uri)
    return by_image(data, query, fields, asker=asker)


def by_text(
    query: Query, fields: list[str], cursor: str | None = None, *, asker: Asker = NOBODY
) -> Json:
    """Return the products that look as the text of the query says; raises as `to_text` does.

    With a cursor it is a further page of a query by a text, an image, or both.
    """
    _check_alone(query)
    query = continued(query, cursor)
    ask = services().similar.go_on if cursor else services().similar.to_text
    return _written(ask(query), query, fields, asker=_active_only(asker))


def by_image(data: bytes, query: Query, fields: list[str], *, asker: Asker = NOBODY) -> Json:
    """Return the products that look like the image in a file, as JSON.

    Raises as `to_image` does, and RequestError where too many images are being worked on.
    """
    _check_alone(query)
    found, seen = services(), list[EmbeddedQuery]()

    def encode(generation: Generation, image: bytes) -> Vector:
        with image_slot():
            embedded = found.query_encoder.embed_image(generation, image, query.box)
        seen.append(embedded)
        return embedded.vector

    answer = found.similar.to_image(encode, data, query)
    if seen[-1].kind is not None:
        answer.meta["image_kind"] = seen[-1].kind
    if seen[-1].regions is not None and query.box is None:
        answer.meta["regions"] = [region._asdict() for region in seen[-1].regions]
    if seen[-1].compared is not None:
        answer.meta["compared"] = list(seen[-1].compared)
    return _written(answer, query, fields, asker=_active_only(asker))


def _active_only(asker: Asker) -> Asker:
    """Return who asks for a list of the active generation, whose encoders are loaded."""
    return replace(asker, split=without_generation(asker.split))


def _written(
    answer: Answer,
    query: Query,
    fields: list[str],
    *about: object,
    asker: Asker,
) -> Json:
    ours = services()
    noticed = ours.recall.notice(answer.search)
    log_fields.add(filter=noticed.shape, search_mode=noticed.mode)
    is_short = len(answer.items) < query.limit
    answer.meta.update(said_of_attributes(query.where, is_short=is_short))
    answer.meta.update(asker.split.shown())
    written = write_answer(
        answer,
        coverage=ours.coverage.known(answer.generation).share,
        fields=fields,
        next_cursor=write_cursor(answer.position, query, *about),
        request_id=request_notes().request_id,
        took_ms=took_ms(),
    )
    if asker.split.experiment is not None:
        log_similar(written, answer.items, asker)
    return written

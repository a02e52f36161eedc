"""`/v1/recommendations/{id}`: a list of the last day as it was given."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from backend.access.scope import Scope
from backend.api import openapi, parameters
from backend.api.context import services, this_request
from backend.api.schemas import Json
from backend.api.schemas.query import QueryReader
from backend.api.schemas.recommendation import ReplayedAnswer
from backend.api.scopes import requires_scope
from backend.api.splitting import Asker, ShopperSplit
from backend.errors import UnknownRecommendation
from backend.events import answers
from backend.events.answers import GivenAnswer, ListedItem, ListName
from backend.events.outcomes import LOOK
from backend.recommendations.listed_products import ListedProduct
from backend.search.found import Neighbour

MOST_QUESTION: Final = 8192
"""Bytes of a body that are kept."""

api = openapi.blueprint("replay", tag="shoppers")


@api.get(
    "/recommendations/<recommendation_id>",
    operation_id="getRecommendation",
    description="For a day: what was asked, and what was listed, with scores and reasons. Products "
    "are as they were listed, also if they changed since.",
    openapi_extensions=openapi.inputs(parameters.RECOMMENDATION),
    responses={200: ReplayedAnswer, **openapi.refusals(404)},
)
@requires_scope(Scope.ADMIN)
def replay(recommendation_id: str) -> Json:
    """Show a list again."""
    QueryReader.of_request().finish()
    services().answer_log.flush()
    with services().db.read() as session:
        row = answers.find(session, recommendation_id[: answers.LONGEST_ID])
        if row is None:
            raise UnknownRecommendation(
                f"no list {recommendation_id[:100]!r} was made in the last day, or it is not kept"
            )
        return {
            "recommendation_id": row.id,
            "at": row.at.isoformat(),
            "list": row.list_name,
            "generation": row.generation_id,
            "user": row.shopper,
            "session": row.session,
            "placement": row.placement,
            "experiment": row.experiment,
            "arm": row.arm,
            "question": row.question,
            "items": [
                {name: item[name] for name in ("sku", "score", "reason", "cold", "because")}
                for item in row.items
            ],
        }


def note_answer(
    answer: Json,
    name: ListName,
    chosen: Sequence[ListedProduct],
    *,
    user: str | None,
    visit: str | None,
    split: ShopperSplit,
) -> None:
    """Give an answer, and the products that it lists, to the log."""
    items = [
        ListedItem(
            product_id=one.product_id,
            sku=item["sku"],
            score=item["score"],
            reason=item["reason"],
            because=item["because"],
        )
        for one, item in zip(chosen, answer["items"], strict=True)
    ]
    _note(answer, name, items, user=user, visit=visit, split=split)


def note_similar(answer: Json, found: Sequence[Neighbour], asker: Asker) -> None:
    """Give an answer of similar products that an experiment has split to the log."""
    items = [
        ListedItem(product_id=one.product.id, sku=item["sku"], score=item["score"], reason=LOOK)
        for one, item in zip(found, answer["items"], strict=True)
    ]
    name, split = ListName.SIMILAR, asker.split
    _note(answer, name, items, user=asker.user, visit=asker.visit, split=split)


def _note(
    answer: Json,
    name: ListName,
    items: Sequence[ListedItem],
    *,
    user: str | None,
    visit: str | None,
    split: ShopperSplit,
) -> None:
    services().answer_log.note(
        GivenAnswer(
            id=answer["recommendation_id"],
            list_name=name,
            generation_id=answer["generation"],
            items=items,
            question=_question(),
            shopper=user,
            session=visit,
            placement=split.named,
            experiment=split.experiment,
            arm=split.arm.value if split.arm else None,
        )
    )


def _question() -> dict[str, Any]:
    sent = this_request()
    body = b"" if sent.method == "GET" else sent.get_data(cache=True)
    return {
        "method": sent.method,
        "path": sent.path,
        "query": sent.query_string.decode("utf-8", "replace"),
        "body": sent.get_json(silent=True) if 0 < len(body) <= MOST_QUESTION else None,
    }

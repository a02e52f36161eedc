"""Lists of the last day as they were given: one by its id, or all of a shopper."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from backend.access.scope import Scope
from backend.api import openapi, parameters
from backend.api.context import services, this_request
from backend.api.schemas import Json, pages
from backend.api.schemas.body import MOST_KEPT
from backend.api.schemas.query import QueryReader
from backend.api.schemas.recommendation import ReplayedAnswer, ReplayedPage
from backend.api.scopes import requires_scope
from backend.api.shopper import check_shopper
from backend.api.splitting import Asker, ShopperSplit
from backend.database.models import ListedAnswer
from backend.errors import LookalikeError, UnknownRecommendation
from backend.events import answers, shoppers
from backend.events.answers import GivenAnswer, ListedItem, ListName
from backend.events.outcomes import LOOK
from backend.recommendations.listed_products import ListedProduct
from backend.search.found import Neighbour
from backend.search.query import Answer

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
        return _document(row)


@api.get(
    "/users/<user>/answers",
    operation_id="listUserAnswers",
    description="The lists of the last day that were made for the shopper, those of their sessions "
    "included, by their ids. `GET /v1/users/{user}/events` has the rest of what is stored.",
    openapi_extensions=openapi.inputs(
        parameters.USER, parameters.limit(most=100), parameters.CURSOR
    ),
    responses={200: ReplayedPage, **openapi.refusals()},
)
@requires_scope(Scope.ADMIN)
def list_answers(user: str) -> Json:
    """Export the lists that were made for a shopper."""
    reader = QueryReader.of_request()
    limit = reader.integer("limit", default=10, least=1, most=100)
    after = reader.name_cursor("answers")
    reader.finish()
    shopper = check_shopper(user)
    services().answer_log.flush()
    with services().db.read() as session:
        rows = shoppers.answers_of(session, shopper, after=after, limit=limit + 1)
        items = [_document(row) for row in rows[:limit]]
    return pages.as_page(items, pages.next_cursor("answers", [row.id for row in rows], limit))


def _document(row: ListedAnswer) -> Json:
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


def log_recommended(
    answer: Json,
    name: ListName,
    chosen: Sequence[ListedProduct],
    *,
    user: str | None,
    visit: str | None,
    split: ShopperSplit,
) -> None:
    """Give a list for a shopper, and the products in it, to the log of answers."""
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
    _log(answer, name, items, user=user, visit=visit, split=split)


def log_similar(
    answer: Json,
    found: Sequence[Neighbour],
    asker: Asker,
    *,
    question: dict[str, Any] | None = None,
) -> None:
    """Give an answer of similar products that an experiment has split to the log.

    `question` is what was asked, by default this request.
    """
    items = [
        ListedItem(product_id=one.product.id, sku=item["sku"], score=item["score"], reason=LOOK)
        for one, item in zip(found, answer["items"], strict=True)
    ]
    name, split = ListName.SIMILAR, asker.split
    _log(answer, name, items, user=asker.user, visit=asker.visit, split=split, question=question)


def log_each_similar(
    items: Sequence[Json], answers: Sequence[Answer | LookalikeError], asker: Asker
) -> None:
    """Give the answers of a batch that an experiment has split to the log, each by itself."""
    question = _question()
    for item, answer in zip(items, answers, strict=True):
        if isinstance(answer, Answer):
            body = question["body"]
            own = body if body is None else {**body, "skus": [item["sku"]]}
            log_similar(
                {**item, "generation": answer.generation.id},
                answer.items,
                asker,
                question={**question, "body": own},
            )


def _log(
    answer: Json,
    name: ListName,
    items: Sequence[ListedItem],
    *,
    user: str | None,
    visit: str | None,
    split: ShopperSplit,
    question: dict[str, Any] | None = None,
) -> None:
    services().answer_log.note(
        GivenAnswer(
            id=answer["recommendation_id"],
            list_name=name,
            generation_id=answer["generation"],
            items=items,
            question=_question() if question is None else question,
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
        "body": sent.get_json(silent=True) if 0 < len(body) <= MOST_KEPT else None,
    }

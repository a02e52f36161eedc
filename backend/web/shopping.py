"""`?as=NAME`: look at the pages as a shopper. What is clicked becomes events, lists follow them."""

from __future__ import annotations

from typing import Any, Final

from flask import Response, redirect, render_template, request, url_for
from werkzeug.wrappers import Response as BaseResponse

from backend.access.scope import Scope
from backend.api import events, recommendations
from backend.api.context import filterable
from backend.api.problems import RequestError
from backend.api.schemas import Json
from backend.api.schemas.recommendation import RecommendationBody
from backend.api.scopes import requires_scope
from backend.errors import NoGeneration
from backend.events.kinds import Kind
from backend.recommendations.listed_products import Reason
from backend.search.query import Query
from backend.search.shaping import Shaping
from backend.web import asking, pages

PICKED: Final = 12
"""Products that are recommended at once."""

DEEDS: Final = (Kind.CLICK, Kind.CART, Kind.PURCHASE, Kind.LIKE, Kind.DISLIKE, Kind.VIEW)
"""What the pages can report that a shopper did."""

REASONS: Final = {
    Reason.LOOK: "Looks like what you chose",
    Reason.TOGETHER: "Often taken together",
    Reason.INHERITED: "Goes with what looks like it",
    Reason.EXPLORED: "New to everybody",
    Reason.POPULAR: "Popular",
    Reason.TRENDING: "Trending",
    Reason.NEW: "New",
}
"""What people read as the reason of a recommendation."""

blueprint = pages.blueprint("shopping")


@blueprint.get("/picked")
@requires_scope(Scope.READ)
def show_picked() -> str:
    """Show what is recommended to the shopper now: a part of a page, for its script."""
    return render_template("gallery/picked.html", picked=picked())


@blueprint.post("/deeds")
@requires_scope(Scope.INGEST)
def report_deed() -> BaseResponse:
    """Store what the shopper did with a product; lead a browser without scripts back to it."""
    form = request.form
    if form.get("kind") not in set(DEEDS):
        allowed = ", ".join(DEEDS)
        raise RequestError(422, "invalid-request", f"kind: allowed are {allowed}")
    names = {"kind": "kind", "sku": "sku", "user": asking.SHOPPER}
    item = {name: form.get(field, "") for name, field in names.items()}
    if listed := form.get("recommendation_id"):
        item["recommendation_id"] = listed
    answer = events.store_events([item])
    if answer["rejected"]:
        raise RequestError(422, "invalid-request", answer["rejected"][0]["problem"]["detail"])
    if pages.wants_page():
        shopper: dict[str, Any] = {asking.SHOPPER: item["user"]}
        return redirect(url_for("web_product.show_product", sku=item["sku"], **shopper), 303)
    return Response(status=204)


def picked() -> Json | None:
    """Return what is recommended to the shopper of this request; None if there is none."""
    shopper = asking.shopper()
    if shopper is None:
        return None
    query = Query(limit=PICKED, schema=filterable(), shaping=Shaping(group_by="group_id"))
    body = RecommendationBody(user=shopper)
    try:
        return recommendations.recommend_by(body, query, asking.SHOWN)
    except NoGeneration:
        return None

"""What rules would change, tried on lists of drawn products before they are stored."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from sqlalchemy import and_, func, or_, select
from sqlalchemy.orm import Session

from backend.catalogue import filter_sql
from backend.database.engine import Database
from backend.database.models import ACTIVE, Generation, IndexEntry, Placement, Product, utcnow
from backend.filters import Schema
from backend.merchandising import rules
from backend.merchandising.rule_set import Rule, RuleSet, read_rule, read_where
from backend.search import rule_state
from backend.search.boosting import Boost
from backend.search.query import Answer, PlacementUsed, Query
from backend.search.shaping import Shaping
from backend.search.similar import SimilarProducts

VERB: Final = "preview-rules"
"""The job of a command whose process does not own the index."""

SAMPLE: Final = 50
MOST_SAMPLED: Final = 200
EXAMPLES: Final = 3
DRAWN_FROM: Final = 10_000
"""Of a larger catalogue, every n-th product is read, so that about so many can be drawn."""

AT_ONCE: Final = 50
_MEMBERS: Final = ("exclude", "min_score", "colour")


@dataclass(frozen=True, kw_only=True)
class RuleTrial:
    """Candidates of rules, and which lists they are tried on.

    Each of `candidates` holds settings, and an `id` if it takes the place of a stored rule.
    `without` are stored rules that are tried to be removed.
    """

    candidates: Sequence[Mapping[str, Any]] = ()
    without: Sequence[int] = ()
    placement: str | None = None
    limit: int | None = None
    sample: int = SAMPLE
    seed: int = 0


def preview(
    db: Database, similar: SimilarProducts, schema: Schema, tried: RuleTrial
) -> dict[str, Any]:
    """Return how many lists of drawn products change, examples, and what is wrong with candidates.

    Candidates count as if they were enabled and their period had begun. The products are drawn from
    those that pass a condition of one of the rules, if all have one. Raises InvalidFilter.
    """
    with db.read() as session:
        stored = RuleSet.of({it.id: it.settings for it in rules.listed(session)}, schema)
        next_id = max((it.id for it in rules.listed(session)), default=0) + 1
        candidates = _candidates(tried.candidates, next_id, schema)
        named = {*tried.without, *(it.id for it in candidates)}
        concerned = [*candidates, *(it for it in stored.rules if it.id in named)]
        query = _query(session, _placement(tried, concerned), tried.limit, schema)
        eligible, skus = _draw(session, concerned, tried)
        after = stored.without(named).also(candidates)
        problems = rule_state.problems_of(session, candidates, after, schema, now=utcnow())
    lists = [_lists(similar, replace(query, rules=it), skus) for it in (stored, after)]
    changed = [sku for sku in skus if lists[0].get(sku) != lists[1].get(sku)]
    return {
        "eligible": eligible,
        "sampled": len(lists[0]),
        "changed": len(changed),
        "placement": query.placement.name if query.placement else None,
        "limit": query.limit,
        "seed": tried.seed,
        "examples": [
            {"sku": sku, "before": lists[0][sku], "after": lists[1][sku]}
            for sku in changed[:EXAMPLES]
        ],
        "problems": [
            {"rule": number, **it.document()} for number, own in enumerate(problems) for it in own
        ],
    }


def _candidates(given: Sequence[Mapping[str, Any]], next_id: int, schema: Schema) -> list[Rule]:
    found = []
    for number, each in enumerate(given):
        settings = {name: it for name, it in each.items() if name not in _IGNORED}
        found.append(read_rule(each.get("id", next_id + number), settings, schema))
    return found


_IGNORED: Final = ("id", "starts_at", "ends_at", "enabled")


def _placement(tried: RuleTrial, concerned: Sequence[Rule]) -> str | None:
    """Return whose lists are compared: the placement that is asked for, or that of all rules."""
    own = {it.placement for it in concerned}
    return tried.placement or (own.pop() if len(own) == 1 else None)


def _query(session: Session, name: str | None, limit: int | None, schema: Schema) -> Query:
    """Return the query of a placement, as requests that name it have it."""
    found = session.get(Placement, name) if name else None
    settings = dict(found.settings) if found else {}
    if limit is not None:
        settings["limit"] = limit
    used = PlacementUsed(name=name, version=found.version if found else 0) if name else None
    members = {it: settings[it] for it in (*_MEMBERS, "limit") if settings.get(it) is not None}
    return Query(
        **members,
        where=read_where(settings.get("filter")) or {},
        schema=schema,
        shows_images=False,
        shaping=_shaping(settings),
        placement=used,
    )


def _shaping(settings: Mapping[str, Any]) -> Shaping:
    boosts = settings.get("boost") or ()
    return Shaping(
        group_by=settings.get("group_by"),
        restrict=tuple(settings.get("restrict") or ()),
        diversity=settings.get("diversity") or 0.0,
        boost=tuple(Boost.of(**each) for each in boosts),
        relax=tuple(settings.get("relax") or ()),
    )


def _draw(session: Session, concerned: Sequence[Rule], tried: RuleTrial) -> tuple[int, list[str]]:
    """Return how many products have a list that a rule may change, and the skus of drawn ones."""
    indexed = (
        select(Product.id)
        .join(IndexEntry, IndexEntry.product_id == Product.id)
        .join(Generation, Generation.id == IndexEntry.generation_id)
        .where(
            Generation.state == ACTIVE,
            IndexEntry.embedded_digest.is_not(None),
            Product.removed_at.is_(None),
        )
    )
    conditions = [it.condition for it in concerned]
    if conditions and all(conditions):
        passing = [and_(*filter_sql.conditions(session, it)) for it in conditions if it]
        indexed = indexed.where(or_(*passing))
    eligible = session.scalar(select(func.count()).select_from(indexed.subquery())) or 0
    step = max(1, eligible // DRAWN_FROM)
    drawn = random.Random(tried.seed)
    rest = drawn.randrange(step)
    ids = session.scalars(indexed.where(Product.id % step == rest).order_by(Product.id)).all()
    chosen = drawn.sample(ids, min(tried.sample, len(ids)))
    named = session.execute(select(Product.id, Product.sku).where(Product.id.in_(chosen)))
    skus = {row.id: row.sku for row in named}
    return eligible, [skus[it] for it in chosen]


def _lists(similar: SimilarProducts, query: Query, skus: Sequence[str]) -> dict[str, list[str]]:
    """Return the skus of each product's list; products without one are left out."""
    found = {}
    for start in range(0, len(skus), AT_ONCE):
        part = skus[start : start + AT_ONCE]
        for sku, answer in zip(part, similar.to_products(part, query), strict=True):
            if isinstance(answer, Answer):
                found[sku] = [item.product.sku for item in answer.items]
    return found

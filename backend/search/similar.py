"""The queries of shoppers: what looks like this product, or like this image?"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from types import MappingProxyType
from typing import Any, Final, TypeAlias, TypeVar

import numpy as np
from sqlalchemy import Connection

from backend import generations
from backend.database.engine import Database
from backend.database.models import Generation, utcnow
from backend.embedders import Block
from backend.errors import IndexGone, LookalikeError
from backend.filters import Schema, Where
from backend.filters.matching import matcher
from backend.images.box import Box
from backend.merchandising.rule_set import ActiveRules, RuleSet, newest_change
from backend.search import statements
from backend.search.asked import (
    ActiveGeneration,
    Asked,
    read_again,
    read_each,
    read_others,
    read_product,
)
from backend.search.collecting import Collecting, collect
from backend.search.dial import Weighed, weigh
from backend.search.explaining import explain
from backend.search.found import Neighbour, Rows
from backend.search.grouping import with_sizes
from backend.search.matches import MatchCurve
from backend.search.paging import Basis, Position
from backend.search.pinning import Candidates, Pinning, nearest_that_passes, with_pins
from backend.search.query_text import Said
from backend.search.query_vectors import vector_of
from backend.search.recall_monitor import Search
from backend.search.reordering import pool_of, reordered
from backend.search.restricting import Same, read_values, restricted
from backend.search.ruling import Ruling, rulings
from backend.search.shaping import MIN_MATCH, MIN_SCORE, Shaping, has_clause
from backend.vectors import SearchMode, Vector, VectorIndex

MAX_LIMIT: Final = 100

TOGETHER: Final = 32
"""Products of a batch whose neighbours are read in one statement. Between two such parts, other
requests have their turn."""


Found = TypeVar("Found")

Pins: TypeAlias = Mapping[int, Neighbour]
"""The pinned products of a list, by their positions."""


@dataclass(frozen=True, kw_only=True)
class PlacementUsed:
    """The placement whose defaults a query has."""

    name: str
    version: int


@dataclass(frozen=True, kw_only=True)
class Query:
    """The options of a query for a product or an image. `exclude` holds skus.

    `schema` is what `where` was checked with. `image` is the number of the product's image that
    is compared, from 1; None: as the first, and if that has no vector, the first that has one.
    `shows_images` tells whether the answer needs the images of its products. `colour`, from 0 to 1,
    is how much colour counts (`search.dial`), `explain` asks for the parts of each score.
    `text` is compared too, or alone; beside an image it counts `text_weight`, from 0 to 1. `box` is
    the region of a given image that is compared. `min_match` is the least match, from 0 to 1, and
    `after` where a further page begins.
    """

    limit: int = 10
    where: Where = field(default_factory=dict)
    schema: Schema = field(default_factory=dict)
    exclude: Sequence[str] = ()
    min_score: float | None = None
    image: int | None = None
    shows_images: bool = True
    colour: float | None = None
    explain: bool = False
    text: str | None = None
    text_weight: float = 0.5
    shaping: Shaping = field(default_factory=Shaping)
    placement: PlacementUsed | None = None
    after: Position | None = None
    rules: RuleSet | None = None
    ruling: Ruling = field(default_factory=Ruling)
    box: Box | None = None
    min_match: float | None = None


@dataclass(frozen=True, kw_only=True)
class Answer:
    """Neighbours, best first, and the one generation that they come from.

    `position` is where the next page begins, None if nothing can follow.
    """

    items: list[Neighbour]
    generation: Generation
    meta: dict[str, Any]
    search: Search
    has_more: bool = False
    position: Position | None = None


class SimilarProducts:
    """Answers the queries of one process. Safe to call from several threads.

    `index_of` may raise IndexGone, as an index may: a query whose index was dropped while it ran is
    asked once more, of the generation that is active then. `schema` is for the filters of rules.
    """

    def __init__(
        self,
        db: Database,
        index_of: Callable[[Generation], VectorIndex],
        encode_text: Callable[[Generation, str], Said],
        schema: Schema = MappingProxyType({}),
    ) -> None:
        self._db = db
        self._index_of = index_of
        self._encode_text = encode_text
        self.active = ActiveGeneration(db)
        self.rules = ActiveRules(db, schema)

    def to_product(self, sku: str, query: Query) -> Answer:
        """Return what looks like a product of the catalogue, the product itself left out.

        The vector is read from SQL, so no network runs. Raises UnknownProduct, NoImage when the
        product has no image of the number that is asked for, NotSearchable when it has no vector
        yet (with its state and reason), NoGeneration, InvalidFilter; for a further page also
        CursorExpired, if its generation or image is gone.
        """
        return _repeat_if_gone(lambda: self._to_product(sku, query))

    def to_image(
        self, encode: Callable[[Generation, bytes], Vector], image: bytes, query: Query
    ) -> Answer:
        """Return what looks like an image, given as the bytes of an untrusted file.

        Raises ModelMismatch when the encoder is not the one that the active generation was built
        with: its vector would give a wrong answer. Also raises what `encode` raises, NoGeneration
        and InvalidFilter.
        """
        return _repeat_if_gone(lambda: self._to_image(encode, image, query))

    def to_text(self, query: Query) -> Answer:
        """Return what looks as the text of the query says.

        Raises WordsUnavailable, NoGeneration, InvalidFilter.
        """
        return _repeat_if_gone(lambda: self._to_text(query))

    def go_on(self, query: Query) -> Answer:
        """Return a further page of what looks like an image, a text, or both.

        Raises CursorExpired, InvalidFilter.
        """
        return _repeat_if_gone(lambda: self._to_text(query))

    def to_products(self, skus: Sequence[str], query: Query) -> list[Answer | LookalikeError]:
        """Answer `to_product` for many products, in their order, or say why one has no answer.

        All answers are of one generation, that of `query.after` if it is given. Of `query`,
        `image`, `text` and `explain` are not used. Raises NoGeneration, InvalidFilter and
        CursorExpired.
        """
        return _repeat_if_gone(lambda: self._to_products(skus, query))

    def _to_product(self, sku: str, query: Query) -> Answer:
        with self._db.query() as connection:
            asked = self._read(connection, sku, query)
            basis, generation, exclude = _basis_of(asked), asked.generation, asked.exclude
            query, same = _restrict(connection, query, asked.product_id)
            version, about = asked.rules_version, [[asked.product_id]]
            [query] = self._ruled(connection, generation, query, version, about)
            if query.text is None:
                answer = self._search(connection, generation, basis, query, exclude)
        if query.text is not None:
            answer = self._encode_and_search(generation, basis, query, exclude)
        answer.meta["query_state"] = asked.state.value
        _say_restricted(answer, same)
        return answer

    def _read(self, connection: Connection, sku: str, query: Query) -> Asked:
        if query.after is not None:
            return read_again(connection, self.active, sku, query.after, exclude=query.exclude)
        return read_product(connection, self.active, sku, image=query.image, exclude=query.exclude)

    def _to_image(
        self, encode: Callable[[Generation, bytes], Vector], image: bytes, query: Query
    ) -> Answer:
        with self._db.query() as connection:
            generation, exclude, version = read_others(connection, self.active, query.exclude)
            [query] = self._ruled(connection, generation, query, version, [()])
        basis = Basis(vector=encode(generation, image))
        return self._encode_and_search(generation, basis, query, exclude)

    def _to_text(self, query: Query) -> Answer:
        with self._db.query() as connection:
            generation, exclude, version = read_others(
                connection, self.active, query.exclude, query.after
            )
            [query] = self._ruled(connection, generation, query, version, [()])
        return self._encode_and_search(generation, Basis(), query, exclude)

    def _encode_and_search(
        self, generation: Generation, basis: Basis, query: Query, exclude: Sequence[int]
    ) -> Answer:
        """Encode the text, if there is one, while no connection is held; then search."""
        if query.after is None:
            basis = self._with_text(generation, basis, query)
        with self._db.query() as connection:
            return self._search(connection, generation, basis, query, exclude)

    def _search(
        self,
        connection: Connection,
        generation: Generation,
        basis: Basis,
        query: Query,
        exclude: Sequence[int],
    ) -> Answer:
        after = query.after or Position(generation_id=generation.id, basis=basis)
        if after.basis is not None and after.basis.vector is not None:
            basis = after.basis
        weighed = self._weigh(generation, basis, query)
        index = self._index_of(generation)
        taken = _taken_groups(connection, query)
        candidates = Candidates(connection, index, generation, images=query.shows_images)
        pins = _pinned(connection, index, weighed, query, exclude, candidates, taken=taken)
        mode = index.search_mode(query.where)
        found = _collecting(generation, weighed, query, exclude, mode, pins=pins, taken=taken)
        collect(connection, index, [found], {}, images=query.shows_images)
        answer = _answer(connection, index, weighed, found, query, pins, taken=taken)
        ids = [item.product.id for item in answer.items]
        return replace(answer, position=after.after(ids) if answer.has_more else None)

    def _to_products(self, skus: Sequence[str], query: Query) -> list[Answer | LookalikeError]:
        with self._db.query() as connection:
            generation, asked = read_each(
                connection, self.active, skus, exclude=query.exclude, position=query.after
            )
            index = self._index_of(generation)
            mode = index.search_mode(query.where)
            rows: dict[int, Rows] = {}
            answers: list[Answer | LookalikeError] = []
            for start in range(0, len(asked), TOGETHER):
                part = asked[start : start + TOGETHER]
                answers += self._answer_part(connection, index, part, query, mode, rows)
        return answers

    def _answer_part(
        self,
        connection: Connection,
        index: VectorIndex,
        part: Sequence[Asked | LookalikeError],
        query: Query,
        mode: SearchMode,
        rows: dict[int, Rows],
    ) -> list[Answer | LookalikeError]:
        """Answer some products of a batch; `rows` are those of products that were read before."""
        answers: list[Answer | LookalikeError] = []
        under_way: list[tuple[Asked, Query, Weighed, Collecting, Same, Pins]] = []
        ruled = self._ruled_each(connection, index, part, query)
        for one in part:
            if isinstance(one, Asked):
                own, candidates = next(ruled)
                own, same = _restrict(connection, own, one.product_id)
                own_mode = index.search_mode(own.where) if same else mode
                blocks = self._blocks(one.generation, query)
                weighed = weigh(vector_of(one), blocks, colour=query.colour, parts=False)
                pins = _pinned(connection, index, weighed, own, one.exclude, candidates)
                found = _collecting(one.generation, weighed, own, one.exclude, own_mode, pins=pins)
                under_way.append((one, own, weighed, found, same, pins))
        searches = [found for _, _, _, found, _, _ in under_way]
        collect(connection, index, searches, rows, images=query.shows_images)
        ready = iter(under_way)
        for one in part:
            if isinstance(one, Asked):
                asked, own, weighed, found, same, pins = next(ready)
                answer = _answer(connection, index, weighed, found, own, pins)
                answer.meta["query_state"] = asked.state.value
                _say_restricted(answer, same)
                answers.append(answer)
            else:
                answers.append(one)
        return answers

    def _ruled(
        self,
        connection: Connection,
        generation: Generation,
        query: Query,
        version: int | None,
        about: Sequence[Sequence[int]],
    ) -> list[Query]:
        """Return the query for each of several lists, with the rules that hold for it.

        `version` is as `ActiveRules.of` takes it, `about` as `rulings`.
        """
        found = rulings(
            connection,
            generation.id,
            self.rules.of(version) if query.rules is None else query.rules,
            placement=query.placement.name if query.placement else None,
            about=about,
            now=utcnow(),
        )
        return [replace(query, ruling=it, shaping=it.shaped(query.shaping)) for it in found]

    def ruled(self, generation: Generation, query: Query, about: Sequence[int]) -> Query:
        """Return the query with the rules that hold now for a list that is about some products."""
        with self._db.query() as connection:
            version = newest_change(connection)
            return self._ruled(connection, generation, query, version, [about])[0]

    def _ruled_each(
        self,
        connection: Connection,
        index: VectorIndex,
        part: Sequence[Asked | LookalikeError],
        query: Query,
    ) -> Iterator[tuple[Query, Candidates]]:
        """Yield the query for each product of a batch, and what its rules can pin."""
        asked = [one for one in part if isinstance(one, Asked)]
        if not asked:
            return
        generation, version = asked[0].generation, asked[0].rules_version
        candidates = Candidates(connection, index, generation, images=query.shows_images)
        about = [[one.product_id] for one in asked]
        for each in self._ruled(connection, generation, query, version, about):
            yield each, candidates

    def _with_text(self, generation: Generation, basis: Basis, query: Query) -> Basis:
        """Return what is searched by: the vector of the image, of the text, or of both."""
        if query.text is None:
            return basis
        blocks, lengths = self._blocks(generation, query), None
        said = self._encode_text(generation, query.text)
        if set(said.lengths) == {block.name for block in blocks or ()}:
            lengths = said.lengths or None
        if basis.vector is None:
            return Basis(vector=said.vector, lengths=lengths)
        weight = np.float32(query.text_weight)
        vector = (1 - weight) * basis.vector + weight * said.vector
        return Basis(vector=vector, lengths=lengths)

    def _weigh(self, generation: Generation, basis: Basis, query: Query) -> Weighed:
        if basis.vector is None:
            raise ValueError("a query needs an image or a text")
        blocks = self._blocks(generation, query)
        return weigh(
            basis.vector, blocks, colour=query.colour, lengths=basis.lengths, parts=query.explain
        )

    def _blocks(self, generation: Generation, query: Query) -> tuple[Block, ...] | None:
        """Return the blocks; where they are needed and unknown, the row is read again."""
        blocks = generations.blocks_of(generation)
        if blocks is None and (query.explain or query.text or query.colour is not None):
            with self._db.read() as session:
                return generations.blocks_of(generations.by_id(session, generation.id))
        return blocks


def _repeat_if_gone(ask: Callable[[], Found]) -> Found:
    """Repeat a query, reading the active generation again, if its index was dropped meanwhile."""
    try:
        return ask()
    except IndexGone:
        return ask()


def _basis_of(asked: Asked) -> Basis:
    vector = vector_of(asked) if asked.vector else None
    return Basis(vector=vector, digest=asked.digest or None)


def _taken_groups(connection: Connection, query: Query) -> list[Any]:
    """Return the groups that former pages have shown."""
    group_by, after = query.shaping.group_by, query.after
    if group_by is None or after is None:
        return []
    rows = connection.execute(statements.values(), {"ids": sorted(after.shown)}).mappings()
    values = (row[group_by] for row in rows)
    return list(dict.fromkeys(value for value in values if value is not None))


def _restrict(connection: Connection, query: Query, product_id: int) -> tuple[Query, Same]:
    """Return the query with the filter for products like this one, and what that demands."""
    fields = query.shaping.restrict
    if not fields:
        return query, {}
    same = read_values(connection, [product_id], fields)
    return replace(query, where=restricted(query.where, same)), same


def _say_restricted(answer: Answer, same: Same) -> None:
    if same:
        answer.meta["restricted"] = {field: list(values) for field, values in same.items()}


def _pinned(
    connection: Connection,
    index: VectorIndex,
    weighed: Weighed,
    query: Query,
    exclude: Sequence[int],
    candidates: Candidates,
    *,
    taken: Sequence[Any] = (),
) -> Pins:
    """Return the pinned products of a list. `taken` are groups that former pages have shown."""
    if not query.ruling.pins:
        return {}
    pinning = Pinning(
        ruling=query.ruling,
        candidates=candidates,
        weighed=weighed,
        passes=matcher(query.where, query.schema) if query.where else None,
        excluded={*exclude, *(query.after.shown if query.after else ())},
        limit=query.limit,
        offset=len(query.after.shown) if query.after else 0,
        group_by=query.shaping.group_by,
        groups=list(taken),
        find=nearest_that_passes(
            connection,
            index,
            candidates.generation,
            weighed,
            query.where,
            images=query.shows_images,
        ),
    )
    return pinning.run()


def _collecting(
    generation: Generation,
    weighed: Weighed,
    query: Query,
    exclude: Sequence[int],
    mode: SearchMode,
    *,
    pins: Pins,
    before: Sequence[Neighbour] = (),
    taken: Sequence[Any] = (),
) -> Collecting:
    """Return the search for what a list shows beside pinned products and those found before."""
    shown = [*pins.values(), *before]
    search = Search(
        generation=generation,
        vector=weighed.asked,
        where=query.where,
        exclude=(*exclude, *(item.product.id for item in shown)),
        mode=mode,
    )
    passes = matcher(query.where, query.schema) if query.where else None
    least = weighed.cosine_of(_least_score(generation, query))
    groups = [value for item in shown if (value := _group_of(item, query)) is not None]
    return Collecting(
        search,
        limit=pool_of(_places(query, pins), query.shaping),
        min_score=least,
        passes=passes,
        group_by=query.shaping.group_by,
        taken=[*taken, *groups],
        is_pool=query.shaping.reorders,
        hiding=query.ruling if query.ruling.hides_any else None,
        shown=query.after.shown if query.after else (),
    )


def _curve(generation: Generation, query: Query) -> MatchCurve | None:
    """Return the curve of `match`, where it holds: not for words and other weights of colour."""
    is_usual = query.text is None and query.colour is None
    return MatchCurve.of(generation.match_curve) if generation.match_curve and is_usual else None


def _least_score(generation: Generation, query: Query) -> float | None:
    """Return the score that `min_score` and `min_match` demand together."""
    curve = None if query.min_match is None else _curve(generation, query)
    if curve is None or query.min_match is None:
        return query.min_score
    least = curve.score_of(query.min_match)
    return least if query.min_score is None else max(query.min_score, least)


def _places(query: Query, pins: Pins) -> int:
    """Return how many products are found for a list beside the pinned ones; at least one."""
    return max(1, query.limit - len(pins))


def _relax(
    connection: Connection,
    index: VectorIndex,
    weighed: Weighed,
    query: Query,
    answer: Answer,
    pins: Pins,
    *,
    taken: Sequence[Any] = (),
) -> Answer:
    """Add what passes without some clauses, while too few products pass.

    `taken` are groups that former pages have shown.
    """
    items, dropped, relaxed, has_more = answer.items, [], query, answer.has_more
    exclude = answer.search.exclude
    for clause in query.shaping.relax:
        missing = _places(query, pins) - len(items)
        if missing <= 0:
            break
        if not has_clause(relaxed.where, relaxed.min_score, clause, min_match=relaxed.min_match):
            continue
        dropped.append(clause)
        relaxed = _without(relaxed, clause, limit=missing)
        generation, mode = answer.generation, index.search_mode(relaxed.where)
        before = [*pins.values(), *items]
        found = _collecting(
            generation, weighed, relaxed, exclude, mode, pins={}, before=before, taken=taken
        )
        collect(connection, index, [found], {}, images=query.shows_images)
        more = _shown(index, weighed, found, relaxed, limit=missing)
        items = [*items, *(replace(item, relaxed=tuple(dropped)) for item in more)]
        has_more = found.has_more or len(found.items) > len(more)
    if query.shaping.relax and len(items) == _places(query, pins):
        has_more = True  # a further clause may be dropped
    meta = answer.meta | ({"relaxed": dropped} if query.shaping.relax else {})
    return replace(answer, items=items, meta=meta, has_more=has_more)


def _group_of(item: Neighbour, query: Query) -> Any:
    return item.value_of(query.shaping.group_by) if query.shaping.group_by else None


def _without(query: Query, clause: str, *, limit: int) -> Query:
    """Return the query for some more products, without one of its clauses."""
    if clause == MIN_SCORE:
        return replace(query, min_score=None, limit=limit)
    if clause == MIN_MATCH:
        return replace(query, min_match=None, limit=limit)
    where = {field: it for field, it in query.where.items() if field != clause}
    return replace(query, where=where, limit=limit)


def _answer(
    connection: Connection,
    index: VectorIndex,
    weighed: Weighed,
    found: Collecting,
    query: Query,
    pins: Pins,
    *,
    taken: Sequence[Any] = (),
) -> Answer:
    generation, limit = found.search.generation, _places(query, pins)
    items = _shown(index, weighed, found, query, limit=limit)
    meta: dict[str, Any] = {
        "embedder": generation.embedder,
        "fingerprint": generation.fingerprint,
        "search_mode": found.search.mode.value,
        "index_lags": found.lags and len(items) < limit,
        "colour": weighed.colour,
    }
    if query.min_match is not None:
        curve = _curve(generation, query)
        meta["min_match_score"] = None if curve is None else curve.score_of(query.min_match)
    if query.placement:
        meta["placement"] = asdict(query.placement)
    has_more = found.has_more or len(found.items) > len(items)
    answer = Answer(
        items=items, generation=generation, meta=meta, search=found.search, has_more=has_more
    )
    answer = _relax(connection, index, weighed, query, answer, pins, taken=taken)
    finished = _finished(index, weighed, list(pins.values()), query, generation, query.where)
    placed = dict(zip(pins, finished, strict=True))
    items = with_pins(placed, answer.items, query.limit)
    has_more = answer.has_more or len(items) < len(pins) + len(answer.items)
    if query.explain:
        answer.meta["rules"] = query.ruling.described(items)
    return replace(answer, items=items, has_more=has_more)


def _shown(
    index: VectorIndex, weighed: Weighed, found: Collecting, query: Query, *, limit: int
) -> list[Neighbour]:
    """Return what was found as the list shows it, best first, without pinned products."""
    items = found.items
    if weighed.factor != 1:
        items = [replace(item, score=weighed.score_of(item.score)) for item in items]
    items = query.ruling.weighed(items)
    scores = [item.score for item in items]
    ordered = reordered(index, items, scores, query.shaping, limit=limit, now=utcnow())
    items = [item for _, item in ordered]
    search = found.search
    return _finished(index, weighed, items, query, search.generation, search.where)


def _finished(
    index: VectorIndex,
    weighed: Weighed,
    items: list[Neighbour],
    query: Query,
    generation: Generation,
    where: Where,
) -> list[Neighbour]:
    """Return the items with their matches, and with what is asked for: group sizes, reasons."""
    if (group_by := query.shaping.group_by) and items:
        several = bool(generation.most_images)
        items = with_sizes(index, items, group_by, where, several=several)
    curve = _curve(generation, query)
    if curve is not None:
        matches = curve.matches([item.score for item in items]).tolist()
        items = [replace(item, match=it) for item, it in zip(items, matches, strict=True)]
    return explain(index, weighed, items) if query.explain and items else items

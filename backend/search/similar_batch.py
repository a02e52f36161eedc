"""What looks like each of many products: their lists are searched together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from backend.database.reader import Reader
from backend.errors import LookalikeError
from backend.search.answering import ListSearch
from backend.search.collecting import Collecting
from backend.search.collecting_rounds import collect
from backend.search.found import Rows
from backend.search.list_rules import ListRules
from backend.search.pinning import Candidates
from backend.search.query import Answer, Query
from backend.search.query_product import QueryProduct
from backend.search.reasons import explain_list
from backend.search.restricting import Same, restrict, say_restricted
from backend.search.weighing import Weighing
from backend.vectors import SearchMode, VectorIndex

AT_ONCE: Final = 32
"""Products of a batch whose neighbours are read in one statement. Between two such parts, other
requests have their turn."""


@dataclass(slots=True)
class _UnderWay:
    """One list of a batch, while all of them are searched."""

    asked: QueryProduct
    search: ListSearch
    found: Collecting
    same: Same

    def finish(self) -> Answer:
        search, found = self.search, self.found
        answer = search.finish(found)
        if search.query.explain:
            about, nearest = self.asked.row, found.nearest
            explain_list(
                search.connection, search.index, answer, search.query, about=about, nearest=nearest
            )
        answer.meta["query_state"] = self.asked.state.value
        say_restricted(answer, self.same)
        return answer


@dataclass(slots=True, kw_only=True)
class SimilarBatch:
    """One query about many products of one generation."""

    connection: Reader
    index: VectorIndex
    query: Query
    weighing: Weighing
    rules: ListRules
    rows: dict[int, Rows] = field(default_factory=dict)  # of products that were read before

    def answer(
        self, asked: Sequence[QueryProduct | LookalikeError]
    ) -> list[Answer | LookalikeError]:
        """Return the answer about each product, in their order; errors stay in their places."""
        mode = self.index.search_mode(self.query.where)
        answers: list[Answer | LookalikeError] = []
        for start in range(0, len(asked), AT_ONCE):
            answers += self._answer_part(asked[start : start + AT_ONCE], mode)
        return answers

    def _answer_part(
        self, part: Sequence[QueryProduct | LookalikeError], mode: SearchMode
    ) -> list[Answer | LookalikeError]:
        asked = [one for one in part if isinstance(one, QueryProduct)]
        under_way = self._begin_each(asked, mode)
        searches = [one.found for one in under_way]
        images, digests = self.query.shows_images, self.query.needs_vectors
        collect(self.connection, self.index, searches, self.rows, images=images, digests=digests)
        answers = (one.finish() for one in under_way)
        return [next(answers) if isinstance(one, QueryProduct) else one for one in part]

    def _begin_each(self, asked: Sequence[QueryProduct], mode: SearchMode) -> list[_UnderWay]:
        """Return a search for each product; `mode` is for those without `restrict`."""
        if not asked:
            return []
        connection, index, generation = self.connection, self.index, asked[0].generation
        candidates = Candidates(connection, index, generation, images=self.query.shows_images)
        under_way: list[_UnderWay] = []
        ruled = self.rules.for_products(connection, self.query, asked)
        for one, its_query in zip(asked, ruled, strict=True):
            own, same = restrict(its_query, one.row)
            weighed = self.weighing.weigh(generation, self.query, one.query_vector())
            search = ListSearch(connection, index, generation, weighed, own, one.exclude)
            search.find_pins(candidates)
            found = search.begin(index.search_mode(own.where) if same else mode)
            under_way.append(_UnderWay(one, search, found, same))
        return under_way

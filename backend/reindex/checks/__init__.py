"""Is a generation good enough to be active? Each check is a number, its bound, and a sentence.

`verdict` has the types, `settled` checks rows and counts, `sample` chooses products, and `answers`
compares what the generations find for them. Everything is measured on stored vectors: no image is
opened, and two checks of the same catalogue use the same sample.
"""

from backend.reindex.checks.answers import check_answers
from backend.reindex.checks.settled import check_counts, check_queue, count_unsettled
from backend.reindex.checks.verdict import Bounds, Check, Side, Verdict, check_query_encoder

__all__ = [
    "Bounds",
    "Check",
    "Side",
    "Verdict",
    "check_answers",
    "check_counts",
    "check_query_encoder",
    "check_queue",
    "count_unsettled",
]

"""Is a generation good enough to answer? Each rule is a number, its bound, and what it says.

`verdict` holds the words, `queue` looks at the rows and counts, `sampling` chooses products and
`answers` compares what is found for them. Everything is measured on stored vectors: no image is
opened, and two checks of the same catalogue ask the same questions.
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

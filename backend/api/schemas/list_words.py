"""What the members and parameters of lists mean, in the words of the OpenAPI document."""

from __future__ import annotations

from typing import Final

from backend.search.paging import MOST_SHOWN

IMAGE: Final = (
    "number of the product's image that is compared, from 1; absent: the first that has a vector"
)

COLOUR: Final = (
    "how much colour counts, from 0 (the same thing in any colour) to 1 (as much as all else); "
    "absent: as the embedder has it, which `meta.colour` says"
)

TEXT: Final = "what the products look like, in English words, such as `red floral dress`"

TEXT_WEIGHT: Final = (
    "how much the text counts beside an image or a product, from 0 to 1; 0.5 if absent"
)

EXPLAIN: Final = (
    "whether each item says how similar the parts of its vector are, what it shares with the query "
    "product, its place in its category, and which rules have acted; `meta` says what was left out"
)

GROUP_SIZE: Final = (
    "where the list is grouped: how many indexed products that pass the filter are in this group; "
    "null where the vector store does not allow to count"
)

MATCH: Final = (
    "how probable it is that a shopper calls it the same kind, by the shop's own labels; absent "
    "while the generation has no curve, and beside `text` or `colour`"
)

MATCH_SCORE: Final = (
    "where `min_match` is given: the score that it stands for, 2 where no score has it; null where "
    "there is no curve, so that it does nothing"
)

CURSOR: Final = (
    "the `next_cursor` of the page before; all else as in its request, except for `limit`, `fields`"
    " and `explain`"
)

CURSOR_OF_IMAGE: Final = f"{CURSOR}, and without the image, which the cursor stands for"

GENERATION: Final = (
    "the `generation` of an earlier answer: search in the same one, for batches that belong "
    "together; 410 if it is gone"
)

NEXT_CURSOR: Final = (
    "for the next page, which repeats none of the products shown so far; null: nothing follows, or "
    f"{MOST_SHOWN} have been shown"
)

USER: Final = "for whom the list is, as events name them: experiments split by it"

VISIT: Final = "the visit, as events name it: experiments split by it where no `user` is named"

RESTRICTED: Final = "where `restrict` is given: the values that the products may have, by field"

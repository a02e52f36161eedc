"""Statistics of a shop's own images, which take the place of the shipped ones.

`adapting` is the run: `reading` the stored features and labels, `choosing` among maps of `fitting`
by the figures of `judging`, and `stored` for all processes to read. `learning_words` learns what
texts look like, with `name_alignment` and `contrasting`.
"""

from backend.adaptation.adapting import (
    FEWEST_PRODUCTS,
    Adaptation,
    adapt,
    can_adapt,
    without_statistics,
)
from backend.adaptation.reading import MOST_PRODUCTS

__all__ = [
    "FEWEST_PRODUCTS",
    "MOST_PRODUCTS",
    "Adaptation",
    "adapt",
    "can_adapt",
    "without_statistics",
]

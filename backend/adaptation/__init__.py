"""Statistics of a shop's own images, which take the place of the shipped ones.

`adapting` is the run: `reading` the stored features and labels, `choosing` among maps of `fitting`
by the figures of `judging`, and `stored` for all processes to read.
"""

from backend.adaptation.adapting import Outcome, adapt

__all__ = ["Outcome", "adapt"]

"""Give embedded shards a graph, while they answer and take writes.

`policy` says when, `builder` is the process that does it from the `snapshot` in SQL, `build` is
its parent's view of it, and `Optimizer` sees it through to the swap.
"""

from backend.optimizing.optimizer import Optimizer
from backend.optimizing.policy import Policy

__all__ = ["Optimizer", "Policy"]

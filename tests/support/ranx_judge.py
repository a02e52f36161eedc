"""Judge rankings with ranx: {"qrels": …, "run": …, "k": …} on stdin, values per query on stdout.

A process of its own, since ranx compiles for half a minute unless numba is told not to, and makes
folders in its user's home.
"""

from __future__ import annotations

import json
import sys

from ranx import Qrels, Run, evaluate


def main() -> None:
    asked = json.load(sys.stdin)
    names = [f"{name}@{asked['k']}" for name in ("map", "precision", "recall", "ndcg")]
    found = evaluate(Qrels(asked["qrels"]), Run(asked["run"]), names, return_mean=False)
    json.dump({name: list(map(float, found[name])) for name in names}, sys.stdout)


if __name__ == "__main__":
    main()

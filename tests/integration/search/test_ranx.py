"""The metrics at k agree with ranx, another implementation."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from support.places import TESTS

from backend.search.ranking import (
    average_precision_at_k,
    ndcg_at_k,
    precision_at_k,
    recall_at_k,
)

RANX = TESTS / "support" / "ranx_judge.py"


def test_metrics_of_rankings_are_those_of_ranx(tmp_path: Path) -> None:
    k, dice = 5, np.random.default_rng(0)
    relevant = dice.random((200, 12)) < dice.random((200, 1))
    relevant[:, 0] |= ~relevant.any(axis=1)  # ranx knows no query without a relevant item
    elsewhere = dice.integers(0, 8, 200)  # relevant items that are in nobody's list
    in_index = relevant.sum(axis=1) + elsewhere
    qrels, run = {}, {}
    for query, (row, more) in enumerate(zip(relevant, elsewhere, strict=True)):
        wanted = [f"d{rank}" for rank in np.flatnonzero(row)] + [f"x{n}" for n in range(more)]
        qrels[f"q{query:03}"] = dict.fromkeys(wanted, 1)
        run[f"q{query:03}"] = {f"d{rank}": 1 - rank / 100 for rank in range(12)}

    judged = subprocess.run(
        [sys.executable, RANX],
        input=json.dumps({"qrels": qrels, "run": run, "k": k}),
        env=os.environ | {"NUMBA_DISABLE_JIT": "1", "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )

    theirs = json.loads(judged.stdout)
    ours = relevant[:, :k]
    assert precision_at_k(ours) == pytest.approx(theirs["precision@5"])
    assert recall_at_k(ours, in_index) == pytest.approx(theirs["recall@5"])
    assert ndcg_at_k(ours, in_index) == pytest.approx(theirs["ndcg@5"])
    # ranx divides by all that is relevant, this project by what k places can hold.
    scale = np.minimum(k, in_index) / in_index
    assert average_precision_at_k(ours, in_index) * scale == pytest.approx(theirs["map@5"])

"""Whatever is sent, the API answers as its description says: on SQLite and on PostgreSQL.

`make prove-contract CASES=5000` sends so many requests to each, made by Schemathesis from the
description: its examples, random bodies, and chains of operations. The borders of each parameter,
some 11,000 requests, come on top.
Without that, the fast tests of the API do the same in one process, and this one tries examples.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest
from support.catalogue import draw_catalogue
from support.contract.accepted import ACCEPTED, NOT_CHECKED
from support.contract.fuzzing import Account, fuzz
from support.installation import Installation, embedded
from support.servers import empty_database, migrated

pytestmark = [pytest.mark.slow, pytest.mark.timeout(4 * 3600)]

CASES = int(os.environ.get("PROVE_CONTRACT_CASES", "0"))
PRODUCTS = 60
EACH = 10  # examples of an operation, in one round


@pytest.fixture(params=["SQLite", *(["PostgreSQL"] if CASES else [])])
def shop(
    request: pytest.FixtureRequest, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Installation]:
    settings = {"embedder": "mean-colour", "adapt": "off"}
    if request.param == "SQLite":
        with embedded(tmp_path, **settings) as found:
            yield found
        return
    with (
        empty_database(request.getfixturevalue("postgres_url")) as url,
        embedded(tmp_path, database_url=migrated(url), **settings) as found,
    ):
        yield found


def test_every_answer_is_one_that_the_description_promises(
    shop: Installation, tmp_path: Path
) -> None:
    shop.run("import", str(draw_catalogue(tmp_path / "catalogue", PRODUCTS)))
    shop.run("index")
    url = shop.api()

    account = fuzz(url, tmp_path, phases="examples", examples=1, seed=1)
    if CASES:
        account.add(fuzz(url, tmp_path, phases="stateful", examples=EACH, seed=2))
        account.add(fuzz(url, tmp_path, phases="coverage", examples=EACH, seed=3))
    for seed in count(4):
        if account.count - account.cases["coverage"] >= CASES:
            break  # the borders of parameters come on top: they are more than CASES alone
        account.add(fuzz(url, tmp_path, phases="fuzzing,stateful", examples=EACH, seed=seed))

    shop.prints_logs = False
    report(account)
    unexpected = {key: account.examples[key] for key in account.findings if key not in ACCEPTED}
    assert not unexpected
    assert not account.errors
    assert account.count >= max(CASES, len(account.cases))


def report(account: Account) -> None:
    phases = ", ".join(f"{number} {phase}" for phase, number in account.cases.items())
    sys.stdout.write(f"\n{account.count} requests ({phases})\n")
    for (operation, check), number in sorted(account.findings.items()):
        reason = ACCEPTED.get((operation, check), "NOT ACCEPTED")
        sys.stdout.write(f"{number} x {operation}: {check}: {reason}\n")
    for check, reason in NOT_CHECKED.items():
        sys.stdout.write(f"not checked: {check}: {reason}\n")

"""How much a query costs beside the engine's own call: a ratio of processor times.

Both are measured by turns, so that other work on the machine changes both; the bound is far from
what was measured. `benchmarks/similar_http.py` measures what this only guards. The number of
statements has `test_statements.py`, ingest beside the pure pass
`tests/integration/worker/test_ingest.py`.
"""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any, Final

import numpy as np
import pytest
import qdrant_edge as qe
from flask.testing import FlaskClient
from support.keys import bearer, make_key
from support.rows import traced
from support.shop import Shop, stock, vector_of

from backend.access.scope import Scope
from backend.api import create_app
from backend.settings import Settings

PRODUCTS: Final = 1000
MOST_TIMES: Final = 60
"""Of the engine's call. It was 16 when this was written, and beyond 35 under a load of 60, where
caches are cold: then our own code suffers most. `MOST_CALLS` is the narrow bound."""

MOST_CALLS: Final = 750
"""Of Python functions, for one query and the test client. It was 689 when this was written."""

SHAPED: Final = (
    "group_by=group_id&diversity=0.4&boost=in_stock:0.1,price:0.1:0:9&restrict=gender&explain=true"
)
MOST_SHAPED_TIMES: Final = 3.0
"""Of the functions of a plain list. It was 2.5 when this was written."""

TIMES: Final = 160


@pytest.fixture(scope="module")
def stocked(
    api_settings: Settings, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Shop, FlaskClient]]:
    """A shop of drawn products, and a client with a key."""
    folder = tmp_path_factory.mktemp("speed")
    grid = "mean-colour?grid=2"  # the size of `vector_of`
    with Shop(api_settings, data_dir=folder, embedder=grid, max_batch=100) as shop:
        stock(shop.db, shop.generation, PRODUCTS)
        shop.apply()
        client = create_app(shop.services, locked=True).test_client()
        for name, value in bearer(make_key(shop.services, Scope.READ)).items():
            client.environ_base[f"HTTP_{name.upper()}"] = value
        yield shop, client


def ratio_of(call: Callable[[int], Any], other: Callable[[int], Any], *, times: int) -> float:
    """The processor time of one call over that of another, run by turns.

    Tenth percentiles: other work on the machine changes medians by up to half.
    """
    spent: dict[Callable[[int], Any], list[float]] = {call: [], other: []}
    for number in range(1, times + 1):
        for each, found in spent.items():
            began = time.process_time()
            each(number)
            found.append(time.process_time() - began)
    mine, others = (sorted(spent[each])[times // 10] for each in (call, other))
    return mine / others


def test_a_query_costs_few_times_what_the_engine_s_call_costs(
    stocked: tuple[Shop, FlaskClient],
) -> None:
    shop, client = stocked
    index: Any = shop.index
    vectors = [vector_of(number).tolist() for number in range(TIMES + 1)]
    assert np.shape(vectors[0]) == (index.size,)

    def bare(number: int) -> None:
        with index.store.using() as shard:
            shard.query(qe.QueryRequest(query=qe.Query.Nearest(vectors[number]), limit=10))

    def ask(number: int) -> None:
        answer = client.get(f"/v1/products/s{number}/similar")
        assert len(answer.json["items"]) == 10

    ask(1)
    ratio = ratio_of(ask, bare, times=TIMES)
    print(f"a query costs {ratio:.0f} times the engine's call")
    assert ratio < MOST_TIMES


def calls_of(client: FlaskClient, path: str) -> int:
    """How many Python functions a request calls, the second time."""
    assert client.get(path.format(1)).status_code == 200
    calls = 0

    def count(_frame: object, event: str, _argument: object) -> None:
        nonlocal calls
        calls += event == "call"

    before = sys.getprofile()
    sys.setprofile(count)
    try:
        client.get(path.format(2))
    finally:
        sys.setprofile(before)
    return calls


def test_a_query_calls_few_functions(stocked: tuple[Shop, FlaskClient]) -> None:
    """This count is the same on every machine, so it shows what the ratio may hide."""
    calls = calls_of(stocked[1], "/v1/products/s{}/similar")
    print(f"a query calls {calls} functions")
    assert calls < MOST_CALLS


def test_a_list_that_is_shaped_in_all_ways_calls_few_times_as_many(
    stocked: tuple[Shop, FlaskClient],
) -> None:
    _, client = stocked
    plain = calls_of(client, "/v1/products/s{}/similar")
    calls = calls_of(client, f"/v1/products/s{{}}/similar?{SHAPED}")
    print(f"a shaped list calls {calls} functions, a plain one {plain}")
    assert calls < MOST_SHAPED_TIMES * plain


def test_no_more_rows_are_read_than_one_beyond_the_list(
    stocked: tuple[Shop, FlaskClient],
) -> None:
    shop, client = stocked
    client.get("/v1/products/s1/similar?limit=5")
    with traced(shop.db) as told:
        assert len(client.get("/v1/products/s2/similar?limit=5").json["items"]) == 5
    _, found = told
    [ids] = re.findall(r"products\.id IN \(([0-9, ]+)\)", found)
    assert len(set(ids.split(", "))) == 6
    assert "json_group_array" in found  # all rows in one step: between two, another thread may run


def test_a_batch_costs_a_third_of_as_many_single_queries(
    stocked: tuple[Shop, FlaskClient],
) -> None:
    _, client = stocked
    skus = [f"s{number}" for number in range(1, 101)]
    settings = client.application.extensions["lookalike"].settings
    part = skus[: settings.max_batch]

    def single(number: int) -> None:
        assert client.get(f"/v1/products/s{number}/similar").status_code == 200

    def batch(_number: int) -> None:
        assert client.post("/v1/similar:batch", json={"skus": part}).status_code == 200

    ratio = len(part) * ratio_of(single, batch, times=5)
    print(f"a batch of {len(part)} is {ratio:.1f} times as fast as single queries")
    assert ratio > 3

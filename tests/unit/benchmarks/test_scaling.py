"""The formulas and the simulation behind docs/scaling.md."""

from __future__ import annotations

import importlib
import math
from types import ModuleType

import numpy as np
import pytest
from support.places import ROOT

MODULES = ("capacity", "queueing", "scaling")


@pytest.fixture(scope="module", autouse=True)
def modules() -> dict[str, ModuleType]:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(ROOT / "benchmarks"))
        return {name: importlib.import_module(name) for name in MODULES}


@pytest.fixture
def capacity(modules: dict[str, ModuleType]) -> ModuleType:
    return modules["capacity"]


@pytest.fixture
def queueing(modules: dict[str, ModuleType]) -> ModuleType:
    return modules["queueing"]


@pytest.fixture
def scaling(modules: dict[str, ModuleType]) -> ModuleType:
    return modules["scaling"]


@pytest.mark.parametrize(
    ("servers", "load", "waiting"), [(1, 0.8, 0.8), (2, 1, 1 / 3), (3, 2, 4 / 9), (2, 2, 1)]
)
def test_the_share_that_waits_is_erlang_s(
    queueing: ModuleType, servers: int, load: float, waiting: float
) -> None:
    assert queueing.erlang_c(servers, load) == pytest.approx(waiting)


def test_the_simulated_queue_agrees_with_the_formula(queueing: ModuleType) -> None:
    rng = np.random.default_rng(3)
    waits = queueing.simulate_queue(320, 100, 4, count=60_000, rng=rng)
    assert (waits > 0).mean() == pytest.approx(queueing.erlang_c(4, 3.2), abs=0.03)
    assert waits.mean() == pytest.approx(queueing.mean_wait(320, 100, 4), rel=0.1)
    steady = queueing.simulate_queue(320, 100, 4, count=60_000, rng=rng, steady=True)
    assert steady.mean() < 0.6 * waits.mean()


@pytest.mark.parametrize("arrivals", [1, 150, 2_000])
def test_one_worker_fewer_than_needed_lets_too_many_wait(
    queueing: ModuleType, arrivals: int
) -> None:
    def late(servers: int) -> float:
        spare = servers * 100 - arrivals
        return float(queueing.erlang_c(servers, arrivals / 100) * math.exp(-max(0, spare) * 0.02))

    servers = queueing.servers_for(arrivals, 100, within=0.02, late=0.01)
    assert late(servers) <= 0.01
    assert servers == 1 or late(servers - 1) > 0.01


def test_a_backlog_of_whole_days_ends_when_the_formula_says(queueing: ModuleType) -> None:
    steady = 80 + 1_000_000 / queueing.DAY
    backlog = round((400 - steady) * 2 * queueing.DAY)
    load = queueing.Workload(rate=100, workers=4, singles=80, feed=1_000_000, reindex=backlog)
    found = queueing.simulate_days(load, days=3, rng=np.random.default_rng(1))
    assert queueing.drained(backlog, steady, 100, 4) == pytest.approx(2 * queueing.DAY)
    assert found["re-index"].emptied == pytest.approx(2 * queueing.DAY, rel=0.01)
    assert found["re-index"].done == backlog
    assert found["single"].longest == 0


def test_what_comes_last_by_priority_waits_for_the_rest(queueing: ModuleType) -> None:
    def longest(outage: tuple[float, float]) -> list[float]:
        load = queueing.Workload(
            rate=100, workers=1, singles=40, feed=500_000, reindex=3_000_000, outage=outage
        )
        found = queueing.simulate_days(load, days=2, rng=np.random.default_rng(1))
        return [it.longest for it in found.values()]

    single, feed, reindex = longest((0, 0))
    assert single < feed < reindex
    assert all(np.greater(longest((6, 18)), (single, feed, reindex)))


def test_a_backlog_that_too_few_workers_have_is_never_done(queueing: ModuleType) -> None:
    assert queueing.drained(1_000, 110, 100, 1) == math.inf
    load = queueing.Workload(rate=1, workers=1, singles=0.9, feed=0, reindex=90_000)
    found = queueing.simulate_days(load, days=1, rng=np.random.default_rng(1))
    assert found["re-index"].emptied is None
    assert sum(it.done for it in found.values()) == pytest.approx(queueing.DAY, rel=0.01)


def test_a_point_has_the_bytes_of_the_formulas(capacity: ModuleType) -> None:
    point = capacity.PointBytes(dimensions=512, m=16, payload=0, payload_indexes=0)
    assert point.in_memory == 512 * 4 * 1.5
    assert point.links == pytest.approx(151.1, abs=0.1)
    assert point.int8_on_disk == pytest.approx((512 + 151.1) * 1.5, abs=0.1)


def test_a_cluster_holds_the_catalogue_and_one_node_fewer_does_not(capacity: ModuleType) -> None:
    point = capacity.PointBytes()
    options = {"node": 100e9, "replicas": 2, "generations": 2}
    small = capacity.cluster_for(10**6, 4_000, point, **options)
    assert (small.nodes, small.shards) == (1, 1)
    assert capacity.cluster_for(10**7, 4_000, point, **options).nodes == 3
    large = capacity.cluster_for(10**9, 4_000, point, **options)
    assert large.memory == 10**9 * 4_000 * 4
    assert (large.nodes - 1) * 75e9 < large.memory <= large.nodes * 75e9
    assert large.shards == 2 * large.nodes


def test_more_gpus_do_not_help_where_the_decoders_are_the_limit(capacity: ModuleType) -> None:
    def seconds(gpus: int) -> float:
        return float(
            capacity.reembed_seconds(10**6, gpus=gpus, gpu_rate=1000, cores=20, decode=0.01)
        )

    assert seconds(1) == 1000
    assert seconds(2) == seconds(8) == 500


def test_each_table_has_a_cell_for_each_of_its_columns(scaling: ModuleType) -> None:
    options = scaling.options_of(["--arrivals", "1000", "--days", "1", "--crews", "2"])
    for name, table in scaling.TABLES.items():
        header, *rows = table(options)
        assert len(rows) > 1, name
        assert {len(row) for row in rows} == {len(header)}, name


def test_the_same_seed_gives_the_same_table(scaling: ModuleType) -> None:
    options = scaling.options_of(["--arrivals", "1000"])
    assert list(scaling.check(options)) == list(scaling.check(options))


def test_a_table_that_does_not_exist_is_refused_by_name(
    scaling: ModuleType, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        scaling.options_of(["shards"])
    assert "there is no table shards" in capsys.readouterr().err

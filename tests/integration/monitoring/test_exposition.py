"""`/metrics`: what it shows, to whom, and that nothing makes a scrape fail or grow."""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
import requests
from flask.testing import FlaskClient
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.openmetrics.parser import (
    text_string_to_metric_families as read_openmetrics,
)
from prometheus_client.parser import text_string_to_metric_families
from support.host_faults import no_threads
from support.image_files import colour_image
from support.keys import bearer
from support.servers import free_port, wait_for
from support.shop import Shop

from backend import queue
from backend.access.scope import Scope
from backend.database.engine import Database
from backend.errors import ConfigurationError
from backend.monitoring import API, MetricsServer, of_installation, show_apart
from backend.monitoring.exposition import Exposition
from backend.monitoring.parts import MetricsPart
from backend.settings import Settings
from workers.metrics_port import show_counts

SIMILAR = "/v1/products/<sku>/similar"


class Samples:
    """What was shown, to be looked up by name and labels."""

    def __init__(self, shown: str) -> None:
        self.families = list(text_string_to_metric_families(shown))
        self.all = [sample for family in self.families for sample in family.samples]

    def get(self, name: str, **labels: str) -> float:
        """The sum of the samples that have these labels, perhaps among others."""
        return sum(
            sample.value
            for sample in self.all
            if sample.name == name and labels.items() <= sample.labels.items()
        )

    def labels(self, name: str, label: str) -> set[str]:
        return {sample.labels[label] for sample in self.all if sample.name == name}


def scrape(client: FlaskClient) -> Samples:
    answer = client.get("/metrics")
    assert answer.status_code == 200
    assert answer.content_type.startswith("text/plain; version=")
    return Samples(answer.text)


# --- what is counted -------------------------------------------------------------------------


def test_requests_are_measured_by_route_method_and_status(wardrobe: Shop) -> None:
    name = "http_server_request_duration_seconds_count"
    found = {"http_route": SIMILAR, "http_request_method": "GET"}
    before = scrape(wardrobe.client)
    for sku in ("0001", "0002", "nobody"):
        wardrobe.client.get(f"/v1/products/{sku}/similar")
    wardrobe.client.get("/v1/products/0001/similar?limit=0")
    after = scrape(wardrobe.client)
    counts = {
        status: after.get(name, **found, http_response_status_code=status)
        - before.get(name, **found, http_response_status_code=status)
        for status in ("200", "404", "422")
    }
    assert counts == {"200": 2, "404": 1, "422": 1}
    assert after.get(name.replace("count", "sum"), **found) > 0


def test_no_client_can_add_a_value_to_a_label(wardrobe: Shop) -> None:
    name = "http_server_request_duration_seconds_count"
    of_others = scrape(wardrobe.client).labels(name, "http_route")  # apps of earlier tests
    for number in range(20):
        wardrobe.client.get(f"/nothing/{number}")
        wardrobe.client.get(f"/v1/products/sku-{number}/similar")
        wardrobe.client.open("/v1/status", method=f"M{number}")
        wardrobe.client.get(f"/v1/products/0001/similar?attributes.name-{number}=x")
    wardrobe.services.recall.save()
    shown = scrape(wardrobe.client)
    rules = {rule.rule for rule in wardrobe.app.url_map.iter_rules()}
    assert shown.labels(name, "http_route") <= rules | {""} | of_others
    assert "_OTHER" in shown.labels(name, "http_request_method")
    assert len(shown.labels(name, "http_request_method")) <= 8
    assert len(shown.labels("lookalike_searches_total", "filter_shape")) <= 20


def test_embedding_decoding_and_freshness_are_counted_where_they_happen(shop: Shop) -> None:
    before = scrape(shop.client)
    shop.put("1", "red")
    shop.put("2", "blue")
    shop.put("none")
    shop.client.put("/v1/products/bad", json={})
    assert shop.put_image("bad", b"\xff\xd8\xff\xe0 no image").status_code == 422
    shop.work()
    after = scrape(shop.client)

    def more(name: str, **labels: str) -> float:
        return after.get(name, **labels) - before.get(name, **labels)

    assert more("lookalike_freshness_seconds_count", priority="single") == 2
    assert more("lookalike_freshness_seconds_sum", priority="single") > 0
    assert more("lookalike_embed_batch_images_sum") == 2
    assert more("lookalike_embed_batch_duration_seconds_count") >= 1
    assert more("lookalike_decoded_images_total", outcome="ok") >= 2
    assert more("lookalike_decoded_images_total", outcome="corrupt-image") >= 1
    assert more("lookalike_decode_duration_seconds_count") >= 3


# --- what SQL and the disks say --------------------------------------------------------------


def success_of(shown: Samples) -> dict[str, float]:
    """Which parts could be read."""
    name = "lookalike_scrape_part_success"
    return {part: shown.get(name, part=part) for part in shown.labels(name, "part")}


def fresh(shop: Shop) -> Samples:
    """A scrape that uses nothing of an earlier one."""
    exposition = of_installation(shop.services.settings, shop.db)
    return Samples(exposition.encode("")[0].decode())


def test_queue_products_quarantine_and_generation_are_shown(wardrobe: Shop) -> None:
    wardrobe.put("without an image")
    wardrobe.work()
    wardrobe.put("new", "green")
    ids = [wardrobe.save(f"import-{number}", colour_image("red")) for number in range(2)]
    wardrobe.db.write(
        lambda session: queue.request(session, ids, image=True, priority=queue.IMPORT)
    )
    shown = fresh(wardrobe)
    depth = {
        name: shown.get("lookalike_queue_depth", priority=name)
        for name in ("single", "import", "reindex")
    }
    assert sum(depth.values()) == 3
    assert depth["reindex"] == 0
    assert shown.get("lookalike_queue_oldest_seconds", priority="single", state="active") > 0
    assert {
        state: shown.get("lookalike_products", state=state)
        for state in ("pending", "indexed", "quarantined")
    } == {"pending": 3, "indexed": 5, "quarantined": 1}
    assert shown.get("lookalike_quarantined_products", reason="no-image") == 1
    assert shown.labels("lookalike_generation_info", "embedder") == {"mean-colour"}
    assert shown.labels("lookalike_generation_info", "state") == {"active"}
    for store in ("database", "index", "images"):
        free = shown.get("lookalike_store_free_bytes", store=store)
        assert 0 < free < shown.get("lookalike_store_capacity_bytes", store=store)
    assert shown.get("lookalike_store_used_bytes", store="database") > 10_000
    assert shown.get("lookalike_store_used_bytes", store="index") > 10_000
    assert {
        shown.get("lookalike_scrape_part_success", part=part)
        for part in shown.labels("lookalike_scrape_part_success", "part")
    } == {1}


def test_the_size_of_a_database_server_is_shown(pg_db: Database, settings: Settings) -> None:
    url = pg_db.engine.url.render_as_string(hide_password=False)
    served = settings.model_copy(update={"database_url": url})
    shown = Samples(of_installation(served, pg_db).encode("")[0].decode())
    assert shown.get("lookalike_store_used_bytes", store="database") > 1_000_000
    assert "database" not in shown.labels("lookalike_store_free_bytes", "store")
    assert set(success_of(shown).values()) == {1}


def test_a_store_that_is_away_costs_only_its_own_part(settings: Settings) -> None:
    away = "postgresql+psycopg://nobody@127.0.0.1:1/none"
    db = Database(away)
    exposition = of_installation(settings.model_copy(update={"database_url": away}), db)
    shown = Samples(exposition.encode("")[0].decode())
    assert success_of(shown) == {
        "processes": 1,
        "queue": 0,
        "products": 0,
        "generations": 0,
        "recall": 0,
        "recommendations": 0,
        "disks": 1,
        "sizes": 0,
        "stores": 1,
    }
    assert shown.get("lookalike_processes", role=API) == 1
    assert not shown.labels("lookalike_products", "state")
    db.close()


def test_a_folder_of_counts_that_cannot_be_read_costs_only_the_others_counts() -> None:
    shown = Samples(Exposition(Path("x" * 300), role=API).encode("")[0].decode())
    assert success_of(shown) == {"processes": 0}
    assert shown.get("lookalike_processes", role=API) == 1


def test_a_store_that_hangs_is_not_waited_for_and_holds_one_thread(tmp_path: Path) -> None:
    answers, calls = threading.Event(), []

    def read() -> list[GaugeMetricFamily]:
        calls.append(threading.current_thread())
        answers.wait(60)
        return [GaugeMetricFamily("slow", "It is slow.", value=1)]

    part = MetricsPart("slow", read)
    exposition = Exposition(tmp_path, [part], wait_seconds=0.05)
    try:
        for _ in range(5):
            shown = Samples(exposition.encode("")[0].decode())
            assert shown.get("lookalike_scrape_part_success", part="slow") == 0
        assert len(calls) == 1
    finally:
        answers.set()
    shown = Samples(wait_for(lambda: part.families() and exposition.encode("")[0]).decode())
    assert shown.get("slow") == 1
    assert len(calls) == 1, "what was read is kept for the next scrapes"


def test_a_part_for_which_the_host_had_no_thread_is_read_by_the_next_scrape(tmp_path: Path) -> None:
    read = [GaugeMetricFamily("known", "It is known.", value=1)]
    exposition = Exposition(tmp_path, [MetricsPart("known", lambda: read)])

    def success() -> float:
        shown = Samples(exposition.encode("")[0].decode())
        return shown.get("lookalike_scrape_part_success", part="known")

    with no_threads():
        assert success() == 0
    assert success() == 1


def test_what_was_read_is_kept_and_then_read_again(tmp_path: Path) -> None:
    calls: list[int] = []

    def read() -> list[GaugeMetricFamily]:
        calls.append(1)
        return [GaugeMetricFamily("calls", "How many.", value=len(calls))]

    kept = Exposition(tmp_path, [MetricsPart("kept", read, good_for=60)])
    assert [Samples(kept.encode("")[0].decode()).get("calls") for _ in range(3)] == [1, 1, 1]
    brief = MetricsPart("brief", read, good_for=0)
    again = Exposition(tmp_path, [brief])
    assert wait_for(lambda: Samples(again.encode("")[0].decode()).get("calls") > 2)


# --- who may read it, and where --------------------------------------------------------------


def test_openmetrics_is_spoken_to_those_who_want_it(wardrobe: Shop) -> None:
    wanted = {"Accept": "application/openmetrics-text;version=1.0.0,text/plain;q=0.5"}
    answer = wardrobe.client.get("/metrics", headers=wanted)
    assert answer.content_type.startswith("application/openmetrics-text")
    names = {family.name for family in read_openmetrics(answer.text)}
    assert {"lookalike_generation", "http_server_request_duration_seconds"} <= names


@pytest.mark.parametrize(
    ("scope", "status"), [(None, 401), (Scope.READ, 403), (Scope.INGEST, 403), (Scope.ADMIN, 200)]
)
def test_the_address_of_the_api_needs_an_admin_key_where_keys_are_needed(
    locked: FlaskClient, token: Callable[[Scope], str], scope: Scope | None, status: int
) -> None:
    headers = bearer(token(scope)) if scope else {}
    assert locked.get("/metrics", headers=headers).status_code == status


def test_a_port_of_its_own_needs_no_key_and_shows_nothing_else(shop: Shop) -> None:
    server = MetricsServer(
        of_installation(shop.services.settings, shop.db), host="127.0.0.1", port=0
    )
    server.start()
    try:
        url = f"http://127.0.0.1:{server.port}"
        answer = requests.get(f"{url}/metrics", timeout=30)
        assert answer.status_code == 200
        assert Samples(answer.text).get("lookalike_processes", role=API) == 1
        for other in ("/", "/v1/status", "/metrics/x"):
            assert requests.get(url + other, timeout=30).status_code == 404
        with pytest.raises(
            ConfigurationError, match=f"cannot show metrics on 127.0.0.1:{server.port}"
        ):
            MetricsServer(Exposition(Path("none")), host="127.0.0.1", port=server.port)
    finally:
        server.stop()


class BrokenExposition(Exposition):
    """Fails at each scrape, as a defect would."""

    def encode(self, accept: str) -> tuple[bytes, str]:
        raise RuntimeError(accept)


class LateExposition(Exposition):
    """Has its text when the scraper has gone."""

    gone = threading.Event()

    def encode(self, accept: str) -> tuple[bytes, str]:
        self.gone.wait(60)
        return b"x" * 10_000_000, "text/plain"


@pytest.mark.parametrize("kind", [BrokenExposition, LateExposition])
def test_a_scrape_that_ends_badly_writes_no_plain_traceback(
    kind: type[Exposition], capfd: pytest.CaptureFixture[str]
) -> None:
    server = MetricsServer(kind(Path("none")), host="127.0.0.1", port=0)
    server.start()
    with socket.create_connection(("127.0.0.1", server.port)) as scraper:
        scraper.sendall(b"GET /metrics HTTP/1.0\r\n\r\n")
        wait_for(lambda: any("process_request" in it.name for it in threading.enumerate()))
    LateExposition.gone.set()
    wait_for(lambda: not any("process_request" in it.name for it in threading.enumerate()))
    server.stop()
    assert "Exception occurred" not in capfd.readouterr().err


def test_another_process_takes_the_port_when_the_first_one_ends(shop: Shop, tmp_path: Path) -> None:
    first = MetricsServer(Exposition(tmp_path), host="127.0.0.1", port=0)
    first.start()
    settings = shop.services.settings.model_copy(update={"metrics_port": first.port})
    show_apart(of_installation(settings, shop.db), settings, retry_seconds=0.05)
    first.stop()

    def shown() -> str | None:
        try:
            return requests.get(f"http://127.0.0.1:{first.port}/metrics", timeout=30).text
        except requests.ConnectionError:
            return None

    assert "lookalike_queue_depth" in wait_for(shown)


COUNT = """
import sys
from pathlib import Path
from backend.metrics.instruments import count_batch
from backend.metrics.snapshots import Publisher
publisher = Publisher(Path(sys.argv[1]), role="worker")
publisher.start()
count_batch(images=7, seconds=0.01)
publisher.stop()
"""


def test_a_worker_beside_another_data_folder_has_a_port_of_its_own(settings: Settings) -> None:
    alone = settings.model_copy(update={"worker_metrics_port": free_port()})
    with show_counts(alone) as folder:
        url = f"http://127.0.0.1:{alone.worker_metrics_port}/metrics"
        for total in (7, 14):  # a worker, and the one that is started when it died
            subprocess.run([sys.executable, "-c", COUNT, str(folder)], check=True)
            shown = Samples(requests.get(url, timeout=30).text)
            assert shown.get("lookalike_embed_batch_images_sum") >= total
        assert not shown.labels("lookalike_queue_depth", "priority"), "the API shows what SQL says"
    with show_counts(settings) as folder:
        assert folder is None, "it counts in the data folder, and the API shows it"

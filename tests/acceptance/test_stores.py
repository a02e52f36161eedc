"""Each store is stopped, paused, killed, refused, full, slow and cut, under requests and work.

`make prove-stores` runs this and prints the table of benchmarks/README.md, then restarts
everything, one after the other, under load. Variables:

- PROVE_STORES: stores or faults, with commas between them, or all
- PROVE_STORES_RATE: requests per second during the restarts
"""

from __future__ import annotations

import json
import os
import random
import re
import string
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import requests
from support.image_files import colour_image
from support.installation import QUICK, Installation
from support.livez_probe import LivezProbe
from support.servers import free_port, load_per_processor, migrated, wait_for
from support.store_faults import Stores, four_stores

FAULT_SECONDS = 5.0
BURST = 50
BUSY = load_per_processor()
"""Waits of this test are longer where other programs use the processors too."""

SLACK = {"hang_seconds": 30 * BUSY, "decode_seconds": 4 * BUSY}
PATIENCE = 30.0 * BUSY
IMPORTED = range(8, 40)
"""The skus of an import that is requested right before each fault."""

LETTERS = string.ascii_letters + string.digits
ASKED = os.environ.get("PROVE_STORES")
RATE = float(os.environ.get("PROVE_STORES_RATE", "50"))

TASK = re.compile(r"Task \S+")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(3600),
    pytest.mark.skipif(not ASKED, reason="minutes: `make prove-stores`"),
]


@dataclass(frozen=True)
class Seen:
    began: float
    took: float
    said: str  # the status, and the code of a problem


@dataclass
class Caller:
    """Sends one kind of request again and again."""

    kind: str
    send: Callable[[], requests.Response]
    seen: list[Seen] = field(default_factory=list)

    def step(self) -> None:
        began = time.monotonic()
        try:
            answer = self.send()
        except requests.RequestException as error:
            said = type(error).__name__
        else:
            said = str(answer.status_code)
            if answer.status_code >= 400:
                said += f" {answer.json()['code']}"
        self.seen.append(Seen(began, time.monotonic() - began, said))

    def is_answered(self) -> bool:
        self.step()
        return self.seen[-1].said[0] == "2"

    def during(self, since: float, until: float) -> list[Seen]:
        return [it for it in self.seen if since <= it.began < until]

    def back_after(self, since: float) -> float | None:
        """Seconds until the answers are good and stay so for as long as was looked."""
        later = [it for it in self.seen if it.began + it.took >= since]
        bad = [it.began + it.took for it in later if it.said[0] != "2"]
        good = [it for it in later if it.said[0] == "2" and it.began > max(bad, default=0)]
        return max(0.0, good[0].began + good[0].took - since) if good else None


class Table:
    """An installation under requests, and rows of what one fault does to it."""

    def __init__(self, shop: Installation, stores: Stores, url: str) -> None:
        self.shop, self.stores, self.url = shop, stores, url
        self.session = requests.Session()
        self._number = 0
        self.livez = LivezProbe(url, [it.pid for it in shop.process("api").children()])
        self.callers = [
            Caller("readyz", lambda: requests.get(f"{url}/readyz", timeout=PATIENCE)),
            Caller("query", lambda: self.get("/v1/products/0/similar?limit=3")),
            Caller("read", lambda: self.get("/v1/products/1")),
            Caller("write", self.write),
            Caller("image", self.image),
        ]
        self.rows: list[dict[str, str]] = []

    def get(self, path: str) -> requests.Response:
        return requests.get(self.url + path, timeout=PATIENCE)

    def write(self) -> requests.Response:
        """A text that cannot be compressed takes new room on the disk of the database each time."""
        self._number += 1
        name = "".join(random.choices(LETTERS, k=2000))
        body = {"price": float(self._number), "display_name": name}
        return requests.patch(f"{self.url}/v1/products/2", json=body, timeout=PATIENCE)

    def image(self) -> requests.Response:
        self._number += 1
        data = colour_image((self._number % 250, 9, 9))
        kind = {"Content-Type": "image/png"}
        path = f"{self.url}/v1/products/{3 + self._number % 5}/image"
        return requests.put(path, data=data, headers=kind, timeout=PATIENCE)

    def begin_import(self) -> str:
        """Send lines of JSON that a job stores; return the job's address."""
        self._number += 1
        lines = [json.dumps({"sku": str(sku), "price": float(self._number)}) for sku in IMPORTED]
        answer = requests.post(
            f"{self.url}/v1/products:import",
            data="\n".join(lines),
            headers={"Content-Type": "application/x-ndjson"},
            timeout=PATIENCE,
        )
        return f"/v1/jobs/{answer.json()['id']}"

    def wait_until_imported(self, job: str) -> str:
        """Wait until the job is over; return how many of its lines were stored: all."""

        def ended() -> dict[str, Any] | None:
            found: dict[str, Any] = self.get(job).json()
            return found if found["state"] in {"done", "failed"} else None

        found = wait_for(ended, seconds=120 * BUSY)
        assert found["state"] == "done", found
        counts = found["result"]["counts"]
        assert (sum(counts.values()), counts["rejected"]) == (len(IMPORTED), 0), counts
        return f"{len(IMPORTED)} of {len(IMPORTED)}"

    @contextmanager
    def under_requests(self) -> Iterator[None]:
        ended = threading.Event()

        def loop(caller: Caller) -> None:
            while not ended.wait(0.1):
                caller.step()

        threads = [threading.Thread(target=loop, args=(caller,)) for caller in self.callers]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            ended.set()
            for thread in threads:
                thread.join()

    def add(self, store: str, fault: str, context: Callable[[], Any]) -> None:
        marks = {name: len(self.shop.log_of(name)) for name in ("api", "w1")}
        for caller in self.callers:
            caller.seen.clear()
            wait_for(caller.is_answered, seconds=60 * BUSY)
        with self.under_requests():
            time.sleep(0.5)
            job = self.begin_import()
            since = time.monotonic()
            with context():
                with ThreadPoolExecutor(BURST) as threads:
                    burst = [
                        threads.submit(lambda: suppressed(self.callers[1].send))
                        for _ in range(BURST)
                    ]
                    time.sleep(FAULT_SECONDS)
                    until = time.monotonic()
                    for one in burst:
                        one.result()
                until = max(until, time.monotonic())
            over = time.monotonic()
            wait_for(
                lambda: all(self._is_back(caller, over) for caller in self.callers),
                seconds=120 * BUSY,
            )
        quiet = time.monotonic()
        imported = self.wait_until_imported(job)
        wait_for(lambda: self.shop.progress().at_rest, seconds=120 * BUSY)
        indexed = time.monotonic() - quiet
        row = {"store": store, "fault": fault, "livez": describe_livez(self.livez, since, until)}
        for caller in self.callers:
            row[caller.kind] = describe(caller.during(since, until))
        row |= {"back": self._back(over), "indexed": f"{indexed:.1f} s", "import": imported}
        row["says"] = self._says(marks)
        self.rows.append(row)
        print("|", " | ".join(row.values()), "|", flush=True)
        for one in self.livez.during(since, until):
            if one.is_late:
                print("late:", one, flush=True)

    def _is_back(self, caller: Caller, over: float) -> bool:
        recent = [it for it in caller.seen if it.began > over][-5:]
        return len(recent) == 5 and all(it.said[0] == "2" for it in recent)

    def _back(self, over: float) -> str:
        found = {caller.kind: caller.back_after(over) for caller in self.callers[1:]}
        return f"{max(value for value in found.values() if value is not None):.1f} s"

    def _says(self, marks: dict[str, int]) -> str:
        found: Counter[str] = Counter()
        for name, mark in marks.items():
            for line in self.shop.log_of(name)[mark:].splitlines():
                with suppress(ValueError):
                    entry = json.loads(line)
                    if entry["event"] == "the alias was not changed":
                        continue  # the double of Qdrant has none
                    if entry.get("level") in ("warning", "error", "critical"):
                        event = TASK.sub("Task …", entry["event"])[:80]
                        found[f"{name}: {event}"] += 1
        return "; ".join(f"{event} ({count})" for event, count in found.most_common(6))


def suppressed(send: Callable[[], Any]) -> None:
    with suppress(requests.RequestException):
        send()


def describe(seen: list[Seen]) -> str:
    counts = Counter(it.said for it in seen)
    longest = max((it.took for it in seen), default=0)
    said = ", ".join(f"{said} ({count})" for said, count in counts.most_common(3))
    return f"{said}; ≤ {longest:.1f} s"


def describe_livez(probe: LivezProbe, since: float, until: float) -> str:
    """What was answered, the longest time of one, and how many a busy machine does not explain."""
    seen = probe.during(since, until)
    said = ", ".join(f"{said} ({count})" for said, count in Counter(it.said for it in seen).items())
    late = sum(it.is_late for it in seen)
    took = max((it.took for it in seen), default=0)
    return f"{said}; ≤ {took:.2f} s" + (f", {late} late" if late else "")


@pytest.fixture
def stores(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stores]:
    with four_stores(tmp_path) as found:
        for name, value in found.environment().items():
            monkeypatch.setenv(name, value)
        yield found


class Spread(Installation):
    """An installation over the four stores, which passes the bucket's credentials on."""

    def environment(self, **settings: Any) -> dict[str, str]:
        aws = {name: value for name, value in os.environ.items() if name.startswith("AWS_")}
        return super().environment(**settings) | aws


@pytest.fixture
def shop(stores: Stores, tmp_path: Path) -> Iterator[Spread]:
    given = stores.settings()
    migrated(given["database_url"])
    found = Spread(tmp_path / "shop", redis=stores.redis, **QUICK | SLACK | given)
    found.prints_logs = False
    try:
        yield found
    finally:
        found.close()


def test_each_fault_of_each_store(
    shop: Spread, stores: Stores, request: pytest.FixtureRequest
) -> None:
    shop.worker("w1")
    shop.worker("wi", queue="interactive")  # a promotion asks it
    shop.start("beat")
    shop.wait_until_ready("w1", "wi", seconds=60 * BUSY)
    shop.import_products(40)
    shop.wait_until_indexed(40, seconds=60 * BUSY)
    url = shop.api(free_port())
    table = Table(shop, stores, url)
    request.addfinalizer(table.livez.stop)
    only = (ASKED or "").split(",") if ASKED != "all" else []
    for (store, fault), context in stores.faults().items():
        if only and store not in only and fault not in only:
            continue
        if fault == "pause":  # a re-index is under way in one fault of each store
            requests.post(f"{url}/v1/admin/reindex", json={"quantization": "int8"}, timeout=30)
        table.add(store, fault, context)
    livez = [it for row in table.rows for it in row["livez"].split(";")[0].split(", ")]
    assert all(it.startswith("200") for it in livez), "the process is alive whatever hangs"
    assert not any(it.is_late for it in table.livez.seen), "its event loop waits for nothing"
    wait_for(lambda: shop.progress().at_rest, seconds=120 * BUSY)
    assert shop.verify()["drift"] == 0


# --- a rolling restart ---------------------------------------------------------------------------


class Client:
    """Asks one of two addresses, and once more the other one, after Retry-After if there is one."""

    def __init__(self, urls: list[str]) -> None:
        self._urls = urls
        self._turn = 0
        self.outcomes: Counter[str] = Counter()

    def ask(self, path: str) -> None:
        self._turn += 1
        first, second = self._urls[self._turn % 2], self._urls[(self._turn + 1) % 2]
        said, wait = self._once(first + path)
        if said == "200":
            self.outcomes["ok"] += 1
            return
        time.sleep(wait)
        again, _ = self._once(second + path)
        key = "ok after one retry" if again == "200" else f"error: {said}, then {again}"
        self.outcomes[key] += 1

    def _once(self, url: str) -> tuple[str, float]:
        try:
            answer = requests.get(url, timeout=PATIENCE)
        except requests.RequestException as error:
            return type(error).__name__, 0.0
        wait = float(answer.headers.get("Retry-After", 0))
        code = "" if answer.ok else f" {answer.json()['code']}"
        return f"{answer.status_code}{code}", wait


def test_everything_is_restarted_one_after_the_other_under_load(
    shop: Spread, stores: Stores
) -> None:
    for name in ("w1", "w2"):
        shop.worker(name)
    shop.worker("wi", queue="interactive")
    shop.start("beat")
    shop.wait_until_ready("w1", "w2", "wi", seconds=60 * BUSY)
    shop.import_products(40)
    shop.wait_until_indexed(40, seconds=60 * BUSY)
    ports = {"a": free_port(), "b": free_port()}
    urls = [f"http://127.0.0.1:{port}" for port in ports.values()]
    for name, port in ports.items():
        start_api(shop, name, port)
    client = Client(urls)
    paths = [f"/v1/products/{number}/similar?limit=5" for number in range(20)]
    paths += [f"/v1/products/{number}" for number in range(20)]
    ended = threading.Event()

    def load(threads: ThreadPoolExecutor) -> None:
        began, sent = time.monotonic(), 0
        while not ended.is_set():
            threads.submit(client.ask, paths[sent % len(paths)])
            sent += 1
            ended.wait(max(0.0, began + sent / RATE - time.monotonic()))

    with ExitStack() as stack:
        threads = stack.enter_context(ThreadPoolExecutor(64))
        loader = threading.Thread(target=load, args=(threads,))
        began = time.monotonic()
        loader.start()
        for name, port in ports.items():
            print("restarting api", name, dict(client.outcomes), flush=True)
            shop.end(name)
            start_api(shop, name, port)
        for name in ("w1", "w2"):
            print("restarting", name, dict(client.outcomes), flush=True)
            shop.end(name)
            shop.worker(name)
        shop.wait_until_ready("w1", "w2", seconds=60 * BUSY)
        shop.end("beat")
        shop.start("beat")
        faults = stores.faults()
        for store in ("redis", "qdrant", "postgresql"):
            print("restarting", store, dict(client.outcomes), flush=True)
            with faults[store, "stop"]():
                pass
            time.sleep(10)
        ended.set()
        loader.join()
    seconds = time.monotonic() - began
    total = sum(client.outcomes.values())
    print(f"{total} requests in {seconds:.0f} s ({total / seconds:.0f}/s): {dict(client.outcomes)}")
    assert not [outcome for outcome in client.outcomes if outcome.startswith("error")]
    shop.put("after", colour_image("red"))
    wait_for(lambda: shop.progress().at_rest, seconds=120 * BUSY)
    assert shop.verify()["drift"] == 0


def start_api(shop: Spread, name: str, port: int) -> None:
    shop.start("serve", "--port", str(port), name=name, data_dir=shop.folder / f"data-{name}")

    def is_ready() -> bool:
        with suppress(requests.RequestException):
            return requests.get(f"http://127.0.0.1:{port}/readyz", timeout=10).ok
        return False

    wait_for(is_ready, seconds=120 * BUSY)

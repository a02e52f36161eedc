"""Everything that goes wrong, at once, beside real traffic: `make prove-siege MINUTES=10`.

100 half-open clients, images that are bombs, filters at and beyond their limits, a host of images
that does not exist, kills, a clock that is put back and forward, and a full disk. Meanwhile one
client reads, one writes, and one asks for `/livez`.
"""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from itertools import count
from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import select
from support import clock_steps, image_bombs
from support.catalogue import draw_catalogue
from support.catalogue_editor import CatalogueEditor
from support.installation import PATIENCE_SECONDS, Installation, embedded, is_ready
from support.query_load import QueryLoad
from support.repeated import Repeated
from support.servers import wait_for
from support.siege import HalfOpenClients, LivenessProbe, Statuses, full_disk

from backend.database.models import IndexEntry, Product

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3600)]

PROVES = "PROVE_SIEGE_MINUTES" in os.environ
"""Whether the run is long enough, on a machine of its own, to say how fast /livez is answered."""

SECONDS = 60 * float(os.environ.get("PROVE_SIEGE_MINUTES", "0.4"))
PRODUCTS = 300
NO_HOST = "images.invalid"  # RFC 6761: no such host will ever exist
TRUE_REASONS = {503, 507}


@pytest.fixture
def catalogue(tmp_path: Path) -> Path:
    return draw_catalogue(tmp_path / "catalogue", PRODUCTS)


@pytest.fixture
def small_disk() -> Iterator[Path | None]:
    """A file system of 400 MB, which only root can make."""
    with tempfile.TemporaryDirectory() as folder:
        command = ["mount", "-t", "tmpfs", "-o", "size=400m", "tmpfs", folder]
        done = subprocess.run(command, capture_output=True, check=False)
        yield Path(folder) if done.returncode == 0 else None
        if done.returncode == 0:
            subprocess.run(["umount", "--lazy", folder], check=True)


@pytest.fixture
def shop(
    tmp_path: Path, small_disk: Path | None, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Installation]:
    paths = [*clock_steps.__path__, os.environ.get("PYTHONPATH", "")]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, paths)))
    changes = {"embedder": "mean-colour", "image_hosts": NO_HOST, "retry_seconds": 0.5}
    with embedded((small_disk or tmp_path) / "installation", **changes) as found:
        yield found


def test_a_siege_stops_no_probe_loses_no_write_and_answers_no_other_5xx(
    shop: Installation, catalogue: Path, small_disk: Path | None
) -> None:
    siege = Siege(shop, catalogue, small_disk)
    shop.run("import", str(catalogue))
    siege.url = shop.api()
    shop.wait_until_indexed(PRODUCTS)
    siege.run()
    report = siege.report()
    sys.stdout.write(f"\n{report}\n")

    assert not PROVES or siege.slowest_probe(99.9) <= 1.0, report
    assert not siege.wrong_statuses(), report
    siege.remove_what_waits_for_no_host()
    siege.wait_for_rest()
    assert shop.verify()["drift"] == 0
    siege.compare()
    assert shop.end("api") == 0


class Siege:
    """One run: who attacks, who uses the shop, and what was seen."""

    def __init__(self, shop: Installation, catalogue: Path, small_disk: Path | None) -> None:
        self.shop, self.small_disk = shop, small_disk
        self.url = ""
        self.images = sorted((catalogue / "images").iterdir())
        self.editor = CatalogueEditor(shop, random.Random(3), pause=0.02)
        self.load = QueryLoad(shop, self.images, per_second=10)
        self.probe = LivenessProbe(lambda: self.url)
        self.half_open = HalfOpenClients(lambda: self.url, 100)
        self.bombs, self.filters = Statuses("bombs"), Statuses("filters")
        self.lost_host = Statuses("no host")
        self.pauses: list[tuple[float, float]] = []  # from a kill until the server is ready
        self.done: list[str] = []
        self._numbers = count()

    def run(self) -> None:
        """Do everything at once, for `SECONDS`."""
        with ExitStack() as stack:
            stack.callback(self.half_open.close)
            stack.enter_context(self.editor)
            stack.enter_context(self.load)
            for step, pause in (
                (self.probe.step, 0.05),
                (self.half_open.step, 0.2),
                (self._send_bomb, 0.3),
                (self._send_filter, 0.2),
                (self._name_no_host, 1.0),
            ):
                stack.enter_context(Repeated(step, pause=pause))
            self._mishaps()

    def _mishaps(self) -> None:
        """Kill, step the clock, fill the disk, in turn, spread over the time."""
        mishaps = [self._kill, self._step_clock_back, self._step_clock_forward, self._fill_disk]
        rounds = max(1, round(SECONDS / 120))
        for mishap in mishaps * rounds:
            time.sleep(SECONDS / (len(mishaps) * rounds + 1))
            mishap()
        time.sleep(SECONDS / (len(mishaps) * rounds + 1))

    # --- attacks ---------------------------------------------------------------------------

    def _send_bomb(self) -> None:
        number = next(self._numbers)
        name, data = BOMBS[number % len(BOMBS)]
        if number % 3:
            self.bombs.send("POST", f"{self.url}/v1/similar", data=data, headers=JPEG)
        else:
            product = f"{self.url}/v1/products/bomb-{name}"
            self.bombs.send("PUT", product, json={})
            self.bombs.send("PUT", f"{product}/image", data=data, headers=JPEG)
            self.bombs.send("DELETE", product)

    def _send_filter(self) -> None:
        where = FILTERS[next(self._numbers) % len(FILTERS)]
        url = f"{self.url}/v1/similar"
        self.filters.send("POST", url, json={"sku": self.images[0].stem, "filter": where})

    def _name_no_host(self) -> None:
        number = next(self._numbers)
        uri = f"https://{NO_HOST}/{number}.jpg"
        self.lost_host.send(
            "PUT", f"{self.url}/v1/products/no-host-{number % 20}", json={"image_uri": uri}
        )

    # --- mishaps ---------------------------------------------------------------------------

    def _kill(self) -> None:
        with self._pause("killed"):
            port = self.url.rpartition(":")[2]
            self.shop.end("api", signal.SIGKILL)
            self.shop.start("serve", "--port", port, name="api")
            wait_for(lambda: is_ready(self.url), seconds=PATIENCE_SECONDS)

    @contextmanager
    def _pause(self, what: str) -> Iterator[None]:
        since = time.monotonic()
        yield
        self.pauses.append((since, time.monotonic()))
        self.done.append(what)

    def _step_clock_back(self) -> None:
        self._set_clock(-3600)

    def _step_clock_forward(self) -> None:
        self._set_clock(45)

    def _set_clock(self, seconds: int) -> None:
        (self.shop.folder / "clock-offset").write_text(str(seconds), encoding="ascii")
        self.done.append(f"clock at {seconds:+d} s")

    def _fill_disk(self) -> None:
        if self.small_disk is None:
            self.done.append("disk not filled: only root can make a small one")
            return
        with full_disk(self.small_disk):
            time.sleep(min(10.0, SECONDS / 8))
            readable = is_ready(self.url)
        self.done.append(f"disk full, {'ready' if readable else 'not ready'} meanwhile")

    # --- what was seen ---------------------------------------------------------------------

    def slowest_probe(self, percentile: float) -> float:
        """Return a percentile of the seconds that /livez took while the server was there."""
        calls = self.probe.outside(self.pauses)
        assert all(call.status == 200 for call in calls), [
            call for call in calls if not call.status
        ]
        return float(np.percentile([call.took for call in calls], percentile))

    def wrong_statuses(self) -> list[str]:
        """Return the lines of the server's log about 5xx that are neither 503 nor 507."""
        lines = (
            json.loads(line) for line in self.shop.log_of("api").splitlines() if line[:1] == "{"
        )
        requests_ = (line for line in lines if line.get("event") == "request")
        return [
            f"{line['method']} {line['path']}: {line['status']}"
            for line in requests_
            if line["status"] >= 500 and line["status"] not in TRUE_REASONS
        ]

    def report(self) -> str:
        p50, p999 = (1000 * self.slowest_probe(percentile) for percentile in (50, 99.9))
        queries = Counter(answer.status for answer in self.load.answers)
        attacks = (self.bombs, self.filters, self.lost_host)
        lines = [
            f"{SECONDS:.0f} s: {', '.join(self.done)}",
            f"/livez: {len(self.probe.calls)} calls, p50 {p50:.1f} ms, p99.9 {p999:.0f} ms",
            f"{self.editor.writes} acknowledged writes, queries by status: {dict(queries)}",
            f"half-open clients: {dict(self.half_open.answers)}",
            *(f"{each.kind}: {dict(each.counts)} {dict(each.reasons)}" for each in attacks),
        ]
        return "\n".join([*lines, *self.wrong_statuses()[:20]])

    # --- afterwards ------------------------------------------------------------------------

    def remove_what_waits_for_no_host(self) -> None:
        leftovers = [f"bomb-{name}" for name, _ in BOMBS]
        self.shop.delete(*leftovers, *(f"no-host-{number}" for number in range(20)))

    def wait_for_rest(self) -> None:
        """Wait until each product is indexed; say what is left if that takes too long."""
        expected = PRODUCTS + self.editor.count

        def is_at_rest() -> bool:
            now = self.shop.progress()
            counts = (now.products, now.indexed, now.quarantined)
            return now.at_rest and counts == (expected, expected, 0)

        try:
            wait_for(is_at_rest, seconds=PATIENCE_SECONDS)
        except AssertionError:
            with self.shop.db.read() as session:
                left = session.execute(select(IndexEntry).where(IndexEntry.due_at.is_not(None)))
                rows = [vars(entry) for entry in left.scalars()]
            raise AssertionError(f"{expected}: {self.shop.progress()}, {rows[:5]}") from None

    def compare(self) -> None:
        """Show that the shop sells what its client was told that it does, at its last prices."""
        with self.shop.db.read() as session:
            rows = session.execute(
                select(Product.sku, Product.price).where(
                    Product.removed_at.is_(None), Product.sku.startswith("live-")
                )
            ).all()
        assert {row.sku: row.price for row in rows} == {
            sku: price for sku, (price, _) in self.editor.has.items()
        }


JPEG = {"Content-Type": "image/jpeg"}
BOMBS = (
    ("scans", image_bombs.jpeg_of_scans(3000)),
    ("segments", image_bombs.jpeg_of_segments(20_000)),
    ("text", image_bombs.png_with(image_bombs.long_text() * 20)),
    ("blocks", image_bombs.gif_of_blocks(50_000)),
    ("tags", image_bombs.tiff_of_tags(4000)),
)
FILTERS = (
    {"attributes.size": list(range(990))},
    {"attributes.size": list(range(1001))},
    {"base_colour": {"not": [f"colour {number}" for number in range(1000)]}},
    {f"attributes.a{number}": ["x"] for number in range(99)},
    {f"attributes.a{number}": ["x"] for number in range(101)},
    {"article_type": ["x" * 100] * 700},
)

"""A worker's own port for `/metrics`, where the API has another data folder."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from backend.monitoring import MetricsServer, of_processes
from backend.settings import Settings


@contextmanager
def show_counts(settings: Settings) -> Iterator[Path | None]:
    """Show on LOOKALIKE_WORKER_METRICS_PORT what is counted in the folder that this yields.

    The supervisor answers, so no count is lost when its worker is started again. Without the
    setting it yields None: the worker counts in the data folder, and the API shows its numbers.
    Raises ConfigurationError if the port is taken.
    """
    if settings.worker_metrics_port is None:
        yield None
        return
    with tempfile.TemporaryDirectory(prefix="lookalike-metrics-") as name:
        folder = Path(name)
        server = MetricsServer(
            of_processes(folder), host=settings.metrics_host, port=settings.worker_metrics_port
        )
        server.start()
        try:
            yield folder
        finally:
            server.stop()

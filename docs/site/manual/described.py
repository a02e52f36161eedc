"""The app of an empty shop, which describes itself."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import cast

from flask_openapi3.openapi import OpenAPI
from prometheus_client import Metric

from backend.api import create_app
from backend.bootstrap import build
from backend.monitoring import of_installation
from backend.settings import read_settings


@dataclass(frozen=True)
class Described:
    """What the generated pages are made of: the OpenAPI document, and all families of metrics."""

    document: dict[str, object]
    metrics: tuple[Metric, ...]


def describe_empty_shop() -> Described:
    """Return the description of a shop without products, whatever the environment sets."""
    with TemporaryDirectory() as folder:
        settings = read_settings(_env_file=None, data_dir=Path(folder), embedder="mean-colour")
        services = build(settings)
        try:
            app = cast("OpenAPI", create_app(services, locked=True))
            metrics = tuple(of_installation(settings, services.db).collect())
            return Described(app.api_doc, metrics)
        finally:
            services.close()

"""`lookalike demo`: from a catalogue to similar items, in one command."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from backend.cli import catalogue, similar
from backend.cli.common import out, services, settings
from backend.cli.following import run_job
from backend.cli.status import print_status

if TYPE_CHECKING:
    from backend.bootstrap import Services

QUERIES = 8
NEIGHBOURS = 6
SHEET = "similar.png"


def demo(
    catalogue_path: Annotated[
        Path | None,
        typer.Option("--catalogue", help="Your own catalogue instead of the sample."),
    ] = None,
    serve: Annotated[bool, typer.Option(help="Serve the API afterwards.")] = True,
    products: Annotated[int, typer.Option(min=20, max=300, help="Products of the sample.")] = 300,
) -> None:
    """Import a sample catalogue, embed it, show similar items and serve the API.

    All data is in ./demo, or in LOOKALIKE_DATA_DIR if that is set.
    """
    given = {} if "LOOKALIKE_DATA_DIR" in os.environ else {"data_dir": Path("demo")}
    found_settings = settings(**given)
    with services(found_settings) as found:
        path = catalogue_path or _sample(found, products)
        from backend.catalogue.sources.mapping import DEFAULT_MAPPING
        from backend.status import status

        catalogue.show(catalogue.run_import(found, path, DEFAULT_MAPPING))
        run_job(found, "index", {}, what="Embedding")
        print_status(status(found.db, found.indexes.look_at_shard), as_json=False)
        skus = _queries(found, QUERIES)
        answers = {sku: similar.ask(found, sku, limit=NEIGHBOURS) for sku in skus}
        for sku in skus[:3]:
            similar.show(sku, answers[sku])
        sheet = found_settings.data_dir / SHEET
        similar.save_sheet(found, answers, sheet)
        out.print(f"\nSimilar items at a glance: [bold]{sheet.absolute()}[/]")
    if serve:
        _serve(found_settings.data_dir, skus[0])


def _sample(found: Services, products: int) -> Path:
    """Unpack the sample catalogue, unless it is there already."""
    from backend.catalogue.sample import unpack_sample
    from backend.catalogue.sources.files import STYLES

    folder = found.settings.data_dir / "catalogue"
    if not (folder / STYLES).exists():
        unpack_sample(folder, products=products)
    return folder


def _queries(found: Services, count: int) -> list[str]:
    """Pick indexed products of as many different article types as there are."""
    from sqlalchemy import select

    from backend.database.models import IndexEntry, Product

    with found.db.read() as session:
        rows = session.execute(
            select(Product.sku, Product.article_type)
            .join(IndexEntry, IndexEntry.product_id == Product.id)
            .where(IndexEntry.indexed_claim.is_not(None), Product.removed_at.is_(None))
            .order_by(Product.id)
        ).all()
    first = {kind: sku for sku, kind in reversed(rows)}
    return list(dict.fromkeys([*first.values(), *(sku for sku, _ in rows)]))[:count]


def _serve(data_dir: Path, sku: str) -> None:
    from backend import wsgi
    from backend.settings import read_settings

    found = read_settings(data_dir=data_dir)
    url = f"http://{found.host}:{found.port}"
    out.print(
        f"\nServing {url} (documentation: {url}/docs). Try next:\n\n"
        f"  curl '{url}/v1/products/{sku}/similar?limit=3'\n"
        f"  curl '{url}/v1/products/{sku}/similar?limit=3&base_colour_not=Black&year_gte=2012'\n"
        f"  curl -s '{url}/v1/products/{sku}/image' | curl '{url}/v1/similar?limit=3' "
        "-H 'Content-Type: image/jpeg' --data-binary @-\n",
        soft_wrap=True,
        highlight=False,
    )
    wsgi.serve(found)

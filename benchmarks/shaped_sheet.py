"""A contact sheet of one product's list, plain and with each way of shaping it.

    python benchmarks/shaped_sheet.py SHEET.png [--sku 0] [--data FOLDER]

The sample catalogue is imported and embedded in FOLDER, by default a temporary one. Each row is the
list of the same product: plain, grouped by colour, diverse, and with one rule that pins, hides,
boosts or buries. A green frame marks what the plain list does not show.
"""

from __future__ import annotations

import argparse
import tempfile
from contextlib import closing
from pathlib import Path
from typing import Any, Final

from flask.testing import FlaskClient
from sqlalchemy import select

from backend.api import create_app
from backend.bootstrap import Services, build
from backend.catalogue.sample import unpack_sample
from backend.catalogue.sources.mapping import DEFAULT_MAPPING
from backend.cli import catalogue
from backend.cli.following import run_job
from backend.cli.sheets import TILE, open_image
from backend.database.models import Product
from backend.lab.contact_sheet import SheetRow, SheetTile, contact_sheet, save
from backend.settings import read_settings

LIMIT: Final = 8
RULES: Final = "/v1/admin/rules"


def main() -> None:
    """Draw the sheet."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("sheet", type=Path)
    parser.add_argument("--sku", help="by default the first T-shirt")
    parser.add_argument("--data", type=Path)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        settings = read_settings(data_dir=given.data or Path(folder))
        with closing(build(settings)) as services:
            fill(services)
            client = create_app(services, locked=False).test_client()
            sku = given.sku or first_shirt(services)
            save(draw(services, sku, lists(client, sku)), given.sheet)


def fill(services: Services) -> None:
    """Import and embed the sample, unless that was done before."""
    with services.db.read() as session:
        if session.scalar(select(Product.id).limit(1)) is not None:
            services.owner.acquire()
            return
    path = services.settings.data_dir / "catalogue"
    unpack_sample(path, products=300)
    catalogue.run_import(services, path, DEFAULT_MAPPING)
    run_job(services, "index", {}, what="Embedding")


def first_shirt(services: Services) -> str:
    """Return the sku of a product that has many like it."""
    with services.db.read() as session:
        query = select(Product.sku).where(Product.article_type == "Tshirts").order_by(Product.id)
        return session.scalars(query).first() or ""


def lists(client: FlaskClient, sku: str) -> dict[str, list[Any]]:
    """Return the items of each list, by what shapes it."""

    def ask(**options: Any) -> list[Any]:
        query = {"limit": LIMIT, **options}
        answer = client.get(f"/v1/products/{sku}/similar", query_string=query)
        items: list[Any] = answer.json["items"]
        return items

    def ruled(**rule: Any) -> list[Any]:
        made = client.post(RULES, json=rule)
        try:
            return ask()
        finally:
            client.delete(made.headers["Location"])

    plain = ask()
    colours = [it["product"]["base_colour"] for it in plain]
    colour = max(set(colours), key=colours.count)
    further = ask(limit=40)
    last = further[-1]["sku"]
    seldom = next(
        (c for it in further if (c := it["product"]["base_colour"]) not in colours), colour
    )
    few = {"base_colour": seldom}
    return {
        "plain": plain,
        "group_by=base_colour": ask(group_by="base_colour"),
        "diversity=0.5": ask(diversity=0.5),
        f"pin {last} at 2": ruled(action="pin", skus=[last], position=2),
        f"hide {colour}": ruled(action="hide", filter={"base_colour": colour}),
        f"boost {seldom} by 0.3": ruled(action="boost", filter=few, weight=0.3),
        f"bury {colour} by 0.3": ruled(action="bury", filter={"base_colour": colour}, weight=0.3),
    }


def draw(services: Services, sku: str, found: dict[str, list[Any]]) -> Any:
    """Draw one row for each list."""
    skus = {sku, *(it["sku"] for items in found.values() for it in items)}
    with services.db.read() as session:
        products = session.scalars(select(Product).where(Product.sku.in_(skus)))
        images = {it.sku: open_image(services, it.image_uri) for it in products}
    usual = {it["sku"] for it in found["plain"]}

    def tile(item: Any) -> SheetTile:
        product = item["product"]
        return SheetTile(
            image=images[item["sku"]],
            caption=f"{product['base_colour']}: {product['display_name']}",
            score=item["score"],
            hit=True if item["sku"] not in usual else None,
        )

    rows = [
        SheetRow(SheetTile(image=images[sku], caption=name), [tile(it) for it in items])
        for name, items in found.items()
    ]
    return contact_sheet(rows, title=f"Like {sku}, shaped", tile=TILE)


if __name__ == "__main__":
    main()

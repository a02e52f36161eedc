"""Write down what this release does with its database: `make record-release`, before the tag.

A small shop is run on SQLite and on PostgreSQL; its tables and its statements become the files of
tests/migration/previous_release.
"""

from __future__ import annotations

import json
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path
from typing import Any

from sqlalchemy import make_url

from backend import jobs, queue
from backend.access import keys
from backend.catalogue.import_run import import_catalogue
from backend.database.engine import Database
from backend.database.models import Base
from backend.settings import read_settings
from support.image_files import colour_image
from support.release import FOLDER, schema, statements
from support.servers import migrated, postgres_server, run_sql
from support.shop import Shop

STYLES = """\
id,gender,masterCategory,subCategory,articleType,baseColour,season,year,usage,productDisplayName
1,Men,Apparel,Topwear,Shirts,Red,Fall,2012,Casual,A red shirt
2,Men,Apparel,Topwear,Shirts,Blue,Fall,2012,Casual,A blue shirt
3,Men,Apparel,Topwear,Tshirts,Blue,Summer,2013,Casual,An image that is none
"""


def main() -> None:
    """Record both kinds of database."""
    FOLDER.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder, postgres_server() as server:
        for name in ("models", "shop", "again"):
            run_sql(server, f"CREATE DATABASE {name}")
        places = {
            "sqlite": lambda name: f"sqlite:///{folder}/{name}.sqlite",
            "postgresql": lambda name: (
                make_url(server).set(database=name).render_as_string(hide_password=False)
            ),
        }
        schemas: dict[str, Any] = {"release": version("lookalike")}
        for dialect, place in places.items():
            schemas[dialect] = _tables(place("models"))
            found = run_shop(place("shop"), Path(folder, dialect))
            statements.save(FOLDER / f"{dialect}.jsonl", found)
            wrong = _replayed(place("again"), statements.load(FOLDER / f"{dialect}.jsonl"))
            assert not wrong, wrong
            sys.stdout.write(f"{dialect}: {len(found)} statements\n")
    text = json.dumps(schemas, indent=1, sort_keys=True)
    (FOLDER / "schema.json").write_text(text + "\n", encoding="utf-8")


def run_shop(url: str, folder: Path) -> list[statements.Statement]:
    """Import, index, ask, edit, remove, quarantine and re-index; return what SQL was told."""
    settings = read_settings(
        _env_file=None, data_dir=folder / "data", retry_seconds=0, recall_sample=1.0, drop_seconds=0
    )
    with (
        Shop(settings, database_url=migrated(url), recover=False) as shop,
        statements.listening(shop.db.engine) as found,
    ):
        _live(shop, _catalogue(folder))
    return found


def _live(shop: Shop, catalogue: Path) -> None:
    """Go through what a shop does in a year."""
    shop.worker.recover()
    import_catalogue(shop.db, shop.services.image_store, catalogue)
    shop.work()
    shop.put("4", "green", article_type="Shirts", price=12.5, attributes={"fit": "slim"})
    shop.put("5", "red", article_type="Shirts")
    shop.work()
    shop.put("4", article_type="Shirts", price=9.5, in_stock=False)
    _ask(shop, "DELETE", "/v1/products/5")
    import_catalogue(shop.db, shop.services.image_store, catalogue)
    shop.db.write(lambda session: queue.request(session, [3], image=True, priority=queue.SINGLE))
    shop.work()
    for url in ("products", "products/4", "status", "facets", "quarantine", "admin/generations"):
        _ask(shop, "GET", f"/v1/{url}")
    _ask(shop, "GET", "/v1/products/1/similar?base_colour=Blue&year_gte=2011")
    _ask(shop, "POST", "/v1/similar", data=colour_image("red"), content_type="image/png")
    shop.services.recall.compare(shop.services.indexes.of)
    shop.worker.maintenance.reconcile()
    _follow(shop, jobs.write(shop.db, "verify"))
    _use_a_key(shop.db)
    asked = _ask(shop, "POST", "/v1/admin/reindex", json={"embedder": "mean-colour?grid=2"})
    _follow(shop, asked.json["id"])
    shop.put("1", "black", article_type="Shirts")
    shop.work()
    _ask(shop, "POST", "/v1/admin/generations/rollback", json={"force": True})
    _ask(shop, "DELETE", "/v1/admin/generations/2")
    shop.worker.maintenance.clean_up()  # all of it would be thousands of statements of few kinds


def _ask(shop: Shop, method: str, url: str, **body: Any) -> Any:
    answer = shop.client.open(url, method=method, **body)
    assert answer.status_code < 300, answer.text
    return answer


def _use_a_key(db: Database) -> None:
    made = db.write(lambda session: keys.create(session, "webshop", scope="read"))
    db.write(lambda session: keys.record_use(session, keys.check(session, made.token).id))
    db.write(lambda session: keys.revoke(session, made.key.prefix))


def _follow(shop: Shop, job_id: int) -> None:
    while (job := _ask(shop, "GET", f"/v1/admin/jobs/{job_id}").json)["state"] != "done":
        assert job["state"] != "failed", job
        if not shop.worker.work_once():
            shop.worker.wake_up.wait(0.05)


def _catalogue(folder: Path) -> Path:
    """Write three products, the last with an image that is none."""
    (folder / "images").mkdir(parents=True)
    (folder / "styles.csv").write_text(STYLES, encoding="utf-8")
    for sku, image in (("1", colour_image("red")), ("2", colour_image("blue")), ("3", b"nothing")):
        (folder / "images" / f"{sku}.jpg").write_bytes(image)
    return folder


def _tables(url: str) -> schema.Schema:
    """Describe what the models make: a table that only migrations know is used by nobody."""
    db = Database(url)
    Base.metadata.create_all(db.engine)
    found = schema.describe(db.engine)
    db.close()
    return found


def _replayed(url: str, found: list[statements.Statement]) -> list[str]:
    db = Database(migrated(url))
    wrong = statements.replay(db.engine, found)
    db.close()
    return wrong


if __name__ == "__main__":
    main()

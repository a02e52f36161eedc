"""A backup made while others write, and what becomes of it when it is restored."""

from __future__ import annotations

import itertools
import json
import os
import shutil
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import select
from support.catalogue import draw_catalogue
from support.image_files import random_image
from support.shop import Shop
from typer.testing import CliRunner

from backend import backup, cli
from backend.backup import Manifest, restoring
from backend.backup.folder import Report, images_in
from backend.catalogue.import_run import import_catalogue
from backend.database import migrate
from backend.database.engine import Database
from backend.database.models import Product
from backend.errors import (
    ConfigurationError,
    IndexLocked,
    LookalikeError,
    UnusableBackup,
    WouldOverwrite,
)
from backend.metrics.snapshots import Publisher
from backend.settings import Settings

UNSHARE = shutil.which("unshare")
MAY_MOUNT = UNSHARE is not None and not subprocess.call(
    [UNSHARE, "--mount", "true"], stderr=subprocess.DEVNULL
)


@pytest.fixture
def here(settings: Settings) -> Settings:
    return settings.model_copy(update={"embedder": "mean-colour", "poll_seconds": 0.02})


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "backup"


def settle(shop: Shop) -> None:
    """Work until nothing is pending, and show that index and catalogue agree."""
    shop.run("index")
    assert shop.run("verify")["drift"] == 0


def prices(shop: Shop) -> dict[str, float | None]:
    """What the index shows, by sku."""
    with shop.db.read() as session:
        skus = {row.id: row.sku for row in session.execute(select(Product.id, Product.sku))}
    return {skus[id_]: price for id_, price in shop.prices().items()}


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the first test leaves the data folder that most begin with."""
    return tmp_path_factory.mktemp("template") / "data"


@pytest.fixture
def four(here: Settings, template: Path) -> Settings:
    """A shop whose four products are indexed."""
    if not template.exists():
        with Shop(here, data_dir=template) as shop:
            for number in range(4):
                shop.save(f"p{number}", random_image(number), price=1.0)
            settle(shop)
    shutil.copytree(template, here.data_dir)
    return here


def elsewhere(settings: Settings, name: str = "elsewhere") -> Settings:
    return settings.model_copy(update={"data_dir": settings.data_dir.with_name(name)})


def one_image(folder: Path) -> Path:
    return next(path for path in sorted(folder.glob("images/*/*")))


# --- while others write ----------------------------------------------------------------------


def test_a_backup_beside_imports_edits_and_the_worker_is_one_moment_of_all_of_them(
    here: Settings, folder: Path, tmp_path: Path
) -> None:
    """Pending products open their images from the restored store: all that are named came along."""
    catalogue = draw_catalogue(tmp_path / "shop", 150)
    with Shop(here) as shop:
        shop.save("first", random_image(10_000), price=1.0)
        with writing(shop, catalogue) as written:
            while written() < 30:
                pass
            manifests = [backup.save(here, folder / str(number)) for number in range(2)]
    assert manifests[0].products < manifests[1].products, "nobody wrote meanwhile"
    for number, manifest in enumerate(manifests):
        there = elsewhere(here, f"restored-{number}")
        assert backup.restore(there, folder / str(number)) == manifest
        with Shop(there) as restored:
            settle(restored)
            now = restored.progress()
        assert (now.products, now.indexed) == (manifest.products, manifest.products)


@contextmanager
def writing(shop: Shop, catalogue: Path) -> Iterator[Callable[[], int]]:
    """Import, edit, remove and index without a pause; yields how many products there are."""
    over = threading.Event()

    def edit() -> None:
        for number in itertools.count():
            if over.is_set():
                return
            shop.save(f"new{number}", random_image(20_000 + number), price=float(number))
            shop.save("first", random_image(30_000 + number))
            if number % 5 == 4:
                shop.remove(f"new{number - 1}")

    def run_import() -> None:
        import_catalogue(shop.db, shop.services.image_store, catalogue, copy_images=True, chunk=10)

    with shop.working(), ThreadPoolExecutor(2) as threads:
        writers = [threads.submit(do) for do in (edit, run_import)]
        try:
            yield lambda: shop.count(Product)
        finally:
            over.set()
        for writer in writers:
            writer.result()


def test_a_second_backup_copies_what_is_new_and_drops_what_is_no_longer_named(
    four: Settings, folder: Path
) -> None:
    first = backup.save(four, folder)
    kept = {path: path.stat().st_mtime_ns for path in folder.glob("images/*/*")}
    with Shop(four) as shop:
        shop.save("p0", random_image(100))
        settle(shop)
    second = backup.save(four, folder)
    assert (first.images, second.images) == (4, 4)
    now = {path: path.stat().st_mtime_ns for path in folder.glob("images/*/*")}
    assert len(now.items() & kept.items()) == 3
    assert [path.name for path in folder.glob("catalogue-*")] == [
        second.catalogue_path(folder).name
    ]
    assert backup.check(folder) == second


def test_an_interrupted_backup_leaves_the_one_before_whole(four: Settings, folder: Path) -> None:
    first = backup.save(four, folder)
    with Shop(four) as shop:
        shop.save("p4", random_image(4))
        shop.remove("p0")

    @contextmanager
    def interrupted(what: str) -> Iterator[Report]:
        if what == "Images":
            raise KeyboardInterrupt
        yield lambda done, total: None

    with pytest.raises(KeyboardInterrupt):
        backup.save(four, folder, bar=interrupted)
    assert backup.check(folder) == first
    assert backup.save(four, folder).products == 4


# --- what is not in the store ----------------------------------------------------------------


def test_images_in_place_are_counted_by_folder(
    here: Settings, folder: Path, tmp_path: Path
) -> None:
    with Shop(here) as shop:
        catalogue = draw_catalogue(tmp_path / "shop", 3)
        import_catalogue(shop.db, shop.services.image_store, catalogue)
        shop.save("ours", random_image(9))
    manifest = backup.save(here, folder)
    assert (manifest.images, manifest.in_place) == (1, 3)
    assert manifest.folders == {str(catalogue / "images"): 3}


def test_images_in_place_can_come_along_and_are_in_the_store_afterwards(
    here: Settings, folder: Path, tmp_path: Path
) -> None:
    with Shop(here) as shop:
        catalogue = draw_catalogue(tmp_path / "shop", 3)
        import_catalogue(shop.db, shop.services.image_store, catalogue)
    (catalogue / "images" / "2.jpg").write_bytes(random_image(77))  # not what was imported
    manifest = backup.save(here, folder, copy_images=True)
    assert (manifest.images, manifest.in_place) == (2, 1)
    shutil.rmtree(catalogue)
    there = elsewhere(here)
    backup.restore(there, folder)
    with Shop(there) as restored:
        settle(restored)
        now = restored.progress()
    assert (now.indexed, now.awaited) == (2, 1)


def test_an_image_that_the_store_had_lost_is_told_and_no_reason_to_refuse(
    four: Settings, folder: Path
) -> None:
    lost = one_image(four.data_dir)
    lost.unlink()
    manifest = backup.save(four, folder)
    assert (manifest.images, manifest.missing) == (3, [lost.name])
    there = elsewhere(four)
    assert backup.restore(there, folder) == manifest
    with Shop(there) as restored:
        settle(restored)
        assert len(prices(restored)) == 4, "its vector is in SQL"


# --- restore ---------------------------------------------------------------------------------


def test_an_older_backup_wins_over_a_newer_index(four: Settings, folder: Path) -> None:
    backup.save(four, folder)
    with Shop(four) as shop:
        for price in (2.0, 3.0):
            shop.save("p0", price=price)
            settle(shop)
        shop.save("p1", random_image(50))
        shop.remove("p2")
        shop.save("younger", random_image(60), price=9.0)
        settle(shop)
        assert prices(shop) == {"p0": 3.0, "p1": 1.0, "p3": 1.0, "younger": 9.0}
    backup.restore(four, folder, force=True)
    with Shop(four) as shop:
        settle(shop)
        assert prices(shop) == {f"p{number}": 1.0 for number in range(4)}
        shop.save("another", random_image(61), price=5.0)  # takes the id that `younger` had
        shop.save("p0", price=4.0)
        settle(shop)
        assert prices(shop)["another"] == 5.0
        assert prices(shop)["p0"] == 4.0


def test_a_restored_catalogue_is_indexed_from_its_vectors_alone(
    four: Settings, folder: Path
) -> None:
    backup.save(four, folder)
    there = elsewhere(four)
    backup.restore(there, folder)
    shutil.rmtree(there.data_dir / "images")
    with Shop(there) as restored:
        settle(restored)
        assert len(prices(restored)) == 4


def test_the_quarantine_sleeps_on_after_a_restore(here: Settings, folder: Path) -> None:
    with Shop(here) as shop:
        shop.save("good", random_image(1))
        shop.save("none")  # has no image
        settle(shop)
        assert shop.progress().quarantined == 1
    backup.save(here, folder)
    there = elsewhere(here)
    backup.restore(there, folder)
    with Shop(there) as restored:
        assert restored.progress().quarantined == 1
        settle(restored)
        now = restored.progress()
    assert (now.indexed, now.quarantined) == (1, 1)


def test_what_a_server_has_counted_is_no_catalogue(four: Settings, folder: Path) -> None:
    backup.save(four, folder)
    there = elsewhere(four)
    publisher = Publisher(there.metrics_dir, role="api")
    publisher.start()
    publisher.stop()
    backup.restore(there, folder)
    assert any(there.metrics_dir.iterdir())


def test_a_catalogue_that_is_there_is_not_overwritten_unasked(four: Settings, folder: Path) -> None:
    backup.save(four, folder)
    with pytest.raises(WouldOverwrite, match="--force"):
        backup.restore(four, folder)


def test_nothing_is_restored_under_a_running_server(four: Settings, folder: Path) -> None:
    backup.save(four, folder)
    with Shop(four), pytest.raises(IndexLocked):
        backup.restore(four, folder, force=True)


def test_an_interrupted_restore_leaves_the_catalogue_that_was_there(
    four: Settings, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    backup.save(four, folder)
    with Shop(four) as shop:
        shop.save("p0", price=2.0)
        settle(shop)
    monkeypatch.setattr(restoring, "PAGES", 1)

    @contextmanager
    def interrupted(what: str) -> Iterator[Report]:
        def report(done: int, total: int | None) -> None:
            if what == "Catalogue" and done > 5:
                raise KeyboardInterrupt

        yield report

    with pytest.raises(KeyboardInterrupt):
        backup.restore(four, folder, force=True, bar=interrupted)
    assert not list(four.data_dir.glob(".restoring-*"))
    with Shop(four) as shop:
        shop.run("verify", fix=True)
        assert prices(shop) == {"p0": 2.0, "p1": 1.0, "p2": 1.0, "p3": 1.0}
    backup.restore(four, folder, force=True)
    with Shop(four) as shop:
        settle(shop)
        assert prices(shop)["p0"] == 1.0


def test_a_backup_of_an_older_version_is_migrated(here: Settings, folder: Path) -> None:
    db = Database(here.database)
    migrate.migrate(db, revision="0001")
    db.close()
    assert backup.save(here, folder).revision == "0001"
    there = elsewhere(here)
    backup.restore(there, folder)
    db = Database(there.database)
    assert migrate.is_current(db)
    db.close()


# --- what is refused -------------------------------------------------------------------------


def spoil_an_image(folder: Path, manifest: Manifest) -> None:
    one_image(folder).write_bytes(b"something else")


def lose_an_image(folder: Path, manifest: Manifest) -> None:
    one_image(folder).unlink()


def spoil_the_catalogue(folder: Path, manifest: Manifest) -> None:
    with manifest.catalogue_path(folder).open("r+b") as file:
        file.seek(5000)
        file.write(b"!")


def lose_the_catalogue(folder: Path, manifest: Manifest) -> None:
    manifest.catalogue_path(folder).unlink()


def lose_the_manifest(folder: Path, manifest: Manifest) -> None:
    (folder / "manifest.json").unlink()


def spoil_the_manifest(folder: Path, manifest: Manifest) -> None:
    path = folder / "manifest.json"
    path.write_text(path.read_text()[:-20])


def be_of_a_newer_format(folder: Path, manifest: Manifest) -> None:
    path = folder / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"format": 2}))


def be_of_a_newer_revision(folder: Path, manifest: Manifest) -> None:
    replace(manifest, revision="9999").write(folder)


@pytest.mark.parametrize(
    "damage",
    [
        spoil_an_image,
        lose_an_image,
        spoil_the_catalogue,
        lose_the_catalogue,
        lose_the_manifest,
        spoil_the_manifest,
        be_of_a_newer_format,
        be_of_a_newer_revision,
    ],
)
def test_a_damaged_backup_is_refused_before_anything_is_replaced(
    four: Settings, folder: Path, damage: Callable[[Path, Manifest], None]
) -> None:
    damage(folder, backup.save(four, folder))
    there = elsewhere(four)
    with pytest.raises(UnusableBackup):
        backup.check(folder)
    with pytest.raises(UnusableBackup):
        backup.restore(there, folder)
    assert not (there.data_dir / "lookalike.sqlite").exists()


def test_what_is_left_of_a_damaged_backup_can_be_had(four: Settings, folder: Path) -> None:
    spoil_an_image(folder, backup.save(four, folder))
    there = elsewhere(four)
    backup.restore(there, folder, partial=True)
    with Shop(there) as restored:
        settle(restored)
        assert len(prices(restored)) == 4
    assert len(list(there.data_dir.glob("images/*/*"))) == 3


def test_a_damaged_catalogue_is_not_backed_up(four: Settings, folder: Path) -> None:
    with sqlite3.connect(four.data_dir / "lookalike.sqlite") as catalogue:
        catalogue.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    with (four.data_dir / "lookalike.sqlite").open("r+b") as file:
        file.seek(4096 * 3)
        file.write(b"\xff" * 4096)
    with pytest.raises(UnusableBackup, match="damaged"):
        backup.save(four, folder)
    assert not (folder / "manifest.json").exists()


def lose_the_second_half(file: Path) -> None:
    os.truncate(file, file.stat().st_size // 2)


def spoil_the_header(file: Path) -> None:
    with file.open("r+b") as content:
        content.write(b"\xff" * 100)


def spoil_the_first_page(file: Path) -> None:
    with file.open("r+b") as content:
        content.seek(100)
        content.write(b"\xff" * 3900)


def be_no_database(file: Path) -> None:
    file.write_text("no database")
    file.with_name(f"{file.name}-wal").write_bytes(b"\xff" * 9000)


@pytest.mark.parametrize(
    "damage", [lose_the_second_half, spoil_the_header, spoil_the_first_page, be_no_database]
)
def test_a_backup_takes_the_place_of_a_catalogue_that_cannot_be_read(
    four: Settings, folder: Path, damage: Callable[[Path], None]
) -> None:
    backup.save(four, folder)
    before = backup.check(folder)
    damage(four.data_dir / "lookalike.sqlite")
    with pytest.raises(UnusableBackup, match="lookalike restore"):
        backup.save(four, folder)
    assert backup.check(folder) == before, "the backup before is gone"
    backup.restore(four, folder, force=True)
    with Shop(four) as restored:
        settle(restored)
        assert len(prices(restored)) == 4


@pytest.mark.skipif(not MAY_MOUNT, reason="mounts a small disk")
def test_a_backup_that_finds_no_room_says_where_and_leaves_nothing_of_itself(
    four: Settings, tmp_path: Path
) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    command = f"{Path(sys.executable).with_name('lookalike')} backup {disk}/backup"
    script = f"""
        mount -t tmpfs -o size=100k tmpfs {disk}
        {command}; echo ended with $?
        ls {disk}/backup
        mount -o remount,size=10m {disk}
        {command}; echo ended with $?
    """
    ran = subprocess.run(
        ["unshare", "--mount", "sh", "-c", script],
        env={**os.environ, "LOOKALIKE_DATA_DIR": str(four.data_dir)},
        capture_output=True,
        text=True,
        check=False,
    )
    (said,) = [line for line in ran.stderr.splitlines() if line.startswith("lookalike:")]
    assert "make room" in said
    assert str(disk / "backup") in said
    first, *left, last = [line for line in ran.stdout.splitlines() if "Backed up" not in line]
    assert (first, last) == ("ended with 1", "ended with 0")
    assert not [name for name in left if name.startswith(("draft", "catalogue", "manifest"))]


@pytest.mark.parametrize(
    "changes",
    [
        {"database_url": "postgresql://localhost/lookalike"},
        {"qdrant_url": "http://localhost:6333"},
    ],
)
def test_servers_are_left_to_their_own_tools(
    here: Settings, folder: Path, changes: dict[str, str]
) -> None:
    spread = here.model_copy(update=changes)
    for do in (backup.save, backup.restore):
        with pytest.raises(ConfigurationError, match=r"docs/backup\.md"):
            do(spread, folder)


def test_a_folder_that_is_not_a_backups_is_left_alone(four: Settings, folder: Path) -> None:
    folder.mkdir()
    (folder / "diary.txt").write_text("mine")
    for place in (folder, four.data_dir, four.data_dir / "backup", four.data_dir.parent):
        with pytest.raises(WouldOverwrite):
            backup.save(four, place)
    stored = four.model_copy(update={"image_store": images_in(folder.with_name("b")).url})
    with pytest.raises(WouldOverwrite, match="image store"):
        backup.save(stored, folder.with_name("b"))


def test_without_a_catalogue_there_is_nothing_to_back_up(here: Settings, folder: Path) -> None:
    with pytest.raises(ConfigurationError, match="no catalogue"):
        backup.save(here, folder)
    assert not folder.exists()


# --- the commands ----------------------------------------------------------------------------


def test_the_commands_back_up_check_and_restore(
    four: Settings, folder: Path, monkeypatch: pytest.MonkeyPatch, usual_logs: None
) -> None:

    def run(*arguments: str, data_dir: Path = four.data_dir) -> str:
        monkeypatch.setenv("LOOKALIKE_DATA_DIR", str(data_dir))
        monkeypatch.chdir(four.data_dir.parent)
        ran = CliRunner().invoke(cli.app, arguments, catch_exceptions=False)
        assert ran.exit_code == 0
        return ran.stdout

    assert json.loads(run("backup", str(folder), "--json"))["products"] == 4
    assert "4 products and 4 images" in run("restore", str(folder), "--check")
    with pytest.raises(LookalikeError, match="--force"):
        run("restore", str(folder))
    assert "Restored 4 products" in run("restore", str(folder), data_dir=folder.with_name("new"))

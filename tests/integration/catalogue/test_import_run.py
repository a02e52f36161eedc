"""An import makes the catalogue equal to the file, and requests no more work than that needs."""

from __future__ import annotations

import json
import os
import shutil
import tracemalloc
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select
from support import real_catalogue
from support.rows import statements_of

from backend import queue
from backend.catalogue import products
from backend.catalogue.import_run import Transfer, import_catalogue
from backend.catalogue.pruning import PruneLimit
from backend.catalogue.report import Remarks, Summary
from backend.database import clock
from backend.database.engine import Database
from backend.database.models import ACTIVE, Generation, IndexEntry, Product
from backend.errors import ConfigurationError
from backend.images.store import ImageStore, digest_of

ALL = PruneLimit("100%")
HEADER = "id,gender,baseColour,year,productDisplayName"


class Feed:
    """A catalogue's folder, and the database that it is imported into."""

    def __init__(self, db: Database, folder: Path) -> None:
        self.db = db
        self.store = ImageStore(f"file://{folder}/store")
        self.folder = folder / "feed"
        (self.folder / "images").mkdir(parents=True)
        generation = Generation(
            collection="g", embedder="mean-colour", fingerprint="f", size=3, state=ACTIVE
        )
        db.write(lambda session: session.add(generation))

    def write(self, *lines: str, images: Mapping[str, bytes] | None = None) -> None:
        (self.folder / "styles.csv").write_text("\n".join([HEADER, *lines, ""]))
        for name, content in (images or {}).items():
            (self.folder / "images" / f"{name}.jpg").write_bytes(content)

    def fill(self, count: int, first: int = 1) -> None:
        skus = [str(number) for number in range(first, first + count)]
        self.write(
            *(f"{sku},Men,Blue,2012,Tie {sku}" for sku in skus),
            images={sku: f"content {sku}".encode() for sku in skus},
        )

    def zip(self) -> Path:
        path = self.folder.parent / "feed.zip"
        with zipfile.ZipFile(path, "w") as archive:
            for file in sorted(self.folder.rglob("*.*")):
                archive.write(file, file.relative_to(self.folder))
        return path

    def run(self, path: Path | None = None, **options: Any) -> Summary:
        return import_catalogue(self.db, self.store, path or self.folder, **options)

    def product(self, sku: str) -> Product:
        with self.db.read() as session:
            return products.get(session, sku)

    def skus(self) -> list[str]:
        with self.db.read() as session:
            return [product.sku for product in products.page(session, limit=10_000)]

    def asked(self) -> dict[str, str]:
        """What waits in the queue, after which it is empty: sku -> the stage that it waits for."""
        query = select(Product.sku, IndexEntry).join(Product, Product.id == IndexEntry.product_id)

        def work(session: Any) -> dict[str, str]:
            found = {}
            for sku, entry in session.execute(query.where(IndexEntry.due_at.is_not(None))):
                found[sku] = "image" if entry.embedded < entry.wanted else "payload"
                entry.embedded = entry.indexed = entry.wanted
                entry.due_at = None
            return found

        return self.db.write(work)


@pytest.fixture
def feed(any_db: Database, tmp_path: Path) -> Feed:
    return Feed(any_db, tmp_path)


@pytest.fixture
def sqlite_feed(db: Database, tmp_path: Path) -> Feed:
    return Feed(db, tmp_path)


def counts(summary: Summary) -> tuple[int, ...]:
    """Added, changed, unchanged, removed, rejected."""
    return tuple(summary.counts().values())


# --- what is written and asked for ---------------------------------------------------------


def test_a_folder_is_imported_with_its_images_where_they_lie(feed: Feed) -> None:
    feed.fill(3)
    assert counts(feed.run()) == (3, 0, 0, 0, 0)
    product = feed.product("2")
    assert (product.display_name, product.year, product.base_colour) == ("Tie 2", 2012, "Blue")
    assert product.image_uri == (feed.folder / "images" / "2.jpg").as_uri()
    assert product.image_digest == digest_of(b"content 2")
    assert feed.asked() == dict.fromkeys("123", "image")
    assert not feed.store.exists(digest_of(b"content 2"))


@pytest.mark.parametrize("how", ["folder", "copied folder", "zip"])
def test_a_second_import_asks_for_nothing_and_reads_no_image(feed: Feed, how: str) -> None:
    feed.fill(30)
    path = feed.zip() if how == "zip" else feed.folder
    options = {"copy_images": how == "copied folder", "chunk": 7}
    feed.run(path, **options)
    feed.asked()
    for image in (feed.folder / "images").iterdir():
        stamp = image.stat().st_mtime_ns
        image.write_bytes(b"x" * image.stat().st_size)  # would show if it were read
        os.utime(image, ns=(stamp, stamp))
    assert counts(feed.run(path, **options)) == (0, 0, 30, 0, 0)
    assert feed.asked() == {}


def test_a_changed_row_asks_for_just_itself(feed: Feed) -> None:
    feed.fill(5)
    feed.run()
    feed.asked()
    path = feed.folder / "styles.csv"
    path.write_text(path.read_text().replace("3,Men", "3,Women"))
    assert counts(feed.run()) == (0, 1, 4, 0, 0)
    assert feed.asked() == {"3": "payload"}


@pytest.mark.parametrize("how", ["folder", "copied folder", "zip"])
def test_a_changed_image_asks_for_just_itself(feed: Feed, how: str) -> None:
    def run() -> Summary:
        path = feed.zip() if how == "zip" else feed.folder
        return feed.run(path, copy_images=how == "copied folder")

    feed.fill(5)
    run()
    feed.asked()
    (feed.folder / "images" / "3.jpg").write_bytes(b"pictura 3")
    assert counts(run()) == (0, 1, 4, 0, 0)
    assert feed.asked() == {"3": "image"}
    assert feed.product("3").image_digest == digest_of(b"pictura 3")


def test_rows_that_change_different_fields_are_all_written(feed: Feed) -> None:
    feed.fill(4)
    feed.run()
    feed.asked()
    feed.write("1,Men,Red,2012,Tie 1", "2,Women,Blue,2013,Tie 2", "3,Men,Blue,2012,", "4,Men,Blue")
    assert counts(feed.run()) == (0, 3, 0, 0, 1)
    written = [feed.product(sku) for sku in "1234"]
    assert [(it.gender, it.base_colour, it.year, it.display_name) for it in written] == [
        ("Men", "Red", 2012, "Tie 1"),
        ("Women", "Blue", 2013, "Tie 2"),
        ("Men", "Blue", 2012, None),
        ("Men", "Blue", 2012, "Tie 4"),
    ]
    assert feed.asked() == dict.fromkeys("123", "payload")
    assert written[0].updated_at > written[0].created_at == written[3].updated_at


def test_what_another_writer_does_between_the_look_and_the_transaction_is_seen(
    feed: Feed,
) -> None:
    def put_both() -> None:
        drafts = [products.parse({"sku": "1", "gender": "Women"}), products.parse({"sku": "3"})]
        feed.db.write(lambda s: products.save(s, drafts, priority=queue.SINGLE, complete=False))

    class WrittenTo(ImageStore):
        def put(self, data: bytes) -> str:
            put_both()
            return super().put(data)

    feed.fill(2)
    feed.run(copy_images=True)
    feed.write(
        "1,Women,Blue,2012,Tie 1",
        "2,Women,Blue,2012,Tie 2",
        "3,Men,Red,2013,Hat",
        images={"3": b"content 3"},
    )
    feed.store = WrittenTo(f"file://{feed.folder.parent}/store")
    assert counts(feed.run(copy_images=True)) == (0, 2, 1, 0, 0)
    assert [feed.product(sku).gender for sku in "123"] == ["Women", "Women", "Men"]
    assert feed.product("3").display_name == "Hat"


def test_a_touched_but_identical_image_asks_for_nothing(feed: Feed) -> None:
    feed.fill(2)
    feed.run()
    feed.asked()
    os.utime(feed.folder / "images" / "1.jpg", ns=(5, 5))
    assert counts(feed.run()) == (0, 0, 2, 0, 0)
    assert feed.asked() == {}
    assert feed.product("1").image_mtime_ns == 5


def test_the_images_of_a_zip_are_copied_to_the_store(feed: Feed) -> None:
    feed.fill(3)
    feed.run(feed.zip())
    product = feed.product("2")
    assert product.image_uri == f"store://{digest_of(b'content 2')}"
    assert feed.store.read(digest_of(b"content 2")) == b"content 2"


def test_copied_images_survive_the_folder(feed: Feed) -> None:
    feed.fill(1)
    feed.run(copy_images=True)
    shutil.rmtree(feed.folder)
    digest = feed.product("1").image_digest
    assert digest is not None
    assert feed.store.read(digest) == b"content 1"


def test_a_store_that_was_lost_is_filled_again(feed: Feed) -> None:
    feed.fill(2)
    path = feed.zip()
    feed.run(path)
    shutil.rmtree(feed.folder.parent / "store")
    assert counts(feed.run(path)) == (0, 0, 2, 0, 0)
    assert feed.store.exists(digest_of(b"content 1"))


def test_a_folder_that_moved_is_followed(feed: Feed) -> None:
    feed.fill(1)
    feed.run()
    feed.asked()
    moved = feed.folder.rename(feed.folder.with_name("moved"))
    assert counts(feed.run(moved)) == (0, 1, 0, 0, 0)
    assert feed.product("1").image_uri == (moved / "images" / "1.jpg").as_uri()


def test_an_image_that_went_missing_leaves_the_product_its_reference(feed: Feed) -> None:
    feed.fill(1)
    feed.run()
    feed.asked()
    (feed.folder / "images" / "1.jpg").unlink()
    feed.write("1,Men,Red,2012,Tie 1")
    summary = feed.run()
    assert counts(summary) == (0, 1, 0, 0, 0)
    assert [remark.reason for remark in summary.warnings] == ["there is no image images/1.jpg"]
    assert feed.product("1").image_digest == digest_of(b"content 1")
    assert feed.asked() == {"1": "payload"}


def test_what_the_file_does_not_name_stays_as_it_is(feed: Feed) -> None:
    feed.fill(1)
    feed.run()
    changes = {"price": 9.5, "in_stock": False, "attributes": {"brand": "Ace"}}
    feed.db.write(lambda s: products.patch(s, "1", changes, priority=queue.SINGLE))
    assert counts(feed.run()) == (0, 0, 1, 0, 0)
    product = feed.product("1")
    assert (product.price, product.in_stock, product.attributes) == (9.5, False, {"brand": "Ace"})


def test_a_removed_product_is_added_again_by_its_row(feed: Feed) -> None:
    feed.fill(2)
    feed.run()
    feed.db.write(lambda s: products.remove(s, ["1"], priority=queue.SINGLE))
    assert counts(feed.run()) == (1, 0, 1, 0, 0)
    assert feed.skus() == ["1", "2"]


# --- rejects and warnings ------------------------------------------------------------------


def test_bad_rows_are_rejected_with_line_sku_and_reason_and_the_others_taken(feed: Feed) -> None:
    feed.write("1,Men,Blue,2012,Tie", "bad\tsku,Men,Blue,2012,Tie", ",Men,,,", "3,Men", "4,,,,")
    summary = feed.run()
    assert counts(summary) == (2, 0, 0, 0, 3)
    assert [(r.line, r.sku) for r in summary.rejects] == [(3, "bad\tsku"), (4, None), (5, "3")]
    assert "1 to 128" in summary.rejects.first(1)[0].reason


def test_a_field_that_cannot_be_stored_is_left_out_with_a_warning(feed: Feed) -> None:
    feed.write(f"1,{'x' * 300},Blue,99999,Tie", images={"1": b""})
    summary = feed.run()
    product = feed.product("1")
    assert (product.gender, product.year, product.display_name) == (None, None, "Tie")
    reasons = [remark.reason for remark in summary.warnings]
    assert reasons[0].startswith("gender: must have at most 255 characters")
    assert reasons[1].startswith("year: must be less than or equal to 2100")


@pytest.mark.parametrize("chunk", [1, 2, 100])
def test_of_rows_with_one_sku_the_last_is_written_and_the_earlier_rejected(
    feed: Feed, chunk: int
) -> None:
    feed.write("1,Men,Red,2012,A", "2,Men,Red,2012,B", "1,Men,Green,2012,C", "1,Men,Blue,2012,D")
    for expected in ((2, 0, 0, 0, 2), (0, 0, 2, 0, 2)):
        summary = feed.run(chunk=chunk)
        assert counts(summary) == expected
        assert [(r.line, r.sku) for r in summary.rejects] == [(2, "1"), (4, "1")]
        assert summary.rejects.first(1)[0].reason == "line 5 has the same sku"
        assert feed.product("1").display_name == "D"


def test_a_member_of_a_zip_that_is_too_large_or_damaged_costs_only_the_image(feed: Feed) -> None:
    feed.fill(3)
    (feed.folder / "images" / "1.jpg").write_bytes(bytes(2_000))
    path = feed.zip()
    path.write_bytes(path.read_bytes().replace(b"content 2", b"conxent 2"))
    summary = feed.run(path, max_image_bytes=1_000)
    assert counts(summary) == (3, 0, 0, 0, 0)
    large, damaged = (remark.reason for remark in summary.warnings)
    assert "2,000 bytes, more than 1,000" in large
    assert "damaged" in damaged
    assert [feed.product(sku).image_uri is None for sku in "123"] == [True, True, False]


def test_a_file_that_is_too_large_is_referred_to_so_that_the_quarantine_names_it(
    feed: Feed,
) -> None:
    feed.fill(1)
    (feed.folder / "images" / "1.jpg").write_bytes(bytes(2_000))
    for expected in ((1, 0, 0, 0, 0), (0, 0, 1, 0, 0)):
        assert counts(feed.run(max_image_bytes=1_000)) == expected
    product = feed.product("1")
    assert product.image_uri is not None
    assert product.image_digest is None


def test_a_path_or_address_that_is_refused_costs_the_image_not_the_product(feed: Feed) -> None:
    table = feed.folder / "table.csv"
    table.write_text(
        "sku,image\n1,../../secret.jpg\n2,file:///etc/passwd\n3,HTTPS://h.example/3.jpg\n"
        "4,//h.example/4.jpg\n"
    )
    summary = feed.run(table)
    assert counts(summary) == (4, 0, 0, 0, 0)
    assert [(it.line, it.kind) for it in summary.warnings] == [(2, "image"), (3, "image")]
    assert feed.product("1").image_uri is feed.product("2").image_uri is None
    assert feed.product("3").image_uri == "https://h.example/3.jpg"
    assert feed.product("4").image_uri == "https://h.example/4.jpg"


def test_the_report_holds_every_reject_and_warning(feed: Feed, tmp_path: Path) -> None:
    feed.write("1,Men,Blue,when,Tie", "no\tgood,,,,", "..,,,,")
    summary = feed.run()
    summary.write_report(tmp_path / "report.json")
    report = json.loads((tmp_path / "report.json").read_text())
    assert {name: report[name] for name in summary.counts()} == summary.counts()
    assert [(r["line"], r["sku"]) for r in report["rejects"]] == [(3, "no\tgood"), (4, "..")]
    assert [warning["line"] for warning in report["warnings"]] == [2, 2]


def test_remarks_beyond_memory_can_be_read_while_more_come() -> None:
    remarks = Remarks()
    for line in range(20_000):
        remarks.add(line, f"sku-{line}", "a reason of some length, for it goes to a file at last")
    assert [remark.line for remark in remarks.first(3)] == [0, 1, 2]
    remarks.add(20_000, None, "the last")
    assert [remark.line for remark in remarks] == list(range(20_001))
    assert len(remarks) == 20_001


# --- prune ---------------------------------------------------------------------------------


def test_without_prune_nothing_is_removed(feed: Feed) -> None:
    feed.fill(3)
    feed.run()
    feed.fill(1)
    assert counts(feed.run()) == (0, 0, 1, 0, 0)
    assert feed.skus() == ["1", "2", "3"]


@pytest.mark.parametrize("chunk", [1, 3, 100])
def test_prune_removes_what_the_file_no_longer_holds(feed: Feed, chunk: int) -> None:
    feed.fill(20)
    feed.run()
    feed.asked()
    feed.fill(5, first=8)
    assert counts(feed.run(prune=True, prune_at_most=ALL, chunk=chunk)) == (0, 0, 5, 15, 0)
    assert feed.skus() == ["8", "9", "10", "11", "12"]
    assert set(feed.asked().values()) == {"payload"}
    assert counts(feed.run(prune=True, chunk=chunk)) == (0, 0, 5, 0, 0)


def test_prune_keeps_a_product_whose_row_was_rejected(feed: Feed) -> None:
    feed.fill(3)
    feed.run()
    feed.write("1,Men,Blue,2012,Tie 1", "2,Men,Bl")
    assert counts(feed.run(prune=True, prune_at_most=ALL)) == (0, 0, 1, 1, 1)
    assert feed.skus() == ["1", "2"]


def test_prune_by_a_file_without_a_valid_row_is_refused(feed: Feed) -> None:
    feed.fill(3)
    feed.run()
    feed.write("..,,,,", "1,Men")
    summary = feed.run(prune=True)
    assert summary.not_pruned == "nothing was pruned: the file holds no valid row"
    assert feed.skus() == ["1", "2", "3"]


def test_prune_by_a_file_that_may_be_cut_off_is_refused(feed: Feed) -> None:
    feed.fill(40)
    feed.run()
    table = feed.folder / "today.csv"
    table.write_text("sku,name\n1,Tie 1\n2,Tie 2\n3,Ti")
    summary = feed.run(table, prune=True, prune_at_most=ALL)
    assert str(summary.not_pruned).startswith("nothing was pruned: the last line, 4, has no")
    assert len(feed.skus()) == 40
    table.write_text("sku,name\n1,Tie 1\n2,Tie 2\n3,Tie 3\n")
    assert feed.run(table, prune=True, prune_at_most=ALL).removed == 37


@pytest.mark.parametrize(
    ("left", "limit", "is_pruned"),
    [(8, "20%", True), (7, "20%", False), (7, "3", True), (7, "2", False), (7, "33.4%", True)],
)
def test_prune_removes_nothing_where_too_many_products_would_go(
    feed: Feed, left: int, limit: str, is_pruned: bool
) -> None:
    feed.fill(10)
    feed.run()
    feed.fill(left)
    summary = feed.run(prune=True, prune_at_most=PruneLimit.parse(limit), chunk=3)
    assert counts(summary) == (0, 0, left, 10 - left if is_pruned else 0, 0)
    assert (summary.not_pruned is None) is is_pruned
    assert len(feed.skus()) == (left if is_pruned else 10)
    if not is_pruned:
        assert "3 of 10 products are not in the feed" in str(summary.not_pruned)
        assert summary.warnings_by_kind()["prune"]["count"] == 1


def test_a_fifth_of_the_catalogue_is_the_limit_without_an_option(feed: Feed) -> None:
    feed.fill(10)
    feed.run()
    feed.fill(7)
    summary = feed.run(prune=True)
    assert "--prune-at-most" in str(summary.not_pruned)
    assert len(feed.skus()) == 10


@pytest.mark.parametrize("text", ["", "many", "101%", "-1", "20 percent", "1e3"])
def test_a_limit_that_is_neither_share_nor_number_is_refused(text: str) -> None:
    with pytest.raises(ConfigurationError, match="--prune-at-most"):
        PruneLimit.parse(text)


@pytest.mark.parametrize(
    ("last", "transfer", "is_pruned"),
    [
        ("2,Tie 2", Transfer(), False),
        ("2,Tie 2", Transfer(is_proven=True), True),
        ('2,"Tie 2"', Transfer(), True),
        ('2,"Tie 2', Transfer(is_proven=True), False),
        ("2", Transfer(is_proven=True), False),
        ("2,Tie 2\n", Transfer(ended_early="the connection broke"), False),
    ],
)
def test_a_last_line_without_its_end_is_believed_only_with_a_proof(
    feed: Feed, last: str, transfer: Transfer, is_pruned: bool
) -> None:
    feed.fill(3)
    feed.run()
    table = feed.folder / "today.csv"
    table.write_text(f"sku,name\n1,Tie 1\n{last}")
    summary = feed.run(table, prune=True, prune_at_most=ALL, transfer=lambda: transfer)
    assert (summary.not_pruned is None, summary.removed) == (is_pruned, int(is_pruned))
    assert summary.ended_early is None or not is_pruned


def test_what_was_corrected_in_the_text_is_a_warning_of_its_kind(feed: Feed) -> None:
    table = feed.folder / "table.csv"
    table.write_bytes("sku,name\n1,Gr\xfcner Hut\n".encode("cp1252"))
    kinds = feed.run(table).warnings_by_kind()
    assert kinds["text"]["count"] == 1


class ActiveStore(ImageStore):
    """An image store in which each new image lets another writer act first."""

    def __init__(self, url: str, act: Callable[[], object]) -> None:
        super().__init__(url)
        self._act = act

    def put(self, data: bytes) -> str:
        """Let the other writer act, then store the image."""
        self._act()
        return super().put(data)


@pytest.mark.parametrize("act", ["change", "remove", "add"])
def test_what_another_writer_does_after_the_comparison_counts(feed: Feed, act: str) -> None:
    feed.write("1,Men,Red,2012,Tie 1")
    feed.run()
    feed.write("1,Men,Blue,2012,Tie 1", "2,Men,Blue,2012,Tie 2", images={"2": b"content"})
    others = {
        "change": lambda s: products.patch(s, "1", {"base_colour": "Blue"}, priority=0),
        "remove": lambda s: products.remove(s, ["1"], priority=0),
        "add": lambda s: products.save(s, [products.parse({"sku": "2", "brand": "A"})], priority=0),
    }
    feed.store = ActiveStore(feed.store.url, lambda: feed.db.write(others[act]))
    summary = feed.run(copy_images=True)
    added, changed = {"change": (1, 0), "remove": (2, 0), "add": (0, 2)}[act]
    assert (summary.added, summary.changed) == (added, changed)
    assert [feed.product(sku).base_colour for sku in ("1", "2")] == ["Blue", "Blue"]
    assert feed.product("2").brand == ("A" if act == "add" else None)


def test_prune_leaves_a_product_that_came_while_the_import_ran(feed: Feed) -> None:
    feed.fill(2)

    def put(_done: int, _total: int) -> None:
        draft = products.parse({"sku": "new"})
        feed.db.write(lambda s: products.save(s, [draft], priority=queue.SINGLE))

    assert feed.run(prune=True, progress=put).removed == 0
    assert feed.skus() == ["1", "2", "new"]


# --- size ------------------------------------------------------------------------------------


@pytest.mark.parametrize("case", ["new", "same", "mixed"])
def test_a_chunk_takes_the_same_number_of_statements_whatever_its_size(
    feed: Feed, case: str
) -> None:
    def statements_for(size: int, first: int) -> int:
        feed.db.write(clock.now)  # the first write also begins the clock of the database
        feed.fill(size, first)
        if case != "new":
            feed.run()
        if case == "mixed":  # new, changed row, changed image
            path = feed.folder / "styles.csv"
            path.write_text(path.read_text().replace("0,Men", "0,Women"))
            with path.open("a") as file:
                file.writelines(f"new-{first}-{n},,,,\n" for n in range(size // 5))
            (feed.folder / "images" / f"{first + 1}.jpg").write_bytes(b"another")
        with statements_of(feed.db) as statements:
            feed.run(chunk=2_000)
        return len(statements)

    assert statements_for(10, first=10_000) == statements_for(300, first=20_000) <= 14


def test_rows_that_say_what_is_stored_are_found_by_one_statement_without_a_write(
    feed: Feed,
) -> None:
    feed.fill(30)
    feed.run()
    with statements_of(feed.db) as statements:
        assert feed.run().unchanged == 30
    assert len([text for text in statements if "products.sku" in text]) == 1
    assert not [text for text in statements if text.startswith(("INSERT", "UPDATE"))]


def test_an_image_file_that_has_changed_is_noticed_among_rows_that_are_the_same(
    feed: Feed,
) -> None:
    feed.fill(3)
    feed.run()
    (feed.folder / "images" / "2.jpg").write_bytes(b"another")
    summary = feed.run()
    assert (summary.changed, summary.unchanged) == (1, 2)


def test_progress_ends_at_the_number_of_rows(sqlite_feed: Feed) -> None:
    sqlite_feed.fill(10)
    seen: list[tuple[int, int]] = []
    sqlite_feed.run(chunk=4, progress=lambda done, total: seen.append((done, total)))
    assert seen == [(4, 10), (8, 10), (10, 10)]


def test_memory_does_not_grow_with_the_file(sqlite_feed: Feed) -> None:
    def peak(rows: int) -> int:
        table = sqlite_feed.folder / "table.csv"
        lines = (f"{n},https://cdn.example/{n}.jpg,Tie {n}\n" for n in range(rows))
        table.write_text("sku,image,display_name\n" + "".join(lines))
        tracemalloc.start()
        sqlite_feed.run(table, chunk=100)
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return most

    peak(200)  # whatever is made once
    kept = 2_000 * 200  # CPython 3.11 keeps as many freed tuples of 20 values: an INSERT has 20
    assert peak(4_000) < 1.5 * peak(400) + kept


@pytest.mark.slow
def test_the_real_catalogue_is_imported_whole(
    db: Database, tmp_path: Path, shared_data: Path
) -> None:
    feed = Feed(db, tmp_path)
    summary = feed.run(real_catalogue.whole(shared_data))
    assert counts(summary) == (40_000, 0, 0, 0, 0)
    missing = {remark.sku for remark in summary.warnings}
    assert missing == {"39403", "39410", "39401", "39425", "12347"}
    feed.asked()
    assert counts(feed.run(real_catalogue.whole(shared_data))) == (0, 0, 40_000, 0, 0)
    assert feed.asked() == {}

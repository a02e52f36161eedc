"""Lists of all products in a file: what a query answers, also after a kill."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from sqlalchemy import delete, update
from support.shop import Shop
from typer.testing import Result

from backend import generations
from backend.cli.list_export import ListExport
from backend.database.models import BUILDING, Generation, IndexEntry
from backend.errors import LookalikeError, WouldOverwrite
from backend.generations import EmbedderIdentity

COLOURS = ("#d02020", "#c82828", "#b03030", "#2020d0", "#2828c8", "#3030b0", "#20d020", "#28c828")
ASKED = {"limit": 3, "fields": ["sku"]}


def fill(shop: Shop) -> Shop:
    for number, colour in enumerate(COLOURS):
        shop.put(f"p{number}", colour, gender="Men" if number % 2 else "Women", price=number)
    shop.put("without")
    shop.work()
    return shop


def asking(shop: Shop, *, times: int = 1000) -> Callable[..., Any]:
    """Asks a shop, and is killed after some requests."""
    left = iter(range(times))

    def ask(
        path: str,
        parameters: Sequence[tuple[str, str]] = (),
        *,
        body: Mapping[str, Any] | None = None,
    ) -> Any:
        if next(left, None) is None:
            raise KeyboardInterrupt
        method = "GET" if body is None else "POST"
        answer = shop.client.open(path, method=method, query_string=parameters, json=body)
        if answer.status_code != 200:
            raise LookalikeError(answer.json["detail"], status=answer.status_code)
        return answer.json

    return ask


def lines(path: Path) -> dict[str, list[str]]:
    found = [json.loads(line) for line in path.read_text().splitlines()]
    assert len({it["sku"] for it in found}) == len(found)
    return {it["sku"]: [item["sku"] for item in it["items"]] for it in found}


def expected(shop: Shop, **query: Any) -> dict[str, list[str]]:
    skus = [f"p{number}" for number in range(len(COLOURS))]
    return {sku: shop.skus(f"/v1/products/{sku}/similar", **query) for sku in skus}


@pytest.mark.parametrize("killed_after", range(1, 10, 2))
def test_a_killed_run_goes_on_where_it_was(shop: Shop, tmp_path: Path, killed_after: int) -> None:
    fill(shop)
    path = tmp_path / "lists.ndjson"
    first = ListExport(path, asked=ASKED, at_once=2)
    with pytest.raises(KeyboardInterrupt):
        list(first.parts(asking(shop, times=killed_after)))
    draft = tmp_path / ".lists.ndjson.draft"
    with draft.open("ab") as file:  # half a part, which a kill leaves
        file.write(b'{"sku": "p')
    assert not path.exists()
    again = ListExport(path, asked=ASKED, at_once=2)
    assert again.resume() == (killed_after > 2)
    done = [now.products for now in again.parts(asking(shop))]
    assert done == [*range(2 * (killed_after // 2) + 2, 10, 2), 9]
    again.finish()
    assert lines(path) == expected(shop, limit=3)
    assert again.progress.without == {"not-searchable": 1}
    assert list(tmp_path.iterdir()) == [path]


def test_a_run_that_was_killed_at_its_very_end_does_no_harm(shop: Shop, tmp_path: Path) -> None:
    fill(shop)
    path = tmp_path / "lists.ndjson"
    export = ListExport(path, asked=ASKED, at_once=5)
    list(export.parts(asking(shop)))
    path.with_name(".lists.ndjson.draft").rename(path)  # the state is left
    again = ListExport(path, asked=ASKED, at_once=5)
    assert not again.resume()
    list(again.parts(asking(shop)))
    again.finish()
    assert lines(path) == expected(shop, limit=3)


def test_an_unfinished_export_is_not_mixed_with_another_one(shop: Shop, tmp_path: Path) -> None:
    fill(shop)
    path = tmp_path / "lists.ndjson"
    with pytest.raises(KeyboardInterrupt):
        list(ListExport(path, asked=ASKED, at_once=2).parts(asking(shop, times=5)))
    other = ListExport(path, asked={"limit": 4}, at_once=2)
    with pytest.raises(WouldOverwrite, match="other options"):
        other.resume()
    other.restart()
    assert not other.resume()
    for _ in other.parts(asking(shop)):
        pass
    other.finish()
    assert lines(path) == expected(shop, limit=4)


def test_all_lists_are_of_one_generation(shop: Shop, tmp_path: Path) -> None:
    fill(shop)
    first = shop.generation
    export = ListExport(tmp_path / "lists.ndjson", asked=ASKED, at_once=2)
    parts = export.parts(asking(shop))
    next(parts)
    other = EmbedderIdentity(spec="mean-colour?grid=3", fingerprint="f" * 64, size=28)
    second = generations.start(shop.db, other, state=BUILDING)
    generations.activate(shop.db, second.id, quality=None)
    try:
        assert next(parts).generation == first.id
        assert export.progress.lists == 4
        shop.execute(update(Generation).where(Generation.id == first.id).values(state="retired"))
        with pytest.raises(LookalikeError, match="is gone") as gone:
            next(parts)
        assert gone.value.context["status"] == 410
    finally:
        shop.execute(delete(IndexEntry).where(IndexEntry.generation_id == second.id))
        shop.execute(delete(Generation).where(Generation.id == second.id))
        shop.execute(update(Generation).where(Generation.id == first.id).values(state="active"))


def test_the_command_writes_ndjson_and_parquet(
    shop: Shop, run_command: Callable[..., Result], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    fill(shop)
    shop.client.put("/v1/admin/placements/pdp", json={"limit": 2, "filter": {"gender": ["Men"]}})
    monkeypatch.setenv("LOOKALIKE_DATA_DIR", str(shop.settings.data_dir))
    monkeypatch.setenv("LOOKALIKE_EMBEDDER", "mean-colour")
    shop.close()
    try:
        path = tmp_path / "lists.ndjson"
        named = ("--out", str(path), "--placement", "pdp", "--products", "gender=Women")
        summary = json.loads(run_command("export", "similar", *named, "--json").stdout)
        table = tmp_path / "lists.parquet"
        said = run_command(
            *("export", "similar", "--out", str(table), "--limit", "2"),
            *("--where", "gender=Men", "--where", "price_gte=3"),
        ).output
        refused = run_command("export", "similar", "--out", "lists.csv", code=1)
    finally:
        shop.start()
    men = expected(shop, placement="pdp")
    assert lines(path) == {sku: found for sku, found in men.items() if int(sku[1:]) % 2 == 0}
    assert (summary["products"], summary["lists"], summary["resumed"]) == (4, 4, False)
    assert summary["generation"] == shop.generation.id
    rows = pq.read_table(table).to_pylist()
    found = {row["sku"]: [item["sku"] for item in row["items"]] for row in rows}
    assert found == expected(shop, limit=2, gender="Men", price_gte=3)
    assert "8 lists of 9 products" in said
    assert "1 product has no list: not-searchable" in said
    assert ".ndjson, .jsonl or .parquet" in str(refused.exception)


KILLED = """
import os, signal, sys
from backend.cli import main
from backend.cli.list_export import ListExport

parts, left = ListExport.parts, iter(range(int(sys.argv.pop(1))))


def killed(ask):
    def asked(*arguments, **options):
        if next(left, None) is None:
            os.kill(os.getpid(), signal.SIGKILL)
        return ask(*arguments, **options)

    return asked


ListExport.parts = lambda export, ask: parts(export, killed(ask))
main()
"""
"""`lookalike …`, which is killed when it asks for the lists of a part."""


@pytest.mark.slow
def test_a_process_that_was_killed_and_one_that_goes_on_write_the_same_lines(
    shop: Shop, tmp_path: Path
) -> None:
    fill(shop)
    script, path, whole = (tmp_path / name for name in ("killed.py", "a.ndjson", "b.ndjson"))
    script.write_text(KILLED)
    settings = {"DATA_DIR": str(shop.settings.data_dir), "EMBEDDER": "mean-colour"}
    environment = {f"LOOKALIKE_{name}": value for name, value in settings.items()}
    environment |= {"LOOKALIKE_MAX_BATCH": "2", "PATH": os.environ["PATH"]}
    if "PYTHONPATH" in os.environ:
        environment["PYTHONPATH"] = os.environ["PYTHONPATH"]

    def run(asks: int, out: Path) -> int:
        command = (sys.executable, script, str(asks), "export", "similar", "--limit", "3")
        ran = subprocess.run([*command, "--out", out], cwd=tmp_path, env=environment, check=False)
        return ran.returncode

    export = ListExport(whole, asked=ASKED, at_once=2)
    list(export.parts(asking(shop)))
    export.finish()
    shop.close()
    try:
        assert run(5, path) == -signal.SIGKILL  # two parts are written, of the third the products
        assert not path.exists()
        assert run(1000, path) == 0
    finally:
        shop.start()
    assert path.read_bytes() == whole.read_bytes()
    assert len(path.read_text().splitlines()) == len(COLOURS)

"""The command line, alone and beside a running server: what a new user types, in that order."""

from __future__ import annotations

import contextlib
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from itertools import takewhile
from pathlib import Path
from typing import Any

import pytest
import requests
from PIL import Image
from support.installation import Installation, embedded
from support.servers import free_port
from typer.testing import CliRunner, Result

from backend import cli
from backend.settings import Settings
from sample_catalogue import make_sample

PRODUCTS = 24
COMMANDS = [
    *("demo", "import", "index", "serve", "similar", "status", "verify", "migrate"),
    *("optimize", "backup", "restore", "reindex", "generations"),
]

Run = Callable[..., Result]


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small catalogue; one of its products has no image, one has a comma in its name."""
    folder = tmp_path_factory.mktemp("sample")
    make_sample(folder, products=PRODUCTS)
    return folder


@pytest.fixture
def run(run_command: Run, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.setenv("LOOKALIKE_EMBEDDER", "mean-colour")
    return run_command


def as_json(run: Run, *arguments: str) -> Any:
    return json.loads(run(*arguments, "--json").stdout)


def width_of(path: Path) -> int:
    with Image.open(path) as image:
        return image.width


@pytest.fixture
def indexed(run: Run, sample: Path) -> Run:
    """The same, over the sample, with nothing pending."""
    run("import", str(sample))
    run("index")
    return run


@pytest.fixture
def server(indexed: Run, settings: Settings) -> Iterator[Installation]:
    """A server over the same catalogue."""
    with embedded(settings.data_dir.parent, embedder="mean-colour") as shop:
        shop.api()
        yield shop


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself(run: Run, command: str) -> None:
    explained = run(command, "--help").stdout

    assert "Usage" in explained
    assert len(explained.splitlines()) > 6


def test_an_import_counts_and_explains_what_it_could_not_take(
    run: Run, sample: Path, settings: Settings
) -> None:
    first = as_json(run, "import", str(sample))
    second = as_json(run, "import", str(sample))

    counts = ("added", "changed", "unchanged", "removed", "rejected")
    assert [first[name] for name in counts] == [PRODUCTS, 0, 0, 0, 0]
    assert [second[name] for name in counts] == [0, 0, PRODUCTS, 0, 0]
    assert first["rejects"] == []
    report = json.loads(Path(first["report"]).read_text())
    assert any("no image" in warning["reason"] for warning in report["warnings"])


def test_a_rejected_row_is_named_with_its_line(run: Run, tmp_path: Path) -> None:
    feed = tmp_path / "feed.csv"
    feed.write_text("article_id,prod_name,fabric\n007,Shirt,linen\n..,Coat,wool\n")

    done = as_json(
        run, "import", str(feed), "--map", "sku=article_id", "--map", "display_name=prod_name"
    )

    assert (done["added"], done["rejected"]) == (1, 1)
    (reject,) = done["rejects"]
    assert (reject["line"], reject["sku"]) == (3, "..")
    assert "sku" in reject["reason"]


def test_the_index_command_works_until_nothing_is_pending(run: Run, sample: Path) -> None:
    run("import", str(sample))
    assert as_json(run, "status")["pending"] == PRODUCTS

    status = as_json(run, "index")

    assert (status["pending"], status["indexed"], status["quarantined"]) == (0, PRODUCTS - 1, 1)
    assert status == as_json(run, "status") | {"oldest_pending_seconds": None}


def test_similar_items_come_as_json_as_a_table_and_as_an_image(
    indexed: Run, sample: Path, tmp_path: Path
) -> None:
    sku = min(path.stem for path in (sample / "images").iterdir())
    sheet = tmp_path / "images" / "sheet.png"

    answer = as_json(indexed, "similar", sku, "--limit", "3", "--where", "year_gte=1990")
    table = indexed("similar", sku, "--limit", "2", "--sheet", str(sheet)).stdout

    assert len(answer["items"]) == 3
    scores = [item["score"] for item in answer["items"]]
    assert scores == sorted(scores, reverse=True)
    assert sku not in [item["sku"] for item in answer["items"]]
    assert answer["items"][0]["sku"] in table
    assert width_of(sheet) > 300


@pytest.mark.slow
def test_what_cannot_be_answered_ends_in_one_line_and_exit_code_1(run: Run) -> None:
    for arguments in (["similar", "nobody"], ["import", "nowhere"], ["keys", "revoke", "lk_none"]):
        ran = subprocess.run(
            [sys.executable, "-c", "from backend.cli import main; main()", *arguments],
            capture_output=True,
            text=True,
            check=False,
        )
        assert ran.returncode == 1
        assert ran.stderr.splitlines()[-1].startswith("lookalike: ")
        assert "Traceback" not in ran.stderr


def test_a_filter_on_an_unknown_field_names_the_allowed_ones(indexed: Run, sample: Path) -> None:
    sku = min(path.stem for path in (sample / "images").iterdir())

    ran = CliRunner().invoke(cli.app, ["similar", sku, "--where", "color=Red"])

    assert "base_colour" in str(ran.exception)


def test_a_quarantined_product_is_listed_retried_and_discarded(indexed: Run) -> None:
    (row,) = as_json(indexed, "quarantine", "list")["items"]
    assert row["reason"].startswith("no-image")

    assert as_json(indexed, "quarantine", "retry", "--all") == {"retried": [row["sku"]]}
    assert as_json(indexed, "status")["pending"] == 1
    assert as_json(indexed, "index")["quarantined"] == 1
    assert as_json(indexed, "quarantine", "discard", row["sku"]) == {"discarded": [row["sku"]]}
    assert as_json(indexed, "status")["products"] == PRODUCTS - 1
    assert "empty" in indexed("quarantine", "list").stdout
    indexed("quarantine", "discard", "nobody", code=1)
    indexed("quarantine", "retry", code=2)


def test_verify_repairs_an_index_that_was_deleted(indexed: Run, settings: Settings) -> None:
    assert as_json(indexed, "verify")["drift"] == 0
    for shard in settings.index_dir.iterdir():
        subprocess.run(["rm", "-r", shard], check=True)

    found = json.loads(indexed("verify", "--json", code=1).stdout)
    told = indexed("verify", code=1).stdout
    assert "missing" in told
    assert "`lookalike verify --fix` repairs this." in told
    repaired = as_json(indexed, "verify", "--fix")

    assert (found["missing"], repaired["missing"]) == (PRODUCTS - 1, PRODUCTS - 1)
    assert as_json(indexed, "verify")["drift"] == 0


def test_migrate_says_where_the_database_is(run: Run) -> None:
    assert as_json(run, "migrate")["revision"] == as_json(run, "migrate")["revision"] != "base"


def test_every_command_works_beside_a_running_server(
    server: Installation, indexed: Run, sample: Path, tmp_path: Path
) -> None:
    feed = tmp_path / "feed.csv"
    photograph = next((sample / "images").iterdir())
    with Image.open(photograph) as image:
        image.rotate(180).save(tmp_path / "new.png")
    feed.write_text("sku,article_type,image\nnew,Shirts,new.png\n")

    indexed("import", str(feed))
    status = as_json(indexed, "index")
    answer = as_json(indexed, "similar", "new", "--limit", "2")
    verified = as_json(indexed, "verify")
    optimized = as_json(indexed, "optimize")
    shard = as_json(indexed, "status")["shard"]
    again = as_json(indexed, "similar", "new", "--limit", "2")

    assert (status["pending"], status["indexed"]) == (0, PRODUCTS)
    assert len(answer["items"]) == 2
    assert verified["drift"] == 0
    assert (optimized["points"], shard["optimized"], shard["dirty"]) == (PRODUCTS, True, 0)
    assert [item["sku"] for item in again["items"]] == [item["sku"] for item in answer["items"]]
    assert server.end("api") == 0


def test_the_index_is_optimized_without_a_server_too(indexed: Run) -> None:
    assert "not optimized" in " ".join(indexed("status").stdout.split())
    assert str(PRODUCTS - 1) in indexed("optimize").stdout
    assert "optimized at" in " ".join(indexed("status").stdout.split())
    assert as_json(indexed, "verify")["drift"] == 0


def test_the_demo_ends_with_a_contact_sheet(run: Run, settings: Settings) -> None:
    shown = run("demo", "--no-serve", "--products", "24").stdout

    assert "indexed" in shown
    assert width_of(settings.data_dir / "similar.png") > 500


def test_the_demo_serves_what_its_curl_lines_ask_for(run: Run, settings: Settings) -> None:
    demo = subprocess.Popen(
        [sys.executable, "-c", "from backend.cli import main; main()", "demo", "--products", "24"],
        env={**os.environ, "LOOKALIKE_PORT": str(free_port())},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        assert demo.stdout is not None
        lines = takewhile(lambda line: "--data-binary" not in line, demo.stdout)
        urls = [url for line in lines for url in re.findall(r"curl '(http[^']+)'", line)]
        answers = [_ask_patiently(url, demo) for url in urls]
    finally:
        demo.terminate()
        demo.communicate(timeout=60)

    assert len(answers) == 2
    assert all(answer["items"] for answer in answers)


def _ask_patiently(url: str, server: subprocess.Popen[str]) -> Any:
    deadline = time.monotonic() + 60
    while True:
        with contextlib.suppress(requests.ConnectionError):
            if (answer := requests.get(url, timeout=60)).ok:
                return answer.json()
        assert server.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.1)

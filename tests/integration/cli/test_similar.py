"""`lookalike similar`: by a photo and a region of it, shaped as over REST."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from support.image_files import encoded
from support.shop import Shop, four_products
from typer.testing import Result

from backend.settings import Settings

Run = Callable[..., Result]


@pytest.fixture
def run(
    settings: Settings, run_command: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Run:
    """Run `lookalike similar` on four products, beside a photo with two garments."""
    monkeypatch.setenv("LOOKALIKE_EMBEDDER", "mean-colour")
    with Shop(settings, embedder="mean-colour") as shop:
        four_products(shop)
        for sku in ("red", "green"):
            patched = shop.client.patch(f"/v1/products/{sku}", json={"group_id": "g"})
            assert patched.status_code == 200, patched.text
        placed = shop.client.put("/v1/admin/placements/one", json={"limit": 1})
        assert placed.status_code == 201, placed.text
        shop.work()
    photo = Image.new("RGB", (200, 100), "blue")
    photo.paste("red", (100, 0, 200, 100))
    (tmp_path / "street.png").write_bytes(encoded(photo))
    monkeypatch.chdir(tmp_path)
    return lambda *arguments, **options: run_command("similar", *arguments, **options)


def skus(ran: Result) -> list[str]:
    answer: Any = json.loads(ran.stdout)
    return [item["sku"] for item in answer["items"]]


def test_a_photo_and_a_region_of_it_are_compared(run: Run, tmp_path: Path) -> None:
    right = run("--photo", "street.png", "--box", "0.5,0,1,1", "--limit", "1", "--json")
    assert skus(right) == ["red"]
    left = run("--photo", "street.png", "--box", "0,0,100,100", "--sheet", "s.png", "--json")
    assert skus(left)[0] == "blue"
    with Image.open(tmp_path / "s.png") as sheet:
        assert sheet.width > 200
    refused = run("--photo", "https://elsewhere.example/a.png", code=1)
    assert "must be" in str(refused.exception)


def test_lists_are_shaped_as_over_rest(run: Run) -> None:
    grouped = run("white", "--group-by", "group_id", "--exclude", "blue", "--json")
    assert skus(grouped) == ["red"]
    shaped = run(
        *("red", "--restrict", "group_id", "--min-score", "0.99", "--relax", "group_id,min_score"),
        *("--boost", "price:0.5:0:1", "--diversity", "0.3", "--json"),
    )
    answer = json.loads(shaped.stdout)
    assert answer["meta"]["relaxed"] == ["group_id", "min_score"]
    assert {item["boost"] for item in answer["items"]} == {0.5}
    assert len(skus(run("red", "--placement", "one", "--min-match", "0.5", "--json"))) == 1


def test_the_table_shows_what_boosts_have_added(run: Run) -> None:
    plain = run("red").stdout
    boosted = run("red", "--boost", "price:0.5:0:1").stdout
    assert "added" not in plain
    assert "added" in boosted
    assert "+0.500" in boosted


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "name a SKU"),
        (("red", "--photo", "street.png"), "SKUs or a photo"),
        (("--photo", "nothing.png"), "cannot be read"),
    ],
    ids=["nothing", "both", "no-file"],
)
def test_what_cannot_be_asked_is_said(
    run_command: Run, arguments: tuple[str, ...], said: str
) -> None:
    assert said in " ".join(run_command("similar", *arguments, code=2).output.split())

"""The latent space on disk: what TensorBoard reads, and a page that holds everything itself."""

from __future__ import annotations

import importlib.util
import json
import re
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from support.image_files import garment
from typer.testing import CliRunner

from backend.catalogue import image_vectors, products
from backend.catalogue.products import Draft, ImageRef
from backend.cli import app
from backend.database.engine import Database
from backend.embedders import load
from backend.errors import ConfigurationError, NotEvaluable
from backend.images.store import digest_of
from backend.lab.evaluation.labels import CatalogueProduct, Labels
from backend.lab.projector.exporting import draw_sample, export, flatten
from backend.lab.projector.maps import pca_map, umap_map
from backend.lab.projector.sampling import distinguishing_fields, stratify
from backend.lab.projector.sprite import (
    LARGEST_SIDE,
    columns,
    draw_sprite,
    tile_side,
)

FINGERPRINT = "f" * 64
KINDS = ("Shirts", "Ties", "Heels")


def fill(db: Database, count: int, *, size: int = 4) -> np.ndarray:
    """Save products with vectors: two of three are shirts, the others ties and heels in turn."""
    vectors = np.random.default_rng(0).normal(size=(count, size)).astype(np.float32)
    drafts = [
        Draft(
            sku=f"s-{number}",
            values={
                "display_name": f"Thing\t{number} </script>",
                "article_type": KINDS[0 if number % 3 else 1 + number % 2],
                "year": 2012,
                "attributes": {"split": ("train", "test")[number % 2], "serial": f"n{number}"},
            },
            image=ImageRef(
                uri=f"store://{digest_of(bytes([number]))}", digest=digest_of(bytes([number]))
            ),
        )
        for number in range(count)
    ]
    db.write(lambda session: products.save(session, drafts, priority=1))
    digests = [digest_of(bytes([number])) for number in range(count)]
    stored = dict(zip(digests, vectors, strict=True))
    db.write(lambda session: image_vectors.store(session, FINGERPRINT, stored))
    return vectors


def draw(uri: str, box: tuple[int, int]) -> Image.Image | None:
    """Draw one colour for each image; the first one cannot be opened."""
    if uri.endswith(digest_of(bytes([0]))):
        return None
    return Image.new("RGB", (box[0] // 2, box[1]), "#" + uri.removeprefix("store://")[:6])


def exported(db: Database, folder: Path, *, count: int = 1000) -> Path:
    sample = draw_sample(db, FINGERPRINT, count=count)
    flat = flatten(sample, with_umap=False)
    return export(
        folder, sample, flat, note="a note", open_image=draw, report=lambda done, total: None
    )


# --- the sample ------------------------------------------------------------------------------


def labels_of(codes: list[int]) -> Labels:
    return Labels(by="kind", names=["a", "b", "c"], codes=np.array(codes))


def test_every_category_has_its_share_of_the_sample() -> None:
    codes = [0] * 900 + [1] * 90 + [2] * 6 + [-1] * 4

    drawn = stratify(labels_of(codes), 100, seed=0)

    assert Counter(codes[position] for position in drawn) == {0: 89, 1: 9, 2: 1, -1: 1}
    assert list(drawn) == sorted(set(drawn))
    assert list(drawn) == list(stratify(labels_of(codes), 100, seed=0))
    assert list(drawn) != list(stratify(labels_of(codes), 100, seed=1))


def test_a_sample_of_more_than_there_is_holds_everything() -> None:
    assert list(stratify(labels_of([0, 1, 2]), 5, seed=0)) == [0, 1, 2]


def test_more_categories_than_places_still_fill_exactly_the_places() -> None:
    assert len(stratify(labels_of([0, 0, 1, 1, 2, 2]), 2, seed=0)) == 2


def test_only_fields_that_tell_products_apart_are_offered(db: Database) -> None:
    fill(db, 12)

    sample = draw_sample(db, FINGERPRINT, count=12)

    assert sample.fields == ["article_type", "attributes.split"]  # one year; twelve serials


def test_the_first_field_can_be_any_and_one_that_is_missing_is_refused(db: Database) -> None:
    fill(db, 12)

    assert (
        draw_sample(db, FINGERPRINT, count=4, by="attributes.split").fields[0] == "attributes.split"
    )
    with pytest.raises(NotEvaluable, match="no product has 'colour'"):
        draw_sample(db, FINGERPRINT, count=4, by="colour")


def test_a_catalogue_without_vectors_is_told_what_to_run(db: Database) -> None:
    with pytest.raises(NotEvaluable, match="lookalike index"):
        draw_sample(db, FINGERPRINT, count=4)


def test_products_without_any_category_can_be_shown_too(db: Database, tmp_path: Path) -> None:
    drafts = [
        Draft(sku=str(n), values={}, image=ImageRef(uri=f"store://{n:064}", digest=f"{n:064}"))
        for n in range(6)
    ]
    db.write(lambda session: products.save(session, drafts, priority=1))
    vectors = {f"{n:064}": np.eye(6, dtype=np.float32)[n] for n in range(6)}
    db.write(lambda session: image_vectors.store(session, FINGERPRINT, vectors))

    page = exported(db, tmp_path / "out").read_text("utf-8")

    assert data_of(page)["fields"][0]["codes"] == [-1] * 6


def test_numbers_of_many_values_are_no_category() -> None:
    many = [
        CatalogueProduct(
            sku=str(n), name=None, uri="", digest=None, fields=(None,) * 8, attributes={"n": n}
        )
        for n in range(2000)
    ]

    assert distinguishing_fields(many, first="article_type") == []


# --- TensorBoard -----------------------------------------------------------------------------


def test_vectors_labels_and_images_stand_in_the_same_order(db: Database, tmp_path: Path) -> None:
    vectors = fill(db, 10)

    exported(db, tmp_path)

    written = np.loadtxt(tmp_path / "vectors.tsv", delimiter="\t")
    assert written == pytest.approx(vectors, abs=2e-3)
    header, *rows = (tmp_path / "metadata.tsv").read_text().splitlines()
    assert header.split("\t") == ["name", "sku", "article_type", "attributes.split"]
    assert [row.split("\t")[1] for row in rows] == [f"s-{n}" for n in range(10)]
    assert rows[3].split("\t") == ["Thing 3 </script>", "s-3", "Heels", "test"]
    sprite = Image.open(tmp_path / "sprite.png")
    assert sprite.size == (4 * 64, 3 * 64)
    middle_of_the_seventh = sprite.getpixel((2 * 64 + 32, 64 + 32))
    colour = bytes.fromhex(digest_of(bytes([6]))[:6])
    assert middle_of_the_seventh == tuple(colour)
    assert sprite.getpixel((32, 32)) == (211, 211, 211)  # the first cannot be opened


def test_the_configuration_names_the_files_and_the_tile(db: Database, tmp_path: Path) -> None:
    fill(db, 3)

    exported(db, tmp_path)

    config = (tmp_path / "projector_config.pbtxt").read_text()
    for name in re.findall(r'_path: "(.*)"', config):
        assert (tmp_path / name).is_file()
    assert re.findall(r"single_image_dim: (\d+)", config) == ["64", "64"]


def test_tensorboards_own_parser_takes_the_configuration(db: Database, tmp_path: Path) -> None:
    plugin = pytest.importorskip("tensorboard.plugins.projector")
    text_format = pytest.importorskip("google.protobuf.text_format")
    fill(db, 3)
    exported(db, tmp_path)

    config = text_format.Parse(
        (tmp_path / "projector_config.pbtxt").read_text(), plugin.ProjectorConfig()
    )

    assert config.embeddings[0].sprite.single_image_dim == [64, 64]


SMALLEST_TILE = 16
MOST_TILES = (LARGEST_SIDE // SMALLEST_TILE) ** 2


@pytest.mark.parametrize("count", [1, 2, 5, 5_000, 20_000, 100_000, MOST_TILES])
def test_no_sheet_is_larger_than_a_texture_may_be(count: int) -> None:
    assert tile_side(count) >= SMALLEST_TILE
    assert columns(count) * tile_side(count) <= LARGEST_SIDE
    assert columns(count) ** 2 >= count


def test_an_image_keeps_its_shape_on_white() -> None:
    sheet = draw_sprite(["store://ff0000"], draw, report=lambda done, total: None)

    assert sheet.getpixel((32, 32)) == (255, 0, 0)
    assert sheet.getpixel((4, 32)) == (255, 255, 255)


# --- maps ------------------------------------------------------------------------------------


def test_the_linear_map_shows_the_two_directions_of_most_variance() -> None:
    rng = np.random.default_rng(1)
    points = (rng.normal(size=(300, 6)) * [5, 3, 0.1, 0.1, 0.1, 0.1]).astype(np.float32)

    flat, share = pca_map(points)

    assert share > 0.99
    assert np.abs(np.corrcoef(flat[:, 0], points[:, 0])[0, 1]) > 0.999
    assert np.abs(np.corrcoef(flat[:, 1], points[:, 1])[0, 1]) > 0.999
    assert flat.min() >= 0
    assert flat.max() <= 1
    assert np.ptp(flat[:, 0]) == pytest.approx(1)
    assert np.ptp(flat[:, 1]) / np.ptp(flat[:, 0]) == pytest.approx(  # both axes are scaled alike
        np.ptp(points[:, 1]) / np.ptp(points[:, 0]), rel=0.02
    )


@pytest.mark.parametrize("count", [1, 2, 3])
def test_a_few_or_equal_products_have_a_place_too(count: int) -> None:
    flat, _ = pca_map(np.ones((count, 5), np.float32))

    assert flat == pytest.approx(np.full((count, 2), 0.5))


@pytest.mark.skipif(importlib.util.find_spec("umap") is not None, reason="umap-learn is here")
def test_without_umap_the_extra_is_named(db: Database) -> None:
    fill(db, 10)
    with pytest.raises(ConfigurationError, match=r"pip install 'lookalike\[projector\]'"):
        flatten(draw_sample(db, FINGERPRINT, count=10), with_umap=True)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_umap_keeps_neighbours_together_and_gives_the_same_map_again() -> None:
    pytest.importorskip("umap")
    rng = np.random.default_rng(0)
    centres = np.eye(3, 20)
    points = np.repeat(centres, 40, axis=0) + rng.normal(size=(120, 20)) * 0.02
    vectors = points.astype(np.float32)

    flat = umap_map(vectors, seed=3)

    middles = flat.reshape(3, 40, 2).mean(axis=1)
    nearest = np.linalg.norm(flat[:, None] - middles, axis=2).argmin(axis=1)
    assert list(nearest) == list(np.repeat(range(3), 40))
    assert umap_map(vectors, seed=3) == pytest.approx(flat)
    with pytest.raises(ConfigurationError, match="at least 5"):
        umap_map(vectors[:4])


# --- the page --------------------------------------------------------------------------------


def data_of(page: str) -> dict:
    (line,) = (line for line in page.splitlines() if line.startswith("const DATA = "))
    return json.loads(line.removeprefix("const DATA = ").removesuffix(";"))


def test_the_page_holds_all_it_shows_and_loads_nothing(db: Database, tmp_path: Path) -> None:
    fill(db, 10)

    page = exported(db, tmp_path).read_text("utf-8")

    data = data_of(page)
    assert data["skus"] == [f"s-{n}" for n in range(10)]
    assert data["note"] == "a note"
    kinds = data["fields"][0]
    assert kinds["name"] == "article type"
    assert kinds["values"] == ["Shirts", "Heels", "Ties"]
    assert kinds["counts"] == [6, 2, 2]
    assert [kinds["values"][code] for code in kinds["codes"]][:4] == [
        "Ties",
        "Shirts",
        "Shirts",
        "Heels",
    ]
    assert [len(data["maps"][0][axis]) for axis in "xy"] == [10, 10]
    assert not re.search(r"(src|href)=|https?://|url\(", page)
    assert "data:image/webp;base64," in page


def test_a_name_cannot_end_the_script(db: Database, tmp_path: Path) -> None:
    fill(db, 10)

    page = exported(db, tmp_path).read_text("utf-8")

    assert page.count("</script>") == 1
    assert data_of(page)["names"][0] == "Thing\t0 </script>"


# --- the command -----------------------------------------------------------------------------


def test_the_command_shows_a_real_catalogue_beside_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, usual_logs: None
) -> None:
    catalogue = tmp_path / "catalogue"
    (catalogue / "images").mkdir(parents=True)
    lines = ["id,articleType,productDisplayName"]
    for number in range(12):
        lines.append(f"{number},{KINDS[number % 3]},Garment {number}")
        garment(number).save(catalogue / "images" / f"{number}.jpg")
    (catalogue / "styles.csv").write_text("\n".join(lines) + "\n")
    monkeypatch.setenv("LOOKALIKE_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("LOOKALIKE_EMBEDDER", "mean-colour")
    run = CliRunner()
    assert run.invoke(app, ["import", str(catalogue)], catch_exceptions=False).exit_code == 0
    assert run.invoke(app, ["index"], catch_exceptions=False).exit_code == 0

    shown = run.invoke(
        app,
        ["projector", str(tmp_path / "out"), "--sample", "9", "--no-umap"],
        catch_exceptions=False,
    )

    assert shown.exit_code == 0, shown.output
    assert str(tmp_path / "out" / "scatter.html") in shown.stdout
    vectors = np.loadtxt(tmp_path / "out" / "vectors.tsv", delimiter="\t")
    assert vectors.shape == (9, load("mean-colour").size)
    page = (tmp_path / "out" / "scatter.html").read_text("utf-8")
    assert data_of(page)["fields"][0]["counts"] == [3, 3, 3]
    sprite = np.asarray(Image.open(tmp_path / "out" / "sprite.png"))
    assert (sprite != 211).any()

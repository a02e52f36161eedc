"""Fitting the PCA: the right directions, the same every time, never on a query."""

from __future__ import annotations

import csv
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import typer
from support.image_files import garment

from backend.catalogue.sources.feed import ImageFile
from backend.embedders import load
from backend.embedders.pca import Pca
from backend.errors import ConfigurationError
from backend.lab.training.pca import draw_images, fit, main


def cloud(spreads: list[float], count: int = 4000) -> np.ndarray:
    """Points around (3, 3, …) with these standard deviations along turned axes."""
    rng = np.random.default_rng(0)
    turn, _ = np.linalg.qr(rng.normal(size=(len(spreads), len(spreads))))
    points = rng.normal(size=(count, len(spreads))) * spreads @ turn.T + 3
    return points.astype(np.float32)


def test_the_directions_of_most_variance_are_kept() -> None:
    points = cloud([3, 2, 0.1, 0.1])

    mean, components, _ = fit(iter(np.split(points, 4)), size=2, whitening=0)

    assert mean == pytest.approx(3, abs=0.2)
    assert components.astype(float) @ components.T == pytest.approx(np.eye(2), abs=1e-2)
    kept = ((points - mean) @ components.T).std(axis=0)
    assert kept == pytest.approx([3, 2], rel=0.05)


@pytest.mark.parametrize(("whitening", "ratio"), [(0, 3 / 2), (0.5, (3 / 2) ** 0.5), (1, 1)])
def test_whitening_evens_the_variances_out(whitening: float, ratio: float) -> None:
    points = cloud([3, 2, 0.1])

    mean, components, _ = fit(iter([points]), size=2, whitening=whitening)

    first, second = ((points - mean) @ components.T).std(axis=0)
    assert first / second == pytest.approx(ratio, rel=0.05)


def test_a_second_fit_points_the_same_way() -> None:
    points = cloud([3, 2, 1])

    one = fit(iter([points]), size=3, whitening=0)
    other = fit(iter(np.split(points[::-1], 2)), size=3, whitening=0)

    assert np.abs(one.components.astype(float) - other.components).max() < 1e-3


def test_no_query_is_fitted_on() -> None:
    sources = [
        ImageFile(uri=str(n), size=1, mtime_ns=0, read=lambda most: b"") for n in range(10_050)
    ]
    queries = np.random.RandomState(0).permutation(10_050)[:10_000]

    chosen = draw_images(sources, queries=10_000, count=20, seed=0)

    assert len({source.uri for source in chosen}) == 20
    assert not {source.uri for source in chosen} & {str(number) for number in queries}


def test_axes_without_variance_are_left_out() -> None:
    """Evened out they would be infinite: the vectors of the embedder were no numbers."""
    points = cloud([3, 2, 1])[:, [0, 1, 2, 0]]

    fitted = fit(iter([points]), size=4, whitening=1)

    assert fitted.components.shape == (3, 4)
    assert np.isfinite(fitted.components.astype(float)).all()


def test_images_that_are_all_the_same_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="look the same"):
        fit(iter([np.ones((20, 4), np.float32)]), size=2, whitening=0.25)


def test_a_small_catalogue_is_told_to_leave_out_fewer_products(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    (tmp_path / "styles.csv").write_text("id\n1\n", "utf-8")
    garment(1).save(tmp_path / "images" / "1.jpg")
    command = [sys.executable, "-m", "backend.lab.training.pca", str(tmp_path)]

    ended = subprocess.run(
        [*command, "--out", str(tmp_path / "pca.npz"), "--features", "mean-colour"],
        capture_output=True,
        text=True,
        check=False,
    )

    assert ended.returncode == 1
    assert ended.stderr.startswith("the catalogue has 1 products with an image, and the first 10,0")


def test_the_command_makes_a_pca_that_the_embedder_takes(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    with (tmp_path / "styles.csv").open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["id", "gender", "articleType", "productDisplayName"])
        for number in range(40):
            table.writerow([number, "Women", "Shirts", f"Shirt {number}"])
            garment(number).save(tmp_path / "images" / f"{number}.jpg")
    out = tmp_path / "pca.npz"
    options = ["--out", str(out), "--size", "8", "--queries", "10", "--count", "25"]

    subprocess.run(
        [sys.executable, "-m", "backend.lab.training.pca", str(tmp_path), *options], check=True
    )

    provenance = Pca.load(out).provenance
    assert provenance["products"] == 25
    assert "--size 8 --whitening 0.25 --count 25 --queries 10 --seed 0" in provenance["command"]
    assert load(f"efficientnet-lite0?pca={out}&colour=0").size == 8


def test_any_embedder_can_have_a_pca_but_one_of_too_many_dimensions(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    with (tmp_path / "styles.csv").open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["id"])
        for number in range(12):
            table.writerow([number])
            garment(number).save(tmp_path / "images" / f"{number}.jpg")
    out = tmp_path / "pca.npz"
    small = "raw-pixels?height=8&width=6"
    options = {"out": out, "size": 4, "whitening": 0, "count": 12, "queries": 0, "seed": 0}

    main(tmp_path, features=small, **options)

    projected = load(f"{small}&pca={out}").embed([garment(number) for number in range(12)])
    assert projected.shape == (12, 4)
    assert Pca.load(out).provenance["features"] == small
    with pytest.raises(typer.BadParameter, match="8,192"):
        main(tmp_path, features="raw-pixels", **options)

"""Embedders: unit vectors in input order, the same for the same image however it is passed."""

from __future__ import annotations

import io
import subprocess
import sys
import threading
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw
from support.image_files import GARMENTS, garment

from backend import images
from backend.embedders import (
    CATALOGUE,
    Compute,
    Embedder,
    KeepsFeatures,
    TellsPhotographs,
    families,
    load,
)
from backend.embedders.checkpoint import Checkpoint
from backend.embedders.colour import colour_histograms
from backend.embedders.efficientnet_lite import SHIPPED_PCA
from backend.embedders.kept_features import SIZE
from backend.embedders.kept_rows import ROWS
from backend.embedders.pca import Pca
from backend.embedders.pixels import normalise, to_pixels
from backend.embedders.tuned import SHIPPED as SHIPPED_NETWORK
from backend.errors import UnknownEmbedder, WeightsUnavailable
from backend.lab.training.model_card import readable
from backend.settings import Settings

SPECS = (
    "lookalike-fashion",
    "lookalike-fashion?start=0",
    "mean-colour",
    "raw-pixels",
    "raw-pixels?height=28&width=28&grey=yes",
    "colour-histogram",
    "efficientnet-lite0",
    "efficientnet-lite0?colour=0&whitening=1",
    "torchvision/resnet18?weights=random&pool=max",
)


def png(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


@cache
def loaded(spec: str, precision: str = "auto") -> Embedder:
    return load(spec, compute=Compute(device="cpu", precision=precision))


# --- every embedder ------------------------------------------------------------------------


@pytest.mark.parametrize("spec", SPECS)
def test_vectors_are_unit_vectors_in_input_order(spec: str) -> None:
    embedder = loaded(spec)

    vectors = embedder.embed(GARMENTS)

    assert vectors.shape == (12, embedder.size)
    assert vectors.dtype == np.float32
    assert np.linalg.norm(vectors, axis=1) == pytest.approx(1, abs=1e-5)
    backwards = embedder.embed(GARMENTS[::-1])
    assert (vectors * backwards[::-1]).sum(axis=1).min() >= 0.9999


@pytest.mark.parametrize("spec", SPECS)
def test_blocks_cover_the_vector_and_have_the_same_length_in_every_vector(spec: str) -> None:
    embedder = loaded(spec)
    black = Image.new("RGB", (60, 80))
    white = Image.new("RGB", (60, 80), "white")
    vectors = embedder.embed([*GARMENTS, black, white]).astype(np.float16).astype(np.float32)

    starts = [block.start for block in embedder.blocks]
    stops = [block.stop for block in embedder.blocks]
    if embedder.blocks:
        assert [0, *stops] == [*starts, embedder.size]
    for block in embedder.blocks:
        lengths = np.linalg.norm(vectors[:, block.start : block.stop], axis=1)
        assert lengths == pytest.approx(lengths.mean(), abs=1e-3)


def test_the_blocks_of_each_kind_of_embedder() -> None:
    def lengths_of(spec: str) -> dict[str, tuple[int, float]]:
        embedder = loaded(spec)
        vector = embedder.embed(GARMENTS[:1])[0]
        return {
            name: (stop - start, pytest.approx(float(np.linalg.norm(vector[start:stop])), abs=1e-5))
            for name, start, stop in embedder.blocks
        }

    assert lengths_of("efficientnet-lite0") == {
        "look": (256, 0.85**0.5),
        "colour": (128, 0.15**0.5),
    }
    assert lengths_of("efficientnet-lite0?colour=0") == {}
    assert lengths_of("lookalike-fashion") == {}  # how long its parts are depends on the image
    assert lengths_of("mean-colour") == {}


@pytest.mark.parametrize("spec", SPECS)
def test_a_vector_does_not_depend_on_the_batch_it_was_made_in(spec: str) -> None:
    together = loaded(spec).embed(GARMENTS)
    alone = np.concatenate([loaded(spec).embed([image]) for image in GARMENTS])

    assert (together * alone).sum(axis=1).min() >= 0.9999


@pytest.mark.parametrize("spec", SPECS)
def test_a_decoders_image_gives_the_same_vector_as_the_original(spec: str) -> None:
    embedder = loaded(spec)
    data = [png(image) for image in GARMENTS[:3]]
    limits = images.ImageLimits()

    original = embedder.embed([images.decode(one, limits=limits) for one in data])
    target = embedder.input_size
    shrunk = embedder.embed([images.decode(one, limits=limits, target=target) for one in data])

    assert np.array_equal(original, shrunk)


@pytest.mark.parametrize("spec", SPECS)
def test_threads_may_share_an_embedder(spec: str) -> None:
    embedder = loaded(spec)
    expected = embedder.embed(GARMENTS)
    found: dict[int, np.ndarray] = {}
    threads = [
        threading.Thread(target=lambda n=n: found.update({n: embedder.embed(GARMENTS[n::4])}))
        for n in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    for n in range(4):
        assert (found[n] * expected[n::4]).sum(axis=1).min() >= 0.9999


@pytest.mark.parametrize("spec", SPECS)
def test_odd_shown_imageshave_vectors_too(spec: str) -> None:
    embedder = loaded(spec)
    odd = [
        Image.new("RGB", (60, 80), "black"),
        Image.new("RGB", (60, 80), "white"),
        Image.new("L", (8, 8), 7),
        Image.new("RGB", (600, 30)),
    ]

    vectors = embedder.embed(odd)

    assert np.isfinite(vectors).all()
    assert np.linalg.norm(vectors, axis=1) == pytest.approx(1, abs=1e-5)
    assert embedder.embed([]).shape == (0, embedder.size)


@pytest.mark.parametrize("spec", SPECS)
def test_the_full_name_loads_the_same_embedder(spec: str) -> None:
    assert load(loaded(spec).name).fingerprint == loaded(spec).fingerprint


@pytest.mark.parametrize(
    ("spec", "reason"),
    [
        ("efficientnet", "there are: .*efficientnet-lite0, .*mean-colour, "),
        ("Lookalike-Block?a=b", "The nearest is lookalike-blocks"),
        ("mean-colour?size=3", "no option 'size'; it has: grid"),
        ("mean-colour?grid=99", "grid=16"),
        ("mean-colour/large", "no variant"),
        ("efficientnet-lite0/large", "no variant 'large'"),
        ("efficientnet-lite0?pool=sum", "allowed are avg, max"),
        ("efficientnet-lite0?colour=1", "from 0 to below 1"),
        ("efficientnet-lite0?colour=red", "from 0 to below 1"),
        ("efficientnet-lite0?pool=max&pca=256", "add pca=none"),
        ("efficientnet-lite0?whitening=2", "from 0 to"),
        ("efficientnet-lite0?pca=none&whitening=1", "no PCA to whiten"),
        ("raw-pixels?height=0", "1 to 256"),
        ("raw-pixels?grey=1", "allowed are yes, no"),
        ("colour-histogram?bins=9", "it has: none"),
        ("colour-histogram/hsv", "no variant"),
        ("torchvision/lenet", "it has: alexnet"),
        ("torchvision/vit_b_16", "no CNN"),
        ("torchvision/resnet18?weights=random&seed=-1", "whole number"),
    ],
)
def test_a_spec_that_means_nothing_is_refused_with_what_is_allowed(spec: str, reason: str) -> None:
    with pytest.raises(UnknownEmbedder, match=reason):
        load(spec)


def test_naming_the_families_and_embedding_colours_imports_no_torch() -> None:
    program = (
        "import sys; from backend.embedders import families, load; families();"
        "[load(name) for name in ('mean-colour', 'raw-pixels', 'colour-histogram')];"
        "print('torch' in sys.modules)"
    )
    told = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)

    assert told.stdout.strip() == b"False"
    assert families() == sorted(families())
    assert {"colour-histogram", "efficientnet-lite0", "raw-pixels"} <= set(families())


# --- the parts -----------------------------------------------------------------------------


def test_the_mean_colour_of_a_cell_is_its_mean_colour() -> None:
    half = Image.new("RGB", (60, 80), (255, 0, 0))
    half.paste((0, 0, 255), (0, 40, 60, 80))

    vector = load("mean-colour?grid=2").embed([half])[0]

    vector /= vector[-1]
    assert vector[:12] == pytest.approx([1, 0, 0] * 2 + [0, 0, 1] * 2, abs=0.03)


def test_raw_pixels_are_the_pixels_row_by_row() -> None:
    image = garment(3).resize((6, 8))

    coloured = load("raw-pixels?height=8&width=6").embed([image])[0]
    grey = load("raw-pixels?height=8&width=6&grey=yes").embed([image])[0]

    pixels = np.asarray(image, float)
    assert coloured / coloured[0] == pytest.approx(pixels.ravel() / pixels[0, 0, 0], rel=1e-4)
    luma = np.asarray(image.convert("L"), float).ravel()
    assert grey @ luma / np.linalg.norm(luma) == pytest.approx(1, abs=1e-4)


def test_the_shipped_pca_can_be_plain_or_whitened() -> None:
    shipped = Pca.load(SHIPPED_PCA)
    plain, white = (shipped.whitened(strength).components.astype(float) for strength in (0, 1))

    assert plain @ plain.T == pytest.approx(np.eye(256), abs=2e-3)
    assert np.array_equal(shipped.whitened(0.25).components, shipped.components)
    assert (plain * white).sum(axis=1) ** 2 * shipped.variances == pytest.approx(1, rel=5e-3)


def test_a_pca_of_other_features_is_refused(tmp_path: Path) -> None:
    half = np.float16
    pca = Pca(mean=np.zeros(5, half), components=np.eye(2, 5, dtype=half), provenance={})
    pca.save(tmp_path / "pca.npz")

    for spec in ("efficientnet-lite0", "raw-pixels", "torchvision/resnet18"):
        random = "weights=random&" if "/" in spec else ""
        with pytest.raises(WeightsUnavailable, match="fitted on 5 features"):
            load(f"{spec}?{random}pca={tmp_path / 'pca.npz'}")
    with pytest.raises(UnknownEmbedder, match="fit it again"):
        load(f"raw-pixels?whitening=1&pca={tmp_path / 'pca.npz'}")


def test_a_pca_of_raw_pixels_is_part_of_their_fingerprint(tmp_path: Path) -> None:
    def fitted(first: int) -> str:
        pca = Pca(
            mean=np.zeros(12, np.float16),
            components=np.roll(np.eye(3, 12, dtype=np.float16), first, axis=1),
            provenance={},
        )
        pca.save(tmp_path / f"{first}.npz")
        return f"raw-pixels?height=2&width=2&pca={tmp_path / f'{first}.npz'}"

    one, other = load(fitted(0)), load(fitted(1))

    assert one.embed(GARMENTS).shape == (12, 3)
    assert one.fingerprint != other.fingerprint
    assert load(one.name).fingerprint == one.fingerprint


def test_a_row_of_zeros_is_normalised_to_something() -> None:
    assert normalise(np.zeros((1, 4), np.float32)) == pytest.approx(0.5)


def test_colours_are_told_apart_and_the_background_is_not_seen() -> None:
    def shown(colour: str, background: str = "white", width: int = 60) -> Image.Image:
        image = Image.new("RGB", (180, 240), background)
        image.paste(colour, (90 - width, 40, 90 + width, 200))
        return image

    shown_images = [
        shown("red"),
        shown("red", width=40),
        shown("blue"),
        shown("white"),
        shown("#777"),
    ]
    vectors = colour_histograms(to_pixels(shown_images, (224, 168)))
    likeness = vectors @ vectors.T

    assert np.diag(likeness) == pytest.approx(1, abs=1e-5)
    assert likeness[0, 1] > 0.9
    off = likeness[np.ix_([0, 2, 3, 4], [0, 2, 3, 4])] - np.eye(4)
    assert off.max() < 0.3


def test_two_reds_on_either_side_of_hue_zero_are_alike() -> None:
    reds = [Image.new("RGB", (60, 80), colour) for colour in ((220, 8, 0), (220, 0, 8))]
    vectors = colour_histograms(to_pixels(reds, (224, 168)))

    assert vectors[0] @ vectors[1] == pytest.approx(1, abs=1e-5)


def test_the_share_of_colour_is_its_share_in_the_cosine() -> None:
    plain = loaded("efficientnet-lite0?colour=0").embed(GARMENTS)
    colours = colour_histograms(to_pixels(GARMENTS, (224, 168)))
    mixed = load("efficientnet-lite0?colour=0.3", compute=Compute(device="cpu")).embed(GARMENTS)

    expected = 0.7 * plain @ plain.T + 0.3 * colours @ colours.T
    assert mixed @ mixed.T == pytest.approx(expected, abs=1e-4)


def test_a_pca_survives_its_file(tmp_path: Path) -> None:
    half = np.float16
    pca = Pca(
        mean=np.arange(4, dtype=half), components=np.eye(2, 4, dtype=half), provenance={"a": 1}
    )
    pca.save(tmp_path / "pca.npz")

    read = Pca.load(tmp_path / "pca.npz")

    assert read.provenance == {"a": 1}
    projected = read.project(np.float32([[5, 5, 5, 5]]))
    assert projected == pytest.approx(np.array([[5, 4]]))


def test_an_unreadable_pca_is_named(tmp_path: Path) -> None:
    (tmp_path / "pca.npz").write_bytes(b"not a zip")

    for path in ("absent.npz", "pca.npz"):
        with pytest.raises(WeightsUnavailable, match=path):
            load(f"efficientnet-lite0?pca={tmp_path / path}")


# --- photographs ---------------------------------------------------------------------------


def test_a_catalogue_image_as_a_query_has_the_vector_of_its_product() -> None:
    embedder = loaded("lookalike-blocks")
    assert isinstance(embedder, TellsPhotographs)
    found = embedder.embed_query(GARMENTS[0])
    assert found.kind == CATALOGUE
    assert (found.vector @ embedder.embed(GARMENTS[:1])[0]).item() > 0.9999


def test_the_layers_that_find_regions_change_no_vector_so_no_index_is_made_again() -> None:
    before_them = "048fdb9fa1d579d9f7dd8db224fabf240b71b6830738cc3b2b3c0120a935a06b"
    assert loaded("lookalike-blocks").fingerprint == before_them


def test_rows_of_an_image_tell_where_on_a_garment_something_is() -> None:
    embedder = loaded("lookalike-blocks")
    assert isinstance(embedder, KeepsFeatures)
    plain, striped = (
        Image.new("RGB", (168, 224), "#808890"),
        Image.new("RGB", (168, 224), "#808890"),
    )
    draw = ImageDraw.Draw(striped)
    for y in range(190, 224, 6):
        draw.line([(0, y), (168, y)], "#ffe000", width=3)
    one, other = embedder.extract([plain, striped])[:, SIZE:].reshape(2, ROWS, -1)
    moved = np.linalg.norm(one - other, axis=1)
    assert moved.argmax() == ROWS - 1
    assert moved[-1] > 1.5 * moved[0]


@pytest.mark.parametrize("at", [(10, 20), (150, 200)], ids=["upper left", "lower right"])
def test_a_garment_that_is_not_the_whole_image_is_found_where_it_lies(at: tuple[int, int]) -> None:
    embedder = loaded("lookalike-blocks")
    assert isinstance(embedder, TellsPhotographs)
    (x, y), (width, height) = at, (160, 220)
    outline = [(0.3, 0), (0.7, 0), (1, 0.3), (0.8, 0.4), (0.8, 1), (0.2, 1), (0.2, 0.4), (0, 0.3)]
    image = Image.new("RGB", (336, 448), "#c8b090")
    points = [(x + across * width, y + down * height) for across, down in outline]
    ImageDraw.Draw(image).polygon(points, fill="#203060")
    (first, *_) = embedder.embed_query(image).regions
    left, top, right, bottom = first.box
    assert (left + right) / 2 == pytest.approx((x + width / 2) / 336, abs=0.12)
    assert (top + bottom) / 2 == pytest.approx((y + height / 2) / 448, abs=0.12)


# --- fingerprints --------------------------------------------------------------------------


@pytest.mark.parametrize("spec", ["lookalike-fashion", "efficientnet-lite0"])
def test_device_and_precision_leave_the_fingerprint_and_nearly_the_vector_alone(spec: str) -> None:
    exact, fast = loaded(spec, "fp32"), loaded(spec, "bf16")

    assert exact.fingerprint == fast.fingerprint
    assert (exact.embed(GARMENTS) * fast.embed(GARMENTS)).sum(axis=1).min() >= 0.999


@pytest.mark.slow
def test_whatever_changes_the_vector_changes_the_fingerprint(tmp_path: Path) -> None:
    shipped = Pca.load(Path(sys.modules["backend.embedders"].__path__[0], "data", SHIPPED))
    other = Pca(mean=shipped.mean, components=shipped.components[::-1], provenance={})
    other.save(tmp_path / "other.npz")
    specs = [
        "lookalike-fashion",
        "lookalike-fashion?start=0",
        "lookalike-fashion?start=0.1",
        "efficientnet-lite0",
        "efficientnet-lite0?colour=0.2",
        "efficientnet-lite0?colour=0",
        "efficientnet-lite0?pca=none",
        "efficientnet-lite0?whitening=0",
        "efficientnet-lite0?pool=max",
        f"efficientnet-lite0?pca={tmp_path / 'other.npz'}",
        "torchvision/resnet18?weights=random",
        "torchvision/resnet18?weights=random&seed=1",
        "torchvision/resnet18?weights=random&pool=max",
        "mean-colour",
        "mean-colour?grid=5",
    ]

    fingerprints = [load(spec).fingerprint for spec in specs]

    assert len(set(fingerprints)) == len(specs)
    assert all(len(one) == 64 for one in fingerprints)


SHIPPED = "efficientnet-lite0-pca256.npz"


def test_the_shipped_network_is_small_and_tells_how_it_was_made() -> None:
    checkpoint = Checkpoint.load(SHIPPED_NETWORK)

    assert SHIPPED_NETWORK.stat().st_size < 15_000_000
    assert all(array.dtype == np.float16 for array in checkpoint.tail.values())
    assert all(one.startswith("lookalike train finetune") for one in checkpoint.card["commands"])
    page = SHIPPED_NETWORK.with_name("MODEL-CARD.md").read_text("utf-8")
    _, told = readable(checkpoint.card).split("\n", 1)  # the shipped page has a title of its own
    assert told in page
    assert f"`{loaded('lookalike-fashion').name}`" in page


def test_the_shipped_pca_is_small_and_tells_how_it_was_made() -> None:
    path = Path(sys.modules["backend.embedders"].__path__[0], "data", SHIPPED)
    pca = Pca.load(path)

    assert path.stat().st_size < 1_000_000
    assert pca.components.shape == (256, 1280)
    assert pca.components.dtype == np.float16
    assert pca.provenance["command"].startswith("python -m backend.training.pca")  # its name then
    assert pca.provenance["products"] == 20_000


def test_the_default_fits_into_512_dimensions() -> None:
    assert loaded(Settings.model_fields["embedder"].default).size == 512


@pytest.fixture(autouse=True, scope="module")
def _forget_embedders() -> Iterator[None]:
    yield
    loaded.cache_clear()

"""Tuning to a catalogue's labels, from the first image to the embedder, killed and not."""

from __future__ import annotations

import inspect
import json
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from support.drawn_products import TINY, Window, training_context
from support.places import ROOT, TESTS
from torch import fx, nn
from typer.testing import CliRunner

from backend import cli
from backend.cli.train_finetune import finetune as command
from backend.cli.train_finetune import parse_aims
from backend.embedders import Compute, load
from backend.embedders.backbones import load_backbone
from backend.embedders.batch_norms import fold_batch_norms
from backend.embedders.checkpoint import Checkpoint
from backend.embedders.weights import read_tensors
from backend.errors import ConfigurationError, UnknownEmbedder, WeightsUnavailable
from backend.lab.evaluation.labels import CatalogueProduct
from backend.lab.training.feature_cache import FeatureCache, FrozenStem, make_view
from backend.lab.training.finetuning import finetune
from backend.lab.training.hardware import Hardware
from backend.lab.training.objective import Aim
from backend.lab.training.tuning_data import label_and_split, prepare_data
from backend.lab.training.tuning_recipe import CHECKPOINT, TuningRecipe
from backend.lab.training.tuning_run import TUNED
from backend.lab.training.validation import Validator
from backend.settings import Settings
from sample_catalogue import make_sample

pytestmark = pytest.mark.slow

PRODUCTS = 72
GENEROUS_SECONDS = 150


@pytest.fixture(scope="module")
def window() -> Window:
    return Window(PRODUCTS)


@pytest.fixture(scope="module")
def tuned(tmp_path_factory: pytest.TempPathFactory, window: Window) -> Path:
    """The folder of a whole run."""
    folder = tmp_path_factory.mktemp("tuned")
    finetune(training_context(folder, window), TINY)
    return folder


def weights_of(folder: Path) -> dict[str, np.ndarray]:
    with np.load(folder / TUNED) as file:
        return {name: file[name] for name in file.files if name != "about"}


def images_of(window: Window, count: int = 12) -> list[Image.Image]:
    uris = [product.uri for product in window.products[:count]]
    return [one.image for one in window.open(uris, (80, 60))]  # type: ignore[union-attr]


# --- what comes out ------------------------------------------------------------------------


def test_a_run_leaves_an_embedder_its_card_and_its_curves(tuned: Path, window: Window) -> None:
    embedder = load(f"tuned?weights={tuned / TUNED}")

    vectors = embedder.embed(images_of(window))
    card = json.loads((tuned / "card.json").read_text())

    assert vectors.shape == (12, embedder.size)
    assert embedder.input_size == (64, 48)
    assert np.linalg.norm(vectors, axis=1) == pytest.approx(1, abs=1e-5)
    assert (tuned / TUNED).stat().st_size < 15_000_000
    assert len(card["epochs"]) == 2
    assert sum(card["data"].values()) == PRODUCTS
    assert "lookalike train finetune" in (tuned / "MODEL-CARD.md").read_text()
    with Image.open(tuned / "curves.png") as curves:
        assert curves.height > 240
    assert Checkpoint.load(tuned / TUNED).card["scores"] == card["scores"]


def test_the_embedder_scores_what_validation_has_said(tuned: Path, window: Window) -> None:
    card = json.loads((tuned / "card.json").read_text())
    parts, labels = label_and_split(window.products, TINY)
    starting = np.load(next(tuned.glob("cache/*/starting.npy")))
    data = prepare_data(parts, labels, starting, TINY)
    uris = [window.products[row].uri for row in data.validation]
    opened = [one.image for one in window.open(uris, (64, 48))]  # type: ignore[union-attr]

    vectors = load(f"tuned?weights={tuned / TUNED}").embed(opened)

    found = Validator(data, labels).scores(vectors)
    for group, by_label in card["scores"].items():
        assert found[group] == pytest.approx(by_label, abs=0.03)


def test_it_learns_what_it_is_shown(tuned: Path) -> None:
    first, last = json.loads((tuned / "card.json").read_text())["epochs"]

    assert last["losses"]["article_type"] < first["losses"]["article_type"]


def test_tuning_changes_the_tail_and_leaves_the_stem(tuned: Path) -> None:
    tail = Checkpoint.load(tuned / TUNED).tail
    _, before = load_backbone("efficientnet-lite0", input_size=(64, 48)).split("blocks.4")
    fold_batch_norms(before)

    untouched = {
        name for name, tensor in before.state_dict().items()
        if np.array_equal(tensor.half().numpy(), tail[name])
    }  # fmt: skip
    assert {name.split(".")[1] for name in tail if name.startswith("blocks.")} == {"4", "5", "6"}
    assert not untouched


# --- interrupted ---------------------------------------------------------------------------


class Interrupted(Exception):
    pass


def interrupting(what: str, at: int) -> Callable[..., object]:
    """A progress bar that ends the run."""

    @contextmanager
    def watch(title: str) -> Iterator[Callable[[int, int], None]]:
        def report(done: int, total: int) -> None:
            if what in title and done >= at:
                raise Interrupted

        yield report

    return watch


@pytest.mark.slow
def test_an_interrupted_run_ends_as_if_it_had_not_been(
    tmp_path: Path, tuned: Path, window: Window
) -> None:
    for what, at in (("Features, view 1", 1), ("Epoch 1", 32), ("Validation", 1), ("Epoch 2", 16)):
        context = training_context(tmp_path, window, watch=interrupting(what, at), save_seconds=0)
        with pytest.raises(Interrupted):
            finetune(context, TINY)

    finetune(training_context(tmp_path, window), TINY)

    ours, theirs = weights_of(tmp_path), weights_of(tuned)
    assert ours.keys() == theirs.keys()
    assert all(np.array_equal(ours[name], theirs[name]) for name in ours)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_killed_run_ends_as_if_it_had_not_been(
    tmp_path: Path, tuned: Path, window: Window
) -> None:
    script = (
        "import sys; from pathlib import Path\n"
        f"sys.path[:0] = [{str(TESTS)!r}, {str(ROOT / 'examples')!r}]\n"
        "from support.drawn_products import TINY, Window, training_context\n"
        "from backend.lab.training.finetuning import finetune\n"
        f"folder, window = Path({str(tmp_path)!r}), Window({PRODUCTS})\n"
        "finetune(training_context(folder, window, save_seconds=0), TINY)\n"
    )
    for _ in range(2):
        process = subprocess.Popen([sys.executable, "-c", script])
        before = _written(tmp_path)
        deadline = time.monotonic() + GENEROUS_SECONDS
        while _written(tmp_path) in (0, before) and time.monotonic() < deadline:
            time.sleep(0.02)
        process.send_signal(signal.SIGKILL)
        process.wait()

    subprocess.run([sys.executable, "-c", script], check=True)

    ours, theirs = weights_of(tmp_path), weights_of(tuned)
    assert all(np.array_equal(ours[name], theirs[name]) for name in theirs)


def _written(folder: Path) -> int:
    try:
        return (folder / CHECKPOINT).stat().st_mtime_ns
    except FileNotFoundError:
        return 0


def test_a_finished_run_is_left_as_it_is(tuned: Path, window: Window) -> None:
    before = (tuned / TUNED).read_bytes()

    history = finetune(training_context(tuned, window), TINY)

    assert len(history) == 2
    assert (tuned / TUNED).read_bytes() == before


def test_a_folder_keeps_to_its_recipe(tuned: Path, window: Window) -> None:
    with pytest.raises(ConfigurationError, match="epochs 2, not 3"):
        finetune(training_context(tuned, window), replace(TINY, epochs=3))


def test_a_run_stays_with_the_products_it_began_with(tuned: Path, window: Window) -> None:
    def sold_out() -> list[CatalogueProduct]:
        raise AssertionError("the catalogue was read again")

    assert len(finetune(training_context(tuned, window, read_products=sold_out), TINY)) == 2


def test_a_disk_that_is_too_small_is_refused_in_time(
    tmp_path: Path, window: Window, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("backend.lab.training.feature_cache.DISK_LEFT", 10**18)

    with pytest.raises(ConfigurationError, match="GB are free"):
        finetune(training_context(tmp_path, window), TINY)


def small_cache(folder: Path, window: Window) -> FeatureCache:
    """Features of three products by layers that take no time."""
    torch.manual_seed(0)
    stem, tail = (fx.symbolic_trace(nn.Sequential(nn.Conv2d(n, 4, 1, stride=2))) for n in (3, 4))
    frozen = FrozenStem(
        stem,
        tail,
        mean=(127, 127, 127),
        std=(128, 128, 128),
        bf16_from="",
        hardware=Hardware.of(Compute(device="cpu", precision="fp32")),
    )
    return FeatureCache(
        folder,
        frozen,
        window.products[:3],
        fingerprint="small",
        input_size=(16, 12),
        open_images=window.open,
    )


def test_features_are_computed_again_where_a_full_disk_has_lost_their_number(
    tmp_path: Path, window: Window
) -> None:
    rows = np.arange(3)
    small_cache(tmp_path, window).fill(0, rows, report=lambda done, total: None)
    (progress,) = tmp_path.glob("*/*.done")
    progress.write_text("")

    told: list[int] = []
    small_cache(tmp_path, window).fill(0, rows, report=lambda done, total: told.append(done))

    assert told == [0, 3]


def test_a_damaged_state_is_refused(tuned: Path, tmp_path: Path, window: Window) -> None:
    run = shutil.copytree(tuned, tmp_path / "run")
    (run / CHECKPOINT).write_bytes(b"half of it")

    with pytest.raises(WeightsUnavailable, match="not a readable state"):
        finetune(training_context(run, window), TINY)


def test_it_ends_early_when_nothing_gets_better(tmp_path: Path, window: Window) -> None:
    standing = replace(TINY, epochs=6, patience=1, tail_rate=0, head_rate=0, views=1)

    assert len(finetune(training_context(tmp_path, window), standing)) == 2


# --- a second schedule -----------------------------------------------------------------------


def test_a_run_goes_on_from_another_ones_weights(
    tuned: Path, tmp_path: Path, window: Window
) -> None:
    aims = (*TINY.aims[::-1], Aim(by="gender+article_type", weight=1))
    standing = replace(TINY, after=str(tuned), aims=TINY.aims[:1] + aims, epochs=1, views=1,
                       tail_rate=0, head_rate=0)  # fmt: skip

    finetune(training_context(tmp_path, window), standing)

    ours, theirs = (read_tensors(folder / CHECKPOINT) for folder in (tmp_path, tuned))
    tail = [name for name in theirs["averaged"] if ".tail." in name]
    assert tail
    assert all(torch.equal(ours["averaged"][name], theirs["averaged"][name]) for name in tail)
    directions = [ours["objective"][f"directions.{i}"] for i in (0, 1, 2)]
    for one, place in zip(directions, (0, 1, 0), strict=True):  # by their labels, wherever they are
        assert torch.equal(one, theirs["objective"][f"directions.{place}"])
    assert not (tmp_path / "cache").exists()
    commands = Checkpoint.load(tmp_path / TUNED).card["commands"]
    assert len(commands) == 2
    assert (tmp_path / "MODEL-CARD.md").read_text().count("    lookalike train finetune") == 2


@pytest.mark.parametrize(
    ("other", "reason"),
    [({"held_out": 0.1}, "held_out 0.25, not 0.1"), ({"size": 16}, "size 32"),
     ({"after": "nowhere"}, "no run to start from")],
)  # fmt: skip
def test_a_run_of_another_kind_cannot_be_gone_on_from(
    tuned: Path, tmp_path: Path, window: Window, other: dict, reason: str
) -> None:
    with pytest.raises(ConfigurationError, match=reason):
        finetune(training_context(tmp_path, window), replace(TINY, **{"after": str(tuned)} | other))

    assert not list(tmp_path.iterdir())


# --- odd catalogues and networks -----------------------------------------------------------


def test_an_image_that_cannot_be_decoded_is_left_out(tmp_path: Path, window: Window) -> None:
    broken = [replace(product, uri="broken") for product in window.products[:2]]
    said: list[str] = []
    products = [*broken, *window.products[2:]]
    context = training_context(
        tmp_path,
        window,
        read_products=lambda: products,
        print_line=said.append,
        watch=interrupting("Epoch 1", 0),
    )

    with pytest.raises(Interrupted):
        finetune(context, replace(TINY, epochs=1, views=1))

    assert "2 without a usable image" in said[0]


def test_a_residual_network_can_be_tuned_too(tmp_path: Path, window: Window) -> None:
    recipe = replace(
        TINY,
        backbone="torchvision/resnet18?weights=random",
        near_duplicate=2,  # to a random network everything looks alike
        epochs=1,
        views=1,
    )

    finetune(training_context(tmp_path, window), recipe)

    embedder = load(f"tuned?weights={tmp_path / TUNED}&start=0")
    assert embedder.embed(images_of(window)).shape == (12, 32)


def test_nothing_held_out_means_nothing_to_judge_by(tmp_path: Path, window: Window) -> None:
    recipe = replace(TINY, held_out=0, unseen=(), views=1, patience=1)

    history = finetune(training_context(tmp_path, window), recipe)

    assert [entry["scores"] for entry in history] == [{}, {}]
    assert Checkpoint.load(tmp_path / TUNED).card["best_epoch"] == 2
    assert "Nothing was held out" in (tmp_path / "MODEL-CARD.md").read_text()


def test_views_are_small_crops_and_the_same_every_time() -> None:
    image = images_of(Window(4), 1)[0]

    whole, one, again, other = (make_view(image, view, name="a") for view in (0, 1, 1, 2))

    assert whole is image
    assert one.size == image.size
    assert np.array_equal(np.asarray(one), np.asarray(again))
    assert not np.array_equal(np.asarray(one), np.asarray(other))


# --- the embedder --------------------------------------------------------------------------


def test_the_fingerprint_tells_weights_and_shares_apart(tuned: Path, tmp_path: Path) -> None:
    checkpoint = Checkpoint.load(tuned / TUNED)
    head = checkpoint.head.copy()
    head[0, 0] += 1
    replace(checkpoint, head=head).save(tmp_path / "other.npz")
    specs = [tuned / TUNED, f"{tuned / TUNED}&start=0", f"{tuned / TUNED}&start=1",
             tmp_path / "other.npz"]  # fmt: skip

    prints = {load(f"tuned?weights={spec}").fingerprint for spec in specs}

    assert len(prints) == 4
    again = load(f"tuned?weights={tuned / TUNED}", compute=Compute(precision="fp32"))
    assert again.fingerprint in prints


def test_the_shipped_network_is_loaded_by_its_own_name(
    tuned: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("backend.embedders.tuned.SHIPPED", tuned / TUNED)

    shipped, same = load("lookalike-fashion"), load(f"tuned?weights={tuned / TUNED}")

    assert shipped.fingerprint == same.fingerprint
    assert load(shipped.name).fingerprint == shipped.fingerprint


def test_the_name_loads_the_same_again(tuned: Path) -> None:
    embedder = load(f"tuned?weights={tuned / TUNED}&start=0.5")

    assert load(embedder.name).fingerprint == embedder.fingerprint


def test_bf16_gives_the_vectors_of_fp32(tuned: Path, window: Window) -> None:
    fast, exact = (
        load(f"tuned?weights={tuned / TUNED}", compute=Compute(device="cpu", precision=precision))
        for precision in ("bf16", "fp32")
    )
    shown = images_of(window, 40)

    cosines = (fast.embed(shown) * exact.embed(shown)).sum(axis=1)

    assert cosines.min() > 0.998


@pytest.mark.parametrize(
    ("spec", "error", "reason"),
    [
        ("tuned?weights=nowhere.npz", WeightsUnavailable, "no usable checkpoint"),
        ("tuned/variant?weights=nowhere.npz", UnknownEmbedder, "no variant"),
        ("lookalike-fashion/large", UnknownEmbedder, "no variant"),
    ],
)
def test_what_cannot_be_loaded_says_why(spec: str, error: type[Exception], reason: str) -> None:
    with pytest.raises(error, match=reason):
        load(spec)


def test_an_impossible_share_is_refused(tuned: Path) -> None:
    with pytest.raises(UnknownEmbedder, match="start=-1"):
        load(f"tuned?weights={tuned / TUNED}&start=-1")


def test_a_checkpoint_of_another_network_is_refused(tuned: Path, tmp_path: Path) -> None:
    checkpoint = Checkpoint.load(tuned / TUNED)
    replace(checkpoint, tune_from="blocks.5").save(tmp_path / "wrong.npz")

    with pytest.raises(WeightsUnavailable, match="does not fit efficientnet-lite0"):
        load(f"tuned?weights={tmp_path / 'wrong.npz'}")


# --- the command ---------------------------------------------------------------------------


def test_the_command_tunes_to_a_catalogue_in_sql(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, usual_logs: None, tmp_path: Path
) -> None:
    monkeypatch.setenv("LOOKALIKE_DATA_DIR", str(settings.data_dir))
    make_sample(tmp_path / "sample", products=50)
    run = CliRunner().invoke
    assert run(cli.app, ["import", str(tmp_path / "sample")]).exit_code == 0

    options = ["--labels", "article_type,gender:0.5", "--joint", "gender+article_type:2",
               "--input-size", "64x48", "--epochs", "1", "--views", "1", "--batch-size", "16",
               "--held-out", "0.2", "--unseen", "Jeans"]  # fmt: skip
    ran = run(cli.app, ["train", "finetune", str(tmp_path / "run"), *options])

    assert ran.exit_code == 0, ran.output
    assert f"tuned?weights={tmp_path / 'run' / TUNED}" in ran.output
    recipe = json.loads((tmp_path / "run" / "recipe.json").read_text())
    assert [aim["by"] for aim in recipe["aims"]] == [
        "article_type",
        "gender",
        "gender+article_type",
    ]
    assert recipe["unseen"] == ["Jeans"]


@pytest.mark.parametrize(
    "options",
    [
        ["--labels", "article_type:much"],
        ["--labels", "base_colour+article_type"],
        ["--input-size", "big"],
    ],
)
def test_a_senseless_option_is_refused(
    options: list[str], settings: Settings, monkeypatch: pytest.MonkeyPatch, usual_logs: None
) -> None:
    monkeypatch.setenv("LOOKALIKE_DATA_DIR", str(settings.data_dir))

    assert CliRunner().invoke(cli.app, ["train", "finetune", "run", *options]).exit_code == 2


def test_the_defaults_are_those_of_the_recipe() -> None:
    given = {name: one.default for name, one in inspect.signature(command).parameters.items()}
    ours = TuningRecipe()

    assert parse_aims(given["labels"], given["joint"]) == ours.aims
    same = ("epochs", "head_epochs", "patience", "views", "batch_size", "held_out",
            "near_duplicate", "start_weight", "seed")  # fmt: skip
    assert {name: given[name] for name in same} == {name: getattr(ours, name) for name in same}
    assert given["start"] == ours.backbone

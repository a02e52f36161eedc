"""The autoencoder: its geometry, its training, interrupted and not, and what embeds with it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from support.image_files import GARMENTS, garment
from torch import nn
from typer.testing import CliRunner

from backend import cli
from backend.embedders import Compute, load
from backend.embedders.autoencoder import Autoencoder, model_file, read_model
from backend.errors import ConfigurationError, ImageError, UnknownEmbedder, WeightsUnavailable
from backend.images.decode import Size
from backend.images.decoder_pool import Decoded, DecoderPool
from backend.images.limits import ImageLimits
from backend.lab.evaluation.splits import fraction_of
from backend.lab.training.autoencoder import train
from backend.lab.training.autoencoder_images import draw_layers, draw_reconstructions, viridis
from backend.lab.training.autoencoder_run import (
    CHECKPOINT,
    WEIGHTS,
    AutoencoderRecipe,
    AutoencoderRun,
    TrainingImages,
    begin_or_resume,
)
from backend.settings import Settings
from sample_catalogue import make_sample

Train = Callable[..., AutoencoderRun]

EXACT = Compute(device="cpu", precision="fp32")
SMALL = AutoencoderRecipe(dimensions=4096, batch_size=16, seed=5)  # fewer weights than the other
GENEROUS_SECONDS = 150


@pytest.fixture(scope="module")
def shots(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Forty drawn garments on disk."""
    folder = tmp_path_factory.mktemp("shots")
    for number in range(40):
        garment(number).save(folder / f"{number}.png")
    return [str(folder / f"{number}.png") for number in range(40)]


@pytest.fixture(scope="module")
def train_on() -> Iterator[Train]:
    """Trains for some epochs in a folder, on the first 32 images; the others are held out."""
    with DecoderPool(1, limits=ImageLimits()) as decoders:

        def open_images(uris: Sequence[str | None], target: Size) -> Iterator[Decoded | ImageError]:
            return decoders.decode_all((Path(uri) for uri in uris if uri), target=target)

        def run(
            folder: Path, epochs: int, shots: list[str], recipe: AutoencoderRecipe = SMALL
        ) -> AutoencoderRun:
            return train(
                folder,
                recipe,
                epochs=epochs,
                draw=lambda: TrainingImages(shots[:32], shots[32:]),
                open_images=open_images,
                compute=EXACT,
                report=lambda done, total: None,
            )

        yield run


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory, shots: list[str], train_on: Train) -> Path:
    """The folder of a run that was interrupted after its first epoch."""
    folder = tmp_path_factory.mktemp("parts")
    train_on(folder, 1, shots)
    train_on(folder, 2, [])  # the images are those that it began with
    return folder


def save_model(path: Path, *, dimensions: int = 512, seed: int = 0) -> Path:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = Autoencoder(dimensions)
    torch.save(model_file(model, {"dimensions": dimensions}), path)
    return path


def state_of(folder: Path) -> dict[str, torch.Tensor]:
    return read_model(folder / WEIGHTS)[0].state_dict()


def same(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


# --- the geometry ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("dimensions", "convolutions", "poolings", "code"),
    [(4096, 7, 3, (256, 4, 4)), (512, 8, 4, (512, 1, 1))],
)
def test_layers_and_shapes_are_those_of_the_field(
    dimensions: int, convolutions: int, poolings: int, code: tuple[int, int, int]
) -> None:
    model = Autoencoder(dimensions).eval()
    kinds = [type(module) for module in model.modules()]
    with torch.inference_mode():
        encoded = model.encoder(torch.zeros(2, 3, 128, 128))
        decoded = model.decoder(encoded)

    assert kinds.count(nn.Conv2d) == kinds.count(nn.ConvTranspose2d) == convolutions
    assert kinds.count(nn.MaxPool2d) == poolings
    assert encoded.shape == (2, *code)
    assert decoded.shape == (2, 3, 128, 128)
    assert 0 <= decoded.min() <= decoded.max() <= 1


# --- the embedder ----------------------------------------------------------------------------


@pytest.mark.parametrize("dimensions", [512, 4096])
def test_the_code_is_the_vector_at_length_one(tmp_path: Path, dimensions: int) -> None:
    path = save_model(tmp_path / "weights.pt", dimensions=dimensions)
    embedder = load(f"autoencoder?weights={path}", compute=EXACT)
    pixels = np.stack([np.asarray(one.resize((128, 128), 3)) for one in GARMENTS[:3]])
    with torch.inference_mode():
        colours = torch.from_numpy(pixels).permute(0, 3, 1, 2).float() / 255
        codes = read_model(path)[0].encoder(colours).flatten(1).numpy()

    vectors = embedder.embed(GARMENTS[:3])

    assert vectors.shape == (3, embedder.size) == (3, dimensions)
    wanted = codes / np.linalg.norm(codes, axis=1, keepdims=True)
    np.testing.assert_allclose(vectors, wanted, atol=2e-5)


def test_the_path_stands_in_the_option_or_behind_the_name(tmp_path: Path) -> None:
    path = save_model(tmp_path / "weights.pt")
    by_option, by_name = load(f"autoencoder?weights={path}"), load(f"autoencoder/{path}")
    assert by_option.fingerprint == by_name.fingerprint
    assert load(by_name.name).name == by_option.name == by_name.name


def test_other_weights_have_another_fingerprint_and_a_copy_the_same(tmp_path: Path) -> None:
    paths = [
        save_model(tmp_path / "a.pt"),
        save_model(tmp_path / "b.pt"),
        save_model(tmp_path / "c.pt", seed=1),
    ]
    a, b, c = (load(f"autoencoder?weights={path}").fingerprint for path in paths)
    assert a == b != c


def test_missing_weights_are_named_with_the_command_that_makes_them() -> None:
    with pytest.raises(WeightsUnavailable, match=r"/nowhere/x\.pt; `lookalike train autoencoder`"):
        load("autoencoder?weights=/nowhere/x.pt")


@pytest.mark.parametrize("spec", ["autoencoder", "autoencoder/a.pt?weights=b.pt"])
def test_weights_are_named_once(spec: str) -> None:
    with pytest.raises(UnknownEmbedder, match=r"autoencoder\?weights=PATH"):
        load(spec)


def test_a_file_of_something_else_is_refused(tmp_path: Path) -> None:
    text, other, wrong = (tmp_path / name for name in ("a.pt", "b.pt", "c.pt"))
    text.write_text("hello")
    torch.save({"layer.weight": torch.zeros(3)}, other)
    torch.save(model_file(Autoencoder(512), {"dimensions": 4096}), wrong)
    for path in (text, other, wrong):
        with pytest.raises(WeightsUnavailable, match=path.name):
            load(f"autoencoder?weights={path}")


# --- training --------------------------------------------------------------------------------


def test_training_lowers_the_error_and_leaves_an_embedder(parts: Path) -> None:
    first, second = begin_or_resume(parts, SMALL, lambda: TrainingImages([], [])).epochs

    assert first.images == second.images == 32
    assert second.loss < first.loss
    assert second.held_out_loss is not None
    assert {path.name for path in parts.iterdir()} == {
        "autoencoder.pt",
        "card.json",
        "checkpoint.pt",
        "curves",
        "layers.png",
        "reconstructions-001.png",
        "reconstructions-002.png",
    }
    vectors = load(f"autoencoder?weights={parts / WEIGHTS}").embed(GARMENTS)
    assert len({vector.tobytes() for vector in vectors}) == len(GARMENTS)


@pytest.mark.slow
def test_a_run_in_two_parts_gives_the_weights_of_a_run_in_one(
    parts: Path, tmp_path: Path, shots: list[str], train_on: Train
) -> None:
    train_on(tmp_path, 1, shots)
    halfway = state_of(tmp_path)
    train_on(tmp_path / "whole", 2, shots)

    assert same(state_of(parts), state_of(tmp_path / "whole"))
    assert not same(state_of(parts), halfway)


def test_another_seed_gives_other_weights(
    tmp_path: Path, shots: list[str], train_on: Train
) -> None:
    for seed in (1, 2):
        train_on(
            tmp_path / str(seed),
            1,
            shots[:2],
            AutoencoderRecipe(dimensions=4096, batch_size=2, seed=seed),
        )
    assert not same(state_of(tmp_path / "1"), state_of(tmp_path / "2"))


def test_a_folder_keeps_to_its_recipe(tmp_path: Path, shots: list[str], train_on: Train) -> None:
    train_on(tmp_path, 1, shots[:2])
    with pytest.raises(ConfigurationError, match="batch_size 16, not 32"):
        train_on(tmp_path, 2, shots, AutoencoderRecipe(dimensions=4096, batch_size=32, seed=5))


def test_images_that_cannot_be_decoded_are_left_out(
    tmp_path: Path, shots: list[str], train_on: Train
) -> None:
    done = train_on(tmp_path, 1, [*shots[:3], str(tmp_path / "gone.png")])
    assert done.epochs[0].images == 3
    with pytest.raises(ConfigurationError, match="none of the images"):
        train_on(tmp_path / "none", 1, [str(tmp_path / "gone.png")])


def test_without_images_there_is_nothing_to_train_on(tmp_path: Path, train_on: Train) -> None:
    with pytest.raises(ConfigurationError, match="no image"):
        train_on(tmp_path, 1, [])


def test_bf16_gives_the_vectors_of_fp32(parts: Path) -> None:
    spec = f"autoencoder?weights={parts / WEIGHTS}"
    exact, fast = (
        load(spec, compute=Compute(device="cpu", precision=precision)).embed(GARMENTS)
        for precision in ("fp32", "bf16")
    )
    assert (exact * fast).sum(axis=1).min() > 0.999


def test_curves_of_a_resumed_run_have_each_step_once(parts: Path) -> None:
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    events = accumulator.EventAccumulator(str(parts / "curves")).Reload()
    assert [event.step for event in events.Scalars("loss/batch")] == [0, 1, 2, 3]
    assert [event.step for event in events.Scalars("loss/held out")] == [1, 3]


# --- drawings --------------------------------------------------------------------------------


def test_viridis_runs_from_dark_violet_to_yellow() -> None:
    colours = viridis(np.array([0, 0.5, 1]))
    assert colours.tolist() == [[68, 1, 84], [33, 145, 140], [253, 231, 37]]
    shades = viridis(np.linspace(0, 1, 50)) @ np.array([0.2126, 0.7152, 0.0722])
    assert (np.diff(shades) > 0).all()


def test_a_reconstruction_sheet_has_the_images_above() -> None:
    originals = [one.resize((128, 128)) for one in GARMENTS[:3]]
    sheet = draw_reconstructions(Autoencoder(512), originals)
    assert sheet.size == (3 * 132 - 4, 2 * 132 - 4)
    assert sheet.crop((132, 0, 260, 128)).tobytes() == originals[1].tobytes()
    assert sheet.crop((132, 132, 260, 260)).getcolors(1 << 15) != [(128 * 128, (255, 255, 255))]


@pytest.mark.parametrize(("dimensions", "layers"), [(4096, 7), (512, 8)])
def test_the_drawing_of_layers_has_a_row_for_each_layer(dimensions: int, layers: int) -> None:
    sheet = draw_layers(Autoencoder(dimensions), GARMENTS[0])
    rows = [sheet.crop((112, 100 * n, 208, 100 * n + 96)) for n in range(layers + 1)]
    assert sheet.height == 100 * (layers + 1) - 4
    assert all(len(row.getcolors(1 << 15) or []) > 2 for row in rows)
    # each row of maps, and the strip of a code of single numbers, ends at the right edge
    edge = np.asarray(sheet)[:, -1].min(axis=1)
    assert all(edge[100 * n + 48] < 255 for n in range(1, layers + 1))
    assert (np.asarray(sheet)[:, :4] == 255).all()  # no letter touches the left one


# --- the command -----------------------------------------------------------------------------


@pytest.fixture
def shop(settings: Settings, monkeypatch: pytest.MonkeyPatch, usual_logs: None) -> Path:
    """A folder with a small catalogue imported; commands run there."""
    home = settings.data_dir.parent
    monkeypatch.setenv("LOOKALIKE_DATA_DIR", str(settings.data_dir))
    monkeypatch.setenv("LOOKALIKE_PRECISION", "fp32")
    monkeypatch.setenv("LOOKALIKE_DEVICE", "cpu")
    # An earlier test may have set the threads of this process; weights differ with their number.
    monkeypatch.setenv("LOOKALIKE_TORCH_THREADS", "1")
    monkeypatch.chdir(home)
    make_sample(home / "catalogue", products=40)
    invoke("import", "catalogue")
    return home


def invoke(*arguments: str) -> str:
    ran = CliRunner().invoke(cli.app, arguments)
    assert ran.exit_code == 0, ran.output
    return ran.output


TRAIN = ("train", "autoencoder", "--batch-size", "8", "--products", "24")


def test_the_card_keeps_its_keys(parts: Path) -> None:
    card = json.loads((parts / "card.json").read_text())

    assert (card["pictures"], card["held_out_pictures"]) == (32, 8)
    assert set(card["epochs"][0]) == {"loss", "held_out_loss", "pictures", "steps", "seconds"}


def test_the_command_trains_on_the_catalogue_and_holds_out_what_evaluate_asks_for(
    shop: Path,
) -> None:
    said = invoke(*TRAIN, "run", "--epochs", "1", "--dimensions", "4096", "--held-out", "0.3")

    run = begin_or_resume(
        shop / "run",
        AutoencoderRecipe(dimensions=4096, batch_size=8, products=24, held_out=0.3),
        lambda: TrainingImages([], []),
    )
    assert len(run.images.training) == 24
    assert run.images.held_out
    for uris, held_out in ((run.images.training, False), (run.images.held_out, True)):
        assert {fraction_of(Path(uri).stem) < 0.3 for uri in uris} == {held_out}
    spec = said.split("LOOKALIKE_EMBEDDER='")[1].split("'")[0]
    assert load(spec).size == 4096


@pytest.mark.slow
def test_a_killed_command_goes_on_to_the_same_weights(shop: Path) -> None:
    command = [sys.executable, "-c", "from backend.cli import main; main()", *TRAIN, "killed"]
    process = subprocess.Popen([*command, "--epochs", "1000"])
    try:
        deadline = time.monotonic() + GENEROUS_SECONDS
        while not (shop / "killed" / CHECKPOINT).exists():
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.05)
    finally:
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    assert not (shop / "killed" / WEIGHTS).exists()
    recipe = AutoencoderRecipe(batch_size=8, products=24, held_out=0.2)
    begun = begin_or_resume(shop / "killed", recipe, lambda: TrainingImages([], []))
    epochs = str(len(begun.epochs) + 1)

    invoke(*TRAIN, "killed", "--epochs", epochs)
    invoke(*TRAIN, "whole", "--epochs", epochs)

    assert same(state_of(shop / "killed"), state_of(shop / "whole"))

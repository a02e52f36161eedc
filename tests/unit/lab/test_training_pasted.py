"""Images with something pasted on them know where it is, and layers learn it from them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw

from backend.embedders.region_head import PastedHead
from backend.embedders.regions import DOUBT, KINDS
from backend.lab.training.composites import MASK
from backend.lab.training.pasted import SHAPES, judge, learn, loss, set_limits
from backend.lab.training.pasted_images import PastedMaker

INPUT = (224, 168)


@pytest.fixture(scope="module")
def maker(tmp_path_factory: pytest.TempPathFactory) -> PastedMaker:
    """One red product, one grey photograph with a darker thing in its middle."""
    folder = tmp_path_factory.mktemp("pasted")
    product, photograph = Image.new("RGB", (60, 80), "white"), Image.new("RGB", (216, 288), "#888")
    ImageDraw.Draw(product).rectangle((15, 20, 44, 69), fill="#d02020")
    ImageDraw.Draw(photograph).rectangle((60, 80, 155, 207), fill="#202020")
    product.save(folder / "product.png")
    photograph.save(folder / "photograph.png")
    return PastedMaker(
        [[folder / "product.png"] if kind == "shirt" else [] for kind in KINDS],
        [(folder / "photograph.png", 2)],
        things=[folder / "photograph.png"],
        seed=3,
        input_size=INPUT,
    )


def test_masks_cover_what_was_pasted(maker: PastedMaker) -> None:
    made = maker.make_pasted(40)
    assert made.pixels.shape == (40, *INPUT, 3)
    found = 0
    for pixels, mask in zip(made.pixels.astype(int), made.masks, strict=True):
        small = np.asarray(Image.fromarray(pixels.astype(np.uint8)).resize(MASK[::-1])).astype(int)
        red = small[..., 0] - small[..., 1] > 90
        found += red.any()
        assert mask[red].mean() > 0.8 if red.sum() > 20 else True
    assert found > 10  # most of what is pasted is the product
    assert (made.masks.max(axis=(1, 2)) > 0.9).mean() > 0.9


def test_of_each_photograph_there_are_five_and_none_is_red(
    maker: PastedMaker, tmp_path: Path
) -> None:
    Image.new("RGB", (216, 288), "#888").save(tmp_path / "one.png")
    Image.new("RGB", (216, 288), "#333").save(tmp_path / "other.png")
    taken = maker.take_photographs([tmp_path / "one.png", tmp_path / "other.png"])
    levels = taken.reshape(10, -1).mean(axis=1)
    assert levels[:2] == pytest.approx([0x88, 0x33])
    assert (levels[::2] > levels[1::2] + 30).all()


def test_products_in_full_size_are_pasted_where_there_are_some(tmp_path: Path) -> None:
    for name, colour in (("small", "#d02020"), ("large", "#2020d0")):
        image = Image.new("RGB", (60, 80) if name == "small" else (600, 800), "white")
        width, height = image.size
        inner = (width // 4, height // 4, 3 * width // 4, 3 * height // 4)
        ImageDraw.Draw(image).rectangle(inner, fill=colour)
        image.save(tmp_path / f"{name}.png")
    Image.new("RGB", (216, 288), "#888").save(tmp_path / "ground.png")

    def share_of_blue(in_full: list[Path]) -> float:
        maker = PastedMaker(
            [[tmp_path / "small.png"] for _ in KINDS],
            [(tmp_path / "ground.png", 2)],
            things=[tmp_path / "small.png"],
            in_full=in_full,
            seed=3,
            input_size=INPUT,
        )
        pixels = maker.make_pasted(40).pixels.astype(int)
        return float((pixels[..., 2] - pixels[..., 0] > 90).any(axis=(1, 2)).mean())

    assert share_of_blue([]) == 0
    assert 0.05 < share_of_blue([tmp_path / "large.png"]) < 0.6


def test_few_photographs_count_as_pasted_and_some_are_in_doubt() -> None:
    random = np.random.default_rng(0)
    maps = [random.random((200, *shape), np.float32).astype(np.float16) for shape in SHAPES]
    head = PastedHead().eval()
    set_limits(head, judge(head, maps))
    told = judge(head, maps)
    assert (told > 0).sum() == 2
    assert (told > DOUBT).sum() == 6


def test_composites_shall_be_above_the_highest_photograph() -> None:
    masks = torch.zeros(4, *MASK)
    masks[:2, 10:30, 10:30] = 1
    drawn = 20 * (masks[:, None, ::2, ::2] - 0.5)
    above, below = (
        float(loss(drawn, torch.tensor(told)[:, None], masks))
        for told in ([6.0, 6.0, -6.0, 2.0], [6.0, 1.0, -6.0, 2.0])
    )
    assert above < below
    nothing = torch.zeros_like(masks)
    assert float(loss(drawn * 0 - 10, torch.full((4, 1), -9.0), nothing)) < 0.01


@pytest.mark.slow
def test_layers_learn_where_and_whether_something_was_pasted() -> None:
    """What was pasted has more of one channel at a stride of 8."""
    random = np.random.default_rng(0)
    maps = [random.random((96, *shape)).astype(np.float16) for shape in SHAPES]
    masks = np.zeros((48, *MASK), np.float16)
    masks[:, 20:40, 10:30] = 1
    maps[0][:48, 5, 10:20, 5:15] += 3
    head = learn(maps, masks, epochs=60)
    told = judge(head, maps)
    assert told[:48].min() > told[48:].max()
    with torch.inference_mode():
        mask, _ = head(*(torch.from_numpy(each).float() for each in maps))
    inside = mask[:48, 0, 11:19, 6:14].mean()
    assert inside > 0 > mask[48:].mean()
    assert mask[:48, 0, 23:].mean() < 0

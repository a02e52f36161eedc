"""Composites know where their things are, and the layers that find regions learn from them."""

from __future__ import annotations

from pathlib import Path
from random import Random

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw

from backend.embedders.region_head import (
    EARLY,
    LAST,
    TEXTURES,
    RegionHead,
    load_layers,
    save_layers,
)
from backend.embedders.regions import COLUMNS, FINE_COLUMNS, FINE_ROWS, KINDS, OUTPUTS, ROWS, STRIDE
from backend.errors import WeightsUnavailable
from backend.lab.training.composites import ALONE, CORNER, MASK, WHOLE, Composites, Maker
from backend.lab.training.region_loss import Targets, loss
from backend.lab.training.regions import SHAPES, learn
from backend.lab.training.street import Street, box_of, cut_out, find_thing, overlap

INPUT = (224, 168)
SHIRT = KINDS.index("shirt")


def product(colour: str = "#204060", ground: str = "white") -> Image.Image:
    image = Image.new("RGB", (60, 80), ground)
    ImageDraw.Draw(image).rectangle((15, 20, 44, 69), fill=colour)
    return image


def noise(size: tuple[int, int]) -> Image.Image:
    width, height = size
    levels = np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)
    return Image.fromarray(levels)


def test_a_product_is_cut_out_of_its_plain_ground_and_keeps_what_it_surrounds() -> None:
    image = product()
    ImageDraw.Draw(image).rectangle((25, 30, 34, 39), fill="white")
    cut = cut_out(image)
    assert cut is not None
    assert cut.size == (30, 50)
    alpha = cut.getchannel("A")
    assert alpha.getpixel((15, 15)) == 255  # white, and surrounded
    assert np.asarray(alpha).mean() > 254  # all but the corners
    assert cut_out(noise((60, 80))) is None  # no ground to tell
    assert cut_out(Image.new("RGB", (60, 80), "white")) is None


def test_a_pasted_product_lies_where_its_box_says_and_beside_others() -> None:
    street = Street(image=Image.new("RGB", (336, 448), "#808080"))
    cut, random = cut_out(product("#ff0000")), Random(3)
    assert cut is not None
    for _ in range(3):
        street.paste(cut, random, scale=0.4, angle=0)
    assert len(street.pasted) > 1
    for number, one in enumerate(street.pasted):
        assert all(overlap(one.box, other.box) < 0.1 for other in street.pasted[:number])
    red = np.asarray(street.image)[..., 0].astype(int) - np.asarray(street.image)[..., 1] > 80
    edges = np.array([one.box for one in street.pasted])
    union = (*edges[:, :2].min(axis=0), *edges[:, 2:].max(axis=0))
    assert box_of(red) == pytest.approx(union, abs=0.01)


def test_the_thing_of_a_photograph_is_found_where_its_ground_is_plain() -> None:
    thing = find_thing(product(ground="#c0a080").resize((168, 224)))
    assert thing is not None
    assert box_of(thing) == pytest.approx((0.25, 0.25, 0.75, 0.875), abs=0.02)
    assert find_thing(noise((168, 224))) is None


@pytest.fixture(scope="module")
def composites(tmp_path_factory: pytest.TempPathFactory) -> Composites:
    folder = tmp_path_factory.mktemp("composites")
    paths = [folder / name for name in ("product.png", "plain.png", "busy.png")]
    for path, image in zip(
        paths,
        (product(), product(ground="#c0a080").resize((216, 288)), noise((216, 288))),
        strict=True,
    ):
        image.save(path)
    products: list[list[Path]] = [[paths[0]] if kind == "shirt" else [] for kind in KINDS]
    maker = Maker(products, [(paths[1], 2), (paths[2], 3)], seed=1, input_size=INPUT)
    return maker.make(40)


def test_composites_know_their_boxes_kinds_and_masks(composites: Composites) -> None:
    alone = composites.kinds >= 0
    assert set(composites.grounds[alone]) == {CORNER, ALONE}  # one of the two can be cut out
    assert set(composites.boxes[alone & (composites.grounds == CORNER), 0, 4]) == {2.0}
    pasted = composites.boxes[~alone]
    assert set(pasted[..., 4].ravel()) == {-1.0, float(SHIRT)}
    (first, *_) = np.flatnonzero(
        (composites.boxes[:, 0, 4] == SHIRT) & (composites.boxes[:, 1, 4] < 0)
    )
    covered = box_of(composites.masks[first] > 0.5)
    assert covered == pytest.approx(composites.boxes[first, 0, :4], abs=0.04)


def known(box: tuple[float, ...] = (), ground: int = CORNER, kind: int = -1) -> Targets:
    boxes = np.full((1, 3, 5), -1, np.float32)
    masks = np.zeros((1, *MASK), np.float16)
    if box:
        boxes[0, 0] = (*box, SHIRT)
        left, top, right, bottom = (np.array(box) * np.array([*MASK[::-1], *MASK[::-1]])).astype(
            int
        )
        masks[0, top:bottom, left:right] = 1
    return Targets.of_composites(
        Composites(
            pixels=np.empty((1, *INPUT, 3), np.uint8),
            masks=masks,
            boxes=boxes,
            grounds=np.array([ground], np.int8),
            kinds=np.array([kind], np.int8),
        )
    )


BOX = (0.25, 0.25, 0.75, 0.75)


def judged(box: tuple[float, ...], *, kind: int = SHIRT) -> tuple[torch.Tensor, torch.Tensor]:
    """What layers say that are sure of one box."""
    cells, mask = (
        torch.zeros(1, OUTPUTS, ROWS, COLUMNS),
        torch.full((1, 1, FINE_ROWS, FINE_COLUMNS), -9.0),
    )
    cells[0, 0] = -9
    left, top, right, bottom = box
    for row in range(ROWS):
        for column in range(COLUMNS):
            x, y = (column + 0.5) * STRIDE / INPUT[1], (row + 0.5) * STRIDE / INPUT[0]
            distances = torch.tensor([x - left, y - top, right - x, bottom - y])
            if distances.min() <= 0:
                continue
            cells[0, 1:5, row, column] = torch.logit(distances)
            if (
                abs(x - (left + right) / 2) < (right - left) / 4
                and abs(y - (top + bottom) / 2) < (bottom - top) / 4
            ):
                cells[0, 0, row, column] = 9
            cells[0, 5 + kind, row, column] = 9
    mask[0, 0, int(top * 28) : int(bottom * 28), int(left * 21) : round(right * 21)] = 9
    return cells, mask


def test_what_is_right_costs_less_than_a_wrong_place_kind_or_mask() -> None:
    right = loss(*judged(BOX), known(BOX)).item()
    assert right < loss(*judged((0.05, 0.25, 0.55, 0.75)), known(BOX)).item()
    assert right < loss(*judged(BOX, kind=0), known(BOX)).item()
    cells, mask = judged(BOX)
    assert right < loss(cells, -mask, known(BOX)).item()


def test_what_is_not_known_of_a_photograph_costs_nothing() -> None:
    cells, mask = judged((0.0, 0.0, 0.2, 0.2))  # the photograph's own thing, beside the pasted one
    there, mask_there = judged(BOX)
    both = torch.where(cells[:, :1] > 0, cells, there), torch.maximum(mask, mask_there)
    on_photograph = loss(*both, known(BOX, WHOLE)).item()
    assert on_photograph == pytest.approx(
        loss(there, mask_there, known(BOX, WHOLE)).item(), abs=1e-4
    )
    assert on_photograph < loss(*both, known(BOX)).item()
    assert (
        loss(*judged(BOX), known(ground=ALONE, kind=SHIRT)).item()
        < loss(*judged(BOX), known(ground=ALONE, kind=0)).item()
    )


def test_layers_learn_and_are_kept_in_a_file(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    maps = [random.normal(size=(32, *shape)).astype(np.float16) for shape in SHAPES]
    targets = known(BOX).of(torch.zeros(32, dtype=torch.long))
    head = learn(maps, targets, epochs=4)
    assert [shape[0] for shape in SHAPES] == [EARLY, TEXTURES, LAST, LAST]
    inputs = [torch.from_numpy(each.astype(np.float32)) for each in maps]
    with torch.no_grad():
        before = loss(*RegionHead().judge(*inputs), targets).item()
        assert loss(*head.judge(*inputs), targets).item() < before
        save_layers(head, tmp_path / "regions.npz")
        read = load_layers(RegionHead(), tmp_path / "regions.npz").judge(*inputs)
        for one, other in zip(read, head.judge(*inputs), strict=True):
            assert torch.allclose(one, other, atol=0.05, rtol=0.05)
    with pytest.raises(WeightsUnavailable, match=r"none\.npz"):
        load_layers(RegionHead(), tmp_path / "none.npz")

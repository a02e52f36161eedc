"""DeepFashion's benchmark is read from its own list files, as they are published."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest
from support.deepfashion import IMAGES, write_deepfashion

from backend.catalogue.sources import open_source
from backend.catalogue.sources.feed import FeedRow, Reject
from backend.errors import UnreadableCatalogue


def read(path: Path) -> list[FeedRow | Reject]:
    with closing(open_source(path)) as source:
        return list(source.read())


@pytest.mark.parametrize("annotations", ["Anno_coarse", "Anno"])
def test_an_image_is_a_product_with_its_category_split_box_and_attributes(
    tmp_path: Path, annotations: str
) -> None:
    rows = read(write_deepfashion(tmp_path, annotations=annotations))

    first, second, dress, jeans = rows
    assert isinstance(first, FeedRow)
    assert (first.line, first.sku) == (3, "Sheer_Pleated-Front_Blouse:img_00000001")
    assert first.fields == {
        "display_name": "Sheer Pleated-Front Blouse",
        "article_type": "Blouse",
        "sub_category": "upper-body",
        "attributes": {
            "split": "train",
            "bbox": [72, 79, 232, 273],
            "texture": ["abstract geo print"],
            "fabric": ["chiffon"],
        },
    }
    assert first.image
    assert first.image.read(100_000)[:2] == b"\xff\xd8"
    assert isinstance(second, FeedRow)
    assert second.fields["attributes"]["part"] == ["v-neck"]
    assert second.fields["attributes"]["style"] == ["boho"]
    assert isinstance(dress, FeedRow)
    assert dress.sku == "A-F_Wrap_Dress:img_00000001"
    assert dress.fields["article_type"] == "Dress"
    assert dress.fields["sub_category"] == "full-body"
    assert dress.fields["attributes"]["shape"] == ["a-line"]
    assert isinstance(jeans, FeedRow)
    assert jeans.fields["article_type"] == "Jeans"
    assert set(jeans.fields["attributes"]) == {"split", "bbox"}


def test_the_two_lists_of_categories_are_enough(tmp_path: Path) -> None:
    folder = write_deepfashion(tmp_path)
    for path in [*(folder / "Anno_coarse").glob("*attr*"), folder / "Anno_coarse/list_bbox.txt"]:
        path.unlink()
    (folder / "Eval" / "list_eval_partition.txt").unlink()

    rows = read(folder)

    assert [row.fields["attributes"] for row in rows if isinstance(row, FeedRow)] == [{}] * 4


def test_a_bad_line_costs_itself_alone(tmp_path: Path) -> None:
    folder = write_deepfashion(tmp_path)
    (folder / "Img" / IMAGES[0][0]).unlink()
    with (folder / "Anno_coarse" / "list_category_img.txt").open("a") as file:
        file.write("img/Odd/img_1.jpg 51\nimg/Odd/img_2.jpg\nimg/Odd/img_3.jpg three\n")
        file.write("../../etc/passwd 1\n\n")

    rows = read(folder)

    rejects = [row for row in rows if isinstance(row, Reject)]
    assert [reject.line for reject in rejects] == [7, 8, 9, 10]
    assert rejects[0].sku == "Odd:img_1"
    assert "'51' is no category; they are 1 to 50" in rejects[0].reason
    assert len(rows) == 8
    assert isinstance(rows[0], FeedRow)
    assert rows[0].image is None
    assert rows[0].warnings == (f"there is no image {IMAGES[0][0]}",)


def test_skus_and_rows_agree(tmp_path: Path) -> None:
    source = open_source(write_deepfashion(tmp_path))

    assert list(source.skus()) == [(row.line, row.sku) for row in source.read()]


def test_a_list_that_is_missing_or_something_else_is_named(tmp_path: Path) -> None:
    folder = write_deepfashion(tmp_path)
    categories = folder / "Anno_coarse" / "list_category_cloth.txt"

    categories.write_text("50\nname type\nAnorak one\n")
    with pytest.raises(UnreadableCatalogue, match=r"list_category_cloth.txt, line 3"):
        open_source(folder)
    categories.unlink()
    with pytest.raises(UnreadableCatalogue, match=r"list_category_cloth.txt is nowhere"):
        open_source(folder)

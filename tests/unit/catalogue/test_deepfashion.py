"""DeepFashion's benchmark is read from its own list files, as they are published."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest
from support.garments import garment

from backend.catalogue.import_run import import_catalogue
from backend.catalogue.sources import open_source
from backend.catalogue.sources.rows import FeedRow, Reject
from backend.database.engine import Database
from backend.errors import UnreadableCatalogue
from backend.images.store import ImageStore

CATEGORIES = [  # the published fifty, with their types; four of them have no picture there
    *(("Anorak", 1), ("Blazer", 1), ("Blouse", 1), ("Bomber", 1), ("Button-Down", 1)),
    *(("Cardigan", 1), ("Flannel", 1), ("Halter", 1), ("Henley", 1), ("Hoodie", 1)),
    *(("Jacket", 1), ("Jersey", 1), ("Parka", 1), ("Peacoat", 1), ("Poncho", 1)),
    *(("Sweater", 1), ("Tank", 1), ("Tee", 1), ("Top", 1), ("Turtleneck", 1)),
    *(("Capris", 2), ("Chinos", 2), ("Culottes", 2), ("Cutoffs", 2), ("Gauchos", 2)),
    *(("Jeans", 2), ("Jeggings", 2), ("Jodhpurs", 2), ("Joggers", 2), ("Leggings", 2)),
    *(("Sarong", 2), ("Shorts", 2), ("Skirt", 2), ("Sweatpants", 2), ("Sweatshorts", 2)),
    *(("Trunks", 2), ("Caftan", 3), ("Cape", 3), ("Coat", 3), ("Coverup", 3)),
    *(("Dress", 3), ("Jumpsuit", 3), ("Kaftan", 3), ("Kimono", 3), ("Nightdress", 3)),
    *(("Onesie", 3), ("Robe", 3), ("Romper", 3), ("Shirtdress", 3), ("Sundress", 3)),
]
ATTRIBUTES = [("a-line", 3), ("abstract geo print", 1), ("chiffon", 2), ("v-neck", 4), ("boho", 5)]
PICTURES = [  # path, category, marks, split
    ("img/Sheer_Pleated-Front_Blouse/img_00000001.jpg", 3, (-1, 1, 1, -1, 0), "train"),
    ("img/Sheer_Pleated-Front_Blouse/img_00000002.jpg", 3, (-1, -1, 1, 1, 1), "val"),
    ("img/A&F_Wrap_Dress/img_00000001.jpg", 41, (1, -1, -1, -1, -1), "test"),
    ("img/Slim_Jeans/img_00000007.jpg", 26, (-1, -1, -1, -1, -1), "train"),
]


def listed(path: Path, heading: str, lines: list[str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join([str(len(lines)), heading, *lines]) + "\n")


def benchmark(folder: Path, *, annotations: str = "Anno_coarse") -> Path:
    """Write the benchmark, columns padded with blanks as in the published files."""
    anno = folder / annotations
    kinds = [f"{name:<20} {kind}" for name, kind in CATEGORIES]
    listed(anno / "list_category_cloth.txt", "category_name  category_type", kinds)
    labels = [f"{path:<70} {label}" for path, label, _, _ in PICTURES]
    listed(anno / "list_category_img.txt", "image_name  category_label", labels)
    names = [f"{name:<28} {kind}" for name, kind in ATTRIBUTES]
    listed(anno / "list_attr_cloth.txt", "attribute_name  attribute_type", names)
    marks = [f"{path:<70} " + " ".join(f"{m:>2}" for m in marks) for path, _, marks, _ in PICTURES]
    listed(anno / "list_attr_img.txt", "image_name  attribute_labels", marks)
    boxes = [f"{path:<70} 072 079 {232 + at:03} 273" for at, (path, *_) in enumerate(PICTURES)]
    listed(anno / "list_bbox.txt", "image_name  x_1  y_1  x_2  y_2", boxes)
    splits = [f"{path:<70} {split}" for path, _, _, split in PICTURES]
    listed(folder / "Eval" / "list_eval_partition.txt", "image_name  evaluation_status", splits)
    for at, (path, *_) in enumerate(PICTURES):
        place = folder / "Img" / path
        place.parent.mkdir(parents=True, exist_ok=True)
        garment(at).save(place)
    return folder


def read(path: Path) -> list[FeedRow | Reject]:
    with closing(open_source(path)) as source:
        return list(source.read())


@pytest.mark.parametrize("annotations", ["Anno_coarse", "Anno"])
def test_a_picture_is_a_product_with_its_category_split_box_and_attributes(
    tmp_path: Path, annotations: str
) -> None:
    rows = read(benchmark(tmp_path, annotations=annotations))

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
    assert first.picture
    assert first.picture.read(100_000)[:2] == b"\xff\xd8"
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


def test_it_is_imported_like_any_catalogue_and_again_for_nothing(
    tmp_path: Path, db: Database
) -> None:
    folder = benchmark(tmp_path / "deepfashion")
    store = ImageStore(f"file://{tmp_path / 'store'}")

    first = import_catalogue(db, store, folder)
    again = import_catalogue(db, store, folder)

    assert (first.added, first.rejected, len(first.warnings)) == (4, 0, 0)
    assert again.counts()["unchanged"] == 4


def test_the_two_lists_of_categories_are_enough(tmp_path: Path) -> None:
    folder = benchmark(tmp_path)
    for path in [*(folder / "Anno_coarse").glob("*attr*"), folder / "Anno_coarse/list_bbox.txt"]:
        path.unlink()
    (folder / "Eval" / "list_eval_partition.txt").unlink()

    rows = read(folder)

    assert [row.fields["attributes"] for row in rows if isinstance(row, FeedRow)] == [{}] * 4


def test_a_bad_line_costs_itself_alone(tmp_path: Path) -> None:
    folder = benchmark(tmp_path)
    (folder / "Img" / PICTURES[0][0]).unlink()
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
    assert rows[0].picture is None
    assert rows[0].warnings == (f"there is no image {PICTURES[0][0]}",)


def test_skus_and_rows_agree(tmp_path: Path) -> None:
    source = open_source(benchmark(tmp_path))

    assert list(source.skus()) == [(row.line, row.sku) for row in source.read()]


def test_a_list_that_is_missing_or_something_else_is_named(tmp_path: Path) -> None:
    folder = benchmark(tmp_path)
    categories = folder / "Anno_coarse" / "list_category_cloth.txt"

    categories.write_text("50\nname type\nAnorak one\n")
    with pytest.raises(UnreadableCatalogue, match=r"list_category_cloth.txt, line 3"):
        open_source(folder)
    categories.unlink()
    with pytest.raises(UnreadableCatalogue, match=r"list_category_cloth.txt lies nowhere"):
        open_source(folder)

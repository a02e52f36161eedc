"""The list files of DeepFashion's benchmark, over four images."""

from __future__ import annotations

from pathlib import Path

from support.image_files import garment

CATEGORIES = [  # the published fifty, with their types; four of them have no image there
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
IMAGES = [  # path, category, marks, split
    ("img/Sheer_Pleated-Front_Blouse/img_00000001.jpg", 3, (-1, 1, 1, -1, 0), "train"),
    ("img/Sheer_Pleated-Front_Blouse/img_00000002.jpg", 3, (-1, -1, 1, 1, 1), "val"),
    ("img/A&F_Wrap_Dress/img_00000001.jpg", 41, (1, -1, -1, -1, -1), "test"),
    ("img/Slim_Jeans/img_00000007.jpg", 26, (-1, -1, -1, -1, -1), "train"),
]


def listed(path: Path, heading: str, lines: list[str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join([str(len(lines)), heading, *lines]) + "\n")


def write_deepfashion(folder: Path, *, annotations: str = "Anno_coarse") -> Path:
    """Write the benchmark, columns padded with blanks as in the published files."""
    anno = folder / annotations
    kinds = [f"{name:<20} {kind}" for name, kind in CATEGORIES]
    listed(anno / "list_category_cloth.txt", "category_name  category_type", kinds)
    labels = [f"{path:<70} {label}" for path, label, _, _ in IMAGES]
    listed(anno / "list_category_img.txt", "image_name  category_label", labels)
    names = [f"{name:<28} {kind}" for name, kind in ATTRIBUTES]
    listed(anno / "list_attr_cloth.txt", "attribute_name  attribute_type", names)
    marks = [f"{path:<70} " + " ".join(f"{m:>2}" for m in marks) for path, _, marks, _ in IMAGES]
    listed(anno / "list_attr_img.txt", "image_name  attribute_labels", marks)
    boxes = [f"{path:<70} 072 079 {232 + at:03} 273" for at, (path, *_) in enumerate(IMAGES)]
    listed(anno / "list_bbox.txt", "image_name  x_1  y_1  x_2  y_2", boxes)
    splits = [f"{path:<70} {split}" for path, _, _, split in IMAGES]
    listed(folder / "Eval" / "list_eval_partition.txt", "image_name  evaluation_status", splits)
    for at, (path, *_) in enumerate(IMAGES):
        place = folder / "Img" / path
        place.parent.mkdir(parents=True, exist_ok=True)
        garment(at).save(place)
    return folder

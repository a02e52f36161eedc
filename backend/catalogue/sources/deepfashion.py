"""DeepFashion's Category and Attribute Prediction Benchmark: list files, splits, and img/.

The files lie as the benchmark has them, with `Anno_coarse/` since 2018, or `Anno/` before:

    Anno_coarse/list_category_cloth.txt   50 categories and their types
    Anno_coarse/list_category_img.txt     the category of each of 289,222 images
    Anno_coarse/list_attr_cloth.txt       1,000 attributes and their types
    Anno_coarse/list_attr_img.txt         1, 0 or -1 for each attribute of each image
    Anno_coarse/list_bbox.txt             where in the image the clothing is
    Eval/list_eval_partition.txt          train, val or test
    Img/img/…

Each list begins with its length and a line of headings. Only the two lists about categories are
required. See https://mmlab.ie.cuhk.edu.hk/projects/DeepFashion/AttributePrediction.html
"""

from __future__ import annotations

import re
from array import array
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Final

from backend.catalogue.sources.feed import CutOff, Description, FeedRow, Reject
from backend.catalogue.sources.files import Folder
from backend.errors import ForbiddenImage, UnreadableCatalogue

ANNOTATIONS: Final = ("Anno_coarse", "Anno", ".")
PARTITIONS: Final = ("Eval", "Anno_coarse", "Anno", ".")
IMAGES: Final = ("Img", ".")
CATEGORIES, LABELS = "list_category_cloth.txt", "list_category_img.txt"
ATTRIBUTES, MARKS = "list_attr_cloth.txt", "list_attr_img.txt"
BOXES, SPLITS = "list_bbox.txt", "list_eval_partition.txt"

CATEGORY_TYPES: Final = {1: "upper-body", 2: "lower-body", 3: "full-body"}
ATTRIBUTE_TYPES: Final = {1: "texture", 2: "fabric", 3: "shape", 4: "part", 5: "style"}
HEADINGS: Final = 2  # number of lines before the first entry
_NO_SKU: Final = re.compile(r"[^A-Za-z0-9._:-]+")


def is_benchmark(path: Path) -> bool:
    """Tell whether a folder holds the benchmark's list of categories."""
    return _find(path, ANNOTATIONS, LABELS) is not None


@dataclass(frozen=True)
class _Kind:
    """A category or an attribute: its name, and the name of its type."""

    name: str
    type: str


class DeepFashion:
    """The images of the benchmark, each a product of its category.

    The category is the `article_type`, its type the `sub_category`; split, box and the attributes
    that are marked 1, by type, are attributes. The sku is the image's path below img/, its
    folders joined by colons. Lines are those of list_category_img.txt.
    """

    def __init__(self, folder: Path) -> None:
        """Read all lists except that of the images; takes 700 bytes an image, 200 MB in all."""
        self._labels = _wanted(folder, LABELS)
        self._categories = _kinds(_wanted(folder, CATEGORIES), CATEGORY_TYPES)
        marks, names = _find(folder, ANNOTATIONS, MARKS), _find(folder, ANNOTATIONS, ATTRIBUTES)
        self._attributes = _kinds(names, ATTRIBUTE_TYPES) if names and marks else []
        self._marks = _read_marks(marks) if self._attributes and marks else {}
        splits, boxes = _find(folder, PARTITIONS, SPLITS), _find(folder, ANNOTATIONS, BOXES)
        self._splits = {name: rest[0] for _, name, rest in _entries(splits)} if splits else {}
        self._boxes = _read_boxes(boxes) if boxes else {}
        self._files = Folder(folder)
        self._base = next((each for each in IMAGES if (folder / each / "img").is_dir()), ".")

    def skus(self) -> Iterator[tuple[int, str]]:
        """Yield line and sku of every image, in order."""
        for line, name, _ in _entries(self._labels):
            yield line, _sku(name)

    def read(self) -> Iterator[FeedRow | Reject]:
        """Yield every image, in order."""
        for line, name, rest in _entries(self._labels):
            yield self._row(line, name, rest)

    def cut_off(self) -> CutOff | None:
        """Return None: the lists say how long they are."""
        return None

    def describe(self) -> Description:
        """Return its name."""
        return Description("DeepFashion's Category and Attribute Prediction Benchmark")

    def close(self) -> None:
        """Do nothing: no file is kept open."""

    def _row(self, line: int, name: str, rest: Sequence[str]) -> FeedRow | Reject:
        label = rest[0] if len(rest) == 1 else ""
        if not label.isdecimal() or not 1 <= int(label) <= len(self._categories):
            wrong = " ".join(rest)[:40]
            last = len(self._categories)
            return Reject(line, _sku(name), f"{wrong!r} is no category; they are 1 to {last}")
        try:
            image = self._files.image(name, base=self._base)
        except ForbiddenImage as error:
            return Reject(line, _sku(name), error.message)
        category = self._categories[int(label) - 1]
        fields = {
            "display_name": _title(name),
            "article_type": category.name,
            "sub_category": category.type,
            "attributes": self._described(name),
        }
        warnings = () if image else (f"there is no image {name}",)
        return FeedRow(line=line, sku=_sku(name), fields=fields, image=image, warnings=warnings)

    def _described(self, name: str) -> dict[str, Any]:
        described: dict[str, Any] = {}
        if name in self._splits:
            described["split"] = self._splits[name]
        if name in self._boxes:
            described["bbox"] = list(self._boxes[name])
        for position in self._marks.get(name, ()):
            if position < len(self._attributes):
                marked = self._attributes[position]
                described.setdefault(marked.type, []).append(marked.name)
        return described


def _find(folder: Path, places: Sequence[str], name: str) -> Path | None:
    paths = (folder / place / name for place in places)
    return next((path for path in paths if path.is_file()), None)


def _wanted(folder: Path, name: str) -> Path:
    found = _find(folder, ANNOTATIONS, name)
    if found is None:
        raise UnreadableCatalogue(f"DeepFashion's {name} is nowhere in {folder}")
    return found


def _entries(path: Path) -> Iterator[tuple[int, str, list[str]]]:
    """Yield the line, the first word and the other words of every entry of a list."""
    try:
        with path.open(encoding="utf-8", errors="replace") as file:
            for line, text in enumerate(islice(file, HEADINGS, None), HEADINGS + 1):
                if words := text.split():
                    yield line, words[0], words[1:]
    except OSError as error:
        raise UnreadableCatalogue(f"{path.name}: {error.strerror}") from None


def _kinds(path: Path, types: Mapping[int, str]) -> list[_Kind]:
    """Read names and their types; a name may contain blanks, the type is the last word."""
    kinds = []
    for line, first, rest in _entries(path):
        if not rest or not rest[-1].isdecimal():
            raise UnreadableCatalogue(f"{path.name}, line {line}: a name and a number are expected")
        kind = int(rest[-1])
        kinds.append(_Kind(" ".join([first, *rest[:-1]]), types.get(kind, f"type {kind}")))
    return kinds


def _read_marks(path: Path) -> dict[str, array[int]]:
    """Read which attributes each image is marked with, as positions in their list."""
    return {
        name: array("H", (at for at, mark in enumerate(marks) if mark == "1"))
        for _, name, marks in _entries(path)
    }


def _read_boxes(path: Path) -> dict[str, array[int]]:
    """Read left, top, right and bottom in pixels; invalid boxes are left out."""
    return {
        name: array("i", map(int, box))
        for _, name, box in _entries(path)
        if len(box) == len("ltrb") and all(side.lstrip("-").isdecimal() for side in box)
    }


def _sku(name: str) -> str:
    """Turn img/Sheer_Blouse/img_00000001.jpg into Sheer_Blouse:img_00000001."""
    path = name.removeprefix("img/").rpartition(".")[0] or name
    return _NO_SKU.sub("-", path.replace("/", ":"))


def _title(name: str) -> str:
    return Path(name).parent.name.replace("_", " ")

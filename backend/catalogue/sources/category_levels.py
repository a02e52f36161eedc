"""Categories in columns of their own, one for each level: `category_1`, `Category Level 2`.

They become what a path becomes: the first one the `master_category`, the last one that a row fills
the `article_type`, the one before it the `sub_category`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from backend.catalogue.sources.categories import PATH, without_root
from backend.catalogue.sources.cell_texts import as_text
from backend.catalogue.sources.column_names import plain
from backend.catalogue.sources.field_readers import read_text
from backend.catalogue.sources.one_value import one_value

FIELDS: Final = ("master_category", "sub_category", "article_type")
_WORDS: Final = (
    r"(?:product|produkt|item|shop|main)?(?:cat|category|categories|categoryname|kategorie|kategorien"
    r"|catégorie|categorie|categoría|categoria|kategoria|kategori|kategória|категория|категорія"
    r"|warengruppe|producttype|hierarchy|taxonomy|カテゴリ|カテゴリー|分类|类目)"
)
_LEVEL: Final = r"(?:l|lvl|level|tier|ebene|stufe|niveau|nivel|nível|livello|poziom|nivå|уровень)"
_NUMBERED: Final = re.compile(
    rf"{_WORDS}{_LEVEL}?([0-9])(?:name)?|{_LEVEL}([0-9]){_WORDS}(?:name)?"
)
_CHAINS: Final = (
    (
        *(("division", "divisionname"), ("department", "departmentname", "dept", "deptname")),
        ("subdepartment", "subdept"),
        *(("class", "classname"), ("subclass", "subclassname")),
    ),
    (("category",), *((f"subcategory{at}",) for at in range(1, 10))),
    (("category",), ("subcategory1",), ("subcategory2",)),
    (("hauptkategorie", "oberkategorie"), ("unterkategorie",), ("unterunterkategorie",)),
    (("catégorieprincipale", "categorieprincipale"), ("souscatégorie", "souscategorie")),
    (("categoríaprincipal", "categoriaprincipal"), ("subcategoría", "subcategoria")),
    (("categoriaprincipale",), ("sottocategoria",)),
    (("hoofdcategorie",), ("subcategorie",)),
    (("huvudkategori", "hovedkategori", "anakategori"), ("underkategori", "altkategori")),
    (("kategoriagłówna",), ("podkategoria",)),
    (("parentcategory", "parentcategoryname"), ("childcategory", "childcategoryname")),
)
"""Names of levels, the uppermost first."""
_TOPS: Final = (
    *("maincategory", "indexgroupname", "department", "departmentname", "division"),
    *("hauptkategorie", "topcategory", "rootcategory", "toplevelcategory"),
)
"""The uppermost level, where another column is the category."""
_LANGUAGE: Final = re.compile(r"^[A-Z]{2}[_ ]")


@dataclass(frozen=True)
class CategoryLevels:
    """The columns of the levels, the uppermost first; `top` is one beside a usual category."""

    columns: Sequence[int] = ()
    top: int | None = None

    @classmethod
    def find(
        cls, names: Sequence[str], fields: Mapping[str, int], given: Mapping[str, str]
    ) -> CategoryLevels | None:
        """Find them by their names; none where a column has our own name for a category.

        `fields` are the columns of our fields, `given` those that the operator has named.
        """
        bare = [plain(_LANGUAGE.sub("", name)) for name in names]
        own = [
            it for it in FIELDS if it in given or (it in fields and bare[fields[it]] == plain(it))
        ]
        columns = _numbered(bare) or next(filter(None, (_chain(bare, it) for it in _CHAINS)), [])
        is_free = fields.get("article_type") in (None, *columns)
        if not own and columns and is_free:
            return cls(columns)
        tops = (bare.index(it) for it in _TOPS if it in bare)
        top = next((at for at in tops if at not in fields.values()), None)
        is_missing = "article_type" in fields and "master_category" not in fields
        return cls(top=top) if is_missing and top is not None else None

    def described(self) -> dict[str, int]:
        """Return which of our fields is read from which column in a row that fills all."""
        if self.top is not None:
            return {"master_category": self.top}
        found = {"master_category": self.columns[0], "article_type": self.columns[-1]}
        return found if len(self.columns) < 3 else {**found, "sub_category": self.columns[-2]}

    def apply(self, values: Sequence[Any], fields: Mapping[str, Any]) -> dict[str, Any]:
        """Return fields with the categories of a row; `fields` have those of a path already."""
        if self.top is not None:
            top = _text(values[self.top])
            is_new = top and not fields.get("master_category") and top != fields.get("article_type")
            return {**fields, "master_category": top} if is_new else dict(fields)
        texts = [text for at in self.columns if (text := _text(values[at]))]
        texts = [*without_root([*dict.fromkeys(texts)])]
        if not texts or any(map(PATH.search, texts)):
            return dict(fields)
        categories = {
            "master_category": texts[0] if len(texts) > 1 else None,
            "sub_category": texts[-2] if len(texts) > 2 else None,
            "article_type": texts[-1],
        }
        return {**fields, **categories}

    def deepest_path(self, values: Sequence[Any]) -> str | None:
        """Return the deepest of several whole paths; None where the columns hold levels."""
        paths = [text for at in self.columns if (text := _text(values[at])) and PATH.search(text)]
        return max(paths, key=lambda it: len(PATH.findall(it)), default=None)


def _numbered(bare: Sequence[str]) -> list[int]:
    """Return the columns whose names differ by a number only, in its order; two at least."""
    found: dict[str, list[tuple[int, int]]] = {}
    for at, name in enumerate(bare):
        if level := _NUMBERED.fullmatch(name):
            number = level[1] or level[2]
            found.setdefault(name.replace(number, ""), []).append((int(number), at))
    most = max(found.values(), key=len, default=[])
    return [at for _, at in sorted(most)] if len({number for number, _ in most}) > 1 else []


def _chain(bare: Sequence[str], chain: Sequence[Sequence[str]]) -> list[int]:
    """Return the columns of a chain of levels; the last but one, or below, has to be there."""
    found = [next((bare.index(it) for it in names if it in bare), None) for names in chain]
    there = [at for at in found if at is not None]
    return there if len(there) > 1 and any(at is not None for at in found[-2:]) else []


def _text(cell: Any) -> str | None:
    """Return the name of a category; None for what is no text, such as the number of one."""
    try:
        text = read_text(as_text(one_value("article_type", cell)))
    except ValueError:
        return None
    return None if not text or text.isdecimal() else text

"""Whether a platform shows a product to buyers: drafts, private and disabled products."""

# ruff: noqa: RUF001 - Turkish has a letter that looks like an i

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from backend.catalogue.sources.cell_texts import as_text
from backend.catalogue.sources.column_names import plain
from backend.catalogue.sources.feed import RowWarning, WarningKind

Hidden: TypeAlias = Mapping[str, Collection[str]]
"""A column -> the values, in small letters, with which a product is not shown."""

_NO: Final = frozenset(
    [
        "false",
        "no",
        "n",
        "0",
        "0.0",
        "off",
        "f",
        "falsch",
        "nein",
        "faux",
        "non",
        "falso",
        "não",
        "onwaar",
        "nee",
        "fałsz",
        "nie",
        "nepravda",
        "ne",
        "falskt",
        "nej",
        "nei",
        "ei",
        "hamis",
        "nem",
        "hayır",
        "yanlış",
        "нет",
        "ложь",
        "ні",
        "не",
        "όχι",
        "いいえ",
        "否",
        "아니오",
        "لا",
        "לא",
    ]
)
_YES: Final = frozenset(["true", "yes", "y", "1", "on", "t", "ja", "oui", "sí", "si", "sim", "tak"])
_STATES: Final = (
    *("draft", "archived", "inactive", "disabled", "unpublished", "hidden", "deleted", "off"),
    *("false", "suspended", "paused", "closed", "ended"),
)
SHOPIFY: Final[Hidden] = {
    "Status": ("draft", "archived", "unlisted"),
    "Published": _NO,
    "Published on online store": _NO,
}
WOOCOMMERCE: Final[Hidden] = {
    "Published": ("0", "-1"),  # private; draft, or waiting for a review
    "status": ("draft", "pending", "private", "trash"),  # of its API
}
MAGENTO: Final[Hidden] = {"product_online": ("2", *_NO), "status": ("2", "disabled")}
META: Final[Hidden] = {"visibility": ("hidden", "staging"), "status": ("archived", "hidden")}
OPENCART: Final[Hidden] = {"status": ("disabled", *_NO)}
TABLE: Final[Hidden] = {
    **dict.fromkeys(("Active (0/1)", "is_published", "is_active", "is_visible"), _NO),
    **dict.fromkeys(("active", "enabled", "visible", "published", "Product Visible?"), _NO),
    **dict.fromkeys(("is_enabled", "is_online", "online_flag", "sku_is_active", "aktiv"), _NO),
    **dict.fromkeys(("actif", "activo", "attivo", "ativo", "actief", "aktywny", "sichtbar"), _NO),
    **dict.fromkeys(("visivel", "visível", "Mostrar en tienda", "Exibir na loja", "shown"), _NO),
    **dict.fromkeys(("blocked", "hidden"), _YES),
    **dict.fromkeys(("hide_product", "is_hidden", "archived", "inactive", "is_archived"), _YES),
    **dict.fromkeys(("product_visibility", "item_visibility"), ("hidden", "staging", "blocked")),
    **dict.fromkeys(("status", "publish_status", "product_status"), _STATES),
}


@dataclass(frozen=True)
class Publication:
    """The columns of a table that say whether a product is shown."""

    columns: Sequence[tuple[int, str, Collection[str]]]

    @classmethod
    def find(
        cls, names: Sequence[str], hidden: Hidden, usual_name: Callable[[str], str]
    ) -> Publication:
        """Find them among the names of the columns."""
        by_name = {plain(column): values for column, values in hidden.items()}
        places = [(at, name, plain(usual_name(name))) for at, name in enumerate(names)]
        return cls([(at, name, by_name[key]) for at, name, key in places if key in by_name])

    def apply(
        self, values: Sequence[Any], fields: dict[str, Any], warnings: Sequence[str]
    ) -> tuple[RowWarning, ...]:
        """Set `in_stock` by what the columns say; return the warning of a product not shown.

        A product that is shown is in stock where the row says nothing of its stock. Otherwise one
        that was a draft once would never be recommended.
        """
        given = [(name, as_text(values[at]), hidden) for at, name, hidden in self.columns]
        for name, text, hidden in given:
            if text.lower() in hidden:
                fields["in_stock"] = False
                said = f"it is not published ({name} is {text}), so it is not available"
                return (RowWarning(WarningKind.UNPUBLISHED, said),)
        unclear = any(
            isinstance(each, RowWarning) and each.kind is WarningKind.AVAILABILITY
            for each in warnings
        )
        if any(text for _, text, _ in given) and not unclear:
            fields.setdefault("in_stock", True)
        return ()

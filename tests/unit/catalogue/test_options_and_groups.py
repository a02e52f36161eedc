"""Any table's options in pairs and texts, rows that leave the name empty, and groups by number."""

from __future__ import annotations

import json
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from backend.catalogue.import_memory import LastLines
from backend.catalogue.import_rows import CheckedRow, read_rows
from backend.catalogue.sources import open_source


def read(folder: Path, text: str, *, name: str = "feed.csv") -> dict[str, dict[str, Any]]:
    """Return the values of each sku."""
    path = folder / name
    path.write_text(text, encoding="utf-8")
    with closing(open_source(path)) as source:
        rows = list(read_rows(source, LastLines(source.skus())))
    return {row.sku: dict(row.draft.values) for row in rows if isinstance(row, CheckedRow)}


@pytest.mark.parametrize(
    ("names", "cells"),
    [
        ("Option 1 Name;Option 1 Value", "Color;Red"),
        ("variant_option_one_name;variant_option_one_value", "Color;Red"),
        ("Nombre de propiedad 1;Valor de propiedad 1", "Color;Red"),
        ("Nome da variação 1;Valor da variação 1", "Cor;Red"),
        ("Variationsname 1;Variationswertname 1", "Farbe;Red"),
        ("VARIATION 1 NAME;VARIATION 1 VALUES", "Color;Red"),
        ("Variation details;x", "[Color=Red|Size=M];"),
        ("configuratorOptions;x", "Farbe:Red|Größe:M;"),
        ("Features;x", '"Fabric: T[wool]; Color: S[Red]";'),
        ("optionGroups;optionValues", "Size|Color;M|Red"),
        ("Свойство: Цвет;x", "Red;"),
        ("Characteristics:Цвет;x", "Red;"),
    ],
)
def test_the_colour_is_found_among_options(tmp_path: Path, names: str, cells: str) -> None:
    found = read(tmp_path, f"sku;title_de;{names}\nT-1;Tee;{cells}\n")
    assert found["T-1"]["base_colour"] == "Red"


@pytest.mark.parametrize(
    ("header", "first", "second"),
    [
        ("handle,name,sku,price,stock,brand", "tee,Tee,T-R,19.9,4,Ace", "tee,,T-B,21.9,0,"),
        (
            "slug,name,sku,price,stock,brand,Option 1 Name,Option 1 Value",
            "tee,Tee,T-R,19.9,4,Ace,Size,M",
            ",,T-B,21.9,0,,,L",
        ),
        ("product_id,name,sku,price,stock,brand", "tee,Tee,T-R,19.9,4,Ace", "tee,,T-B,21.9,0,"),
        (
            "Identificador de URL,Nombre,SKU,Precio,Stock,Marca",
            "tee,Tee,T-R,19.90,4,Ace",
            "tee,,T-B,21.90,0,",
        ),
    ],
)
def test_a_row_without_a_name_is_a_variant_of_the_product_above(
    tmp_path: Path, header: str, first: str, second: str
) -> None:
    cap = "cap,Cap,C,9.90,1,Top" + "," * (header.count(",") - 5)
    found = read(tmp_path, "\n".join([header, first, second, cap, ""]))
    assert [it["display_name"] for it in found.values()] == ["Tee", "Tee", "Cap"]
    assert [it["brand"] for it in found.values()] == ["Ace", "Ace", "Top"]
    assert [it["price"] for it in found.values()] == [19.9, 21.9, 9.9]
    assert [it["in_stock"] for it in found.values()] == [True, False, True]
    assert [it.get("group_id") for it in found.values()] == ["tee", "tee", None]


def test_rows_with_a_name_keep_what_they_leave_empty_and_are_a_group(tmp_path: Path) -> None:
    found = read(
        tmp_path, "product_id,name,sku,brand\n7,Tee red,T-R,Ace\n7,Tee blue,T-B,\n8,A,C,\n"
    )
    assert [it.get("brand") for it in found.values()] == ["Ace", None, None]
    assert [it.get("group_id") for it in found.values()] == ["7", "7", None]


def test_a_product_that_its_variants_name_is_in_their_group(tmp_path: Path) -> None:
    found = read(tmp_path, "sku,parent_sku,name\nT,,Tee\nT-R,T,Tee red\nC,,Cap\n")
    assert [it.get("group_id") for it in found.values()] == ["T", "T", None]


def test_a_named_group_counts_more_than_a_number(tmp_path: Path) -> None:
    found = read(tmp_path, "item_id,name,sku,parent_sku\n1,Tee,T-R,T\n1,Tee,T-B,T\n")
    assert {it["group_id"] for it in found.values()} == {"T"}


def test_the_technical_names_of_a_template_are_no_product(tmp_path: Path) -> None:
    found = read(
        tmp_path,
        "SKU,Item Name,Your Price USD (Sell on Amazon)\n"
        "contribution_sku#1.value,item_name[language_tag=en_US]#1.value,price#1.value\n"
        "T-1,Tee,29.90\n",
    )
    assert found.keys() == {"T-1"}
    assert (found["T-1"]["price"], found["T-1"]["currency"]) == (29.9, "USD")


def test_prices_of_countries_are_in_cents(tmp_path: Path) -> None:
    found = read(tmp_path, "sku,prices\nT-1,EUR-DE 1990;USD 2200\nT-2,EUR-DE 990\n")
    assert [(it["price"], it["currency"]) for it in found.values()] == [(19.9, "EUR"), (9.9, "EUR")]


def test_several_colours_of_a_product_are_none(tmp_path: Path) -> None:
    found = read(tmp_path, 'sku;VARIATION 1 NAME;VARIATION 1 VALUES\nT;Color;"Red,Blue"\n')
    assert found["T"].get("base_colour") is None


def test_a_star_before_a_name_divides_nothing(tmp_path: Path) -> None:
    found = read(tmp_path, "Parent Unique ID,*Unique ID,*Name,Size,*Price\nTEE,T-R,Tee,M,19.90\n")
    assert (found["T-R"]["price"], found["T-R"]["group_id"]) == (19.9, "TEE")


SPECIFICATIONS = "Manufacturer: Pou Chen; Color: see photo; Gender: Unisex"


@pytest.mark.parametrize(
    ("names", "cells"),
    [
        ("specifications;brand;color;gender", f'"{SPECIFICATIONS}";Nike;Red;Men'),
        ("Size/Color;color;Gender;Brand", "M / Blue;Red;Men;Nike"),
        (
            "Option 1 Name;Option 1 Value;Color;Gender;Manufacturer;Brand",
            "Color;Blue;Red;Men;X;Nike",
        ),
        ("specifications;Option 1 Name;Option 1 Value;Brand;Sex", "Color: Blue;Color;Red;Nike;Men"),
    ],
)
def test_a_column_of_a_field_counts_more_than_options_and_these_more_than_texts(
    tmp_path: Path, names: str, cells: str
) -> None:
    found = read(tmp_path, f"sku;name;{names}\nA1;Shoe;{cells}\n")["A1"]
    assert (found["base_colour"], found["brand"]) == ("Red", "Nike")
    assert found.get("gender") in ("Men", None)


@pytest.mark.parametrize(
    "text",
    [
        json.dumps(
            [
                {
                    "sku": "A1",
                    "name": "Shoe",
                    "specifications": SPECIFICATIONS,
                    "brand": "Nike",
                    "color": ["Red"],
                    "gender": "Men",
                }
            ]
        ),
        (
            f"<items><item><sku>A1</sku><name>Shoe</name><specifications>{SPECIFICATIONS}"
            "</specifications><brand>Nike</brand><color>Red</color><gender>Men</gender></item></items>"
        ),
    ],
)
def test_members_and_elements_of_fields_count_more_than_texts(tmp_path: Path, text: str) -> None:
    found = read(tmp_path, text, name="feed.xml" if text[0] == "<" else "feed.json")["A1"]
    assert [found[it] for it in ("base_colour", "brand", "gender")] == ["Red", "Nike", "Men"]


def test_an_empty_column_of_a_field_leaves_it_to_the_options(tmp_path: Path) -> None:
    found = read(
        tmp_path, "sku;name;features;color\nA1;Shoe;Color: Blue;\nA2;Cap;Color: Blue;Red\n"
    )
    assert [it["base_colour"] for it in found.values()] == ["Blue", "Red"]


def test_a_variants_option_counts_more_than_the_colour_of_its_product(tmp_path: Path) -> None:
    text = """handle,name,sku,color,Option 1 Name,Option 1 Value
tee,Tee,T-R,Red,Color,Red
tee,,T-B,,,Blue
"""
    assert [it["base_colour"] for it in read(tmp_path, text).values()] == ["Red", "Blue"]


def test_a_nameless_row_without_a_handle_and_options_is_its_own_product(tmp_path: Path) -> None:
    found = read(tmp_path, "sku,name,slug,price,image_url\nA1,Tee,tee,9,a.jpg\nA2,,,8,\n")
    assert found["A2"].get("display_name") is None
    assert found["A2"].get("group_id") is None


def test_a_nameless_row_without_a_handle_is_below_rows_that_share_one(tmp_path: Path) -> None:
    found = read(tmp_path, "sku,name,slug,price\nA1,Tee,tee,9\nA2,,tee,8\nA3,,,7\n")
    assert [it["display_name"] for it in found.values()] == ["Tee"] * 3


@pytest.mark.parametrize(
    ("text", "groups"),
    [
        ("sku,name,group_id\n1,Tee,\n3,Sock,1\n", [None, "1"]),
        ("id,sku,name,parent_id\n7,1,Tee,\n1,3,Cap,\n8,4,Sock,1\n", [None, None, "1"]),
        ("sku,name,parent_sku\n1,Tee,\n3,Sock,1\n", ["1", "1"]),
        ("id,name,parent_id\n1,Tee,\n3,Sock,1\n", ["1", "1"]),
    ],
)
def test_a_sku_is_in_a_group_of_its_name_where_the_column_names_parents(
    tmp_path: Path, text: str, groups: list[str | None]
) -> None:
    assert [it.get("group_id") for it in read(tmp_path, text).values()] == groups


def test_a_description_that_is_too_long_for_a_name_gives_its_first_sentence(tmp_path: Path) -> None:
    found = read(tmp_path, f"sku,description\nA1,Red tee. {'Soft. ' * 500}\nA2,{'word ' * 500}\n")
    assert found["A1"]["display_name"] == "Red tee."
    assert found["A2"]["display_name"] == ("word " * 400).strip()

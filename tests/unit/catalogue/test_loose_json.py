"""JSON that a strict decoder refuses, and shapes in which its products lie."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest

from backend.catalogue.sources import open_source
from backend.catalogue.sources.feed import FeedRow, Reject
from backend.errors import UnreadableCatalogue


def read(folder: Path, text: str) -> tuple[list[FeedRow], list[Reject], bool]:
    path = folder / "feed.json"
    path.write_bytes(text.encode())
    with closing(open_source(path)) as source:
        each = list(source.read())
        is_cut = source.cut_off() is not None
    rows = [row for row in each if isinstance(row, FeedRow)]
    return rows, [row for row in each if isinstance(row, Reject)], is_cut


def named(rows: list[FeedRow]) -> list[tuple[str, str | None]]:
    return [(row.sku, row.fields.get("display_name")) for row in rows]


@pytest.mark.parametrize(
    "text",
    [
        '[{"sku": "A", "name": "Tee", "tags": [1, 2,],}, {"sku": "B", "name": "Cap",},]',
        (
            '// all\n[ // two\n {"sku": "A", /* one */ "name": "Tee"}, // x\n'
            '# y\n {"sku": "B", "name": "Cap"}\n]'
        ),
        '/*all*/ {"products": [\n{"sku": "A", "name": "Tee"},\n# y\n{"sku": "B", "name": "Cap"}]}',
        '{"sku": "A", "name": "Tee",}\n{"sku": "B", "name": "Cap"},\n',
        "[{'sku': 'A', 'name': 'Tee', 'on': True}, {'sku': 'B', 'name': 'Cap', 'on': None}]",
        "{'sku': 'A', 'name': 'Tee', 'at': 'https://s.example/#1'}\n{'sku': 'B', 'name': 'Cap'}\n",
        'callback([{"sku": "A", "name": "Tee"}, {"sku": "B", "name": "Cap"}]);',
        'var products = [{"sku": "A", "name": "Tee"}, {"sku": "B", "name": "Cap"}];',
        ')]}\'\n[{"sku": "A", "name": "Tee"}, {"sku": "B", "name": "Cap"}]',
        '{"sku": ["A", "B"], "name": ["Tee", "Cap"]}',
        '{\n"sku": {"0": "A", "1": "B"},\n"name": {"0": "Tee", "1": "Cap"}\n}\n',
        '{"@graph": [{"@type": "Thing", "sku": "A", "name": "Tee"}, {"sku": "B", "name": "Cap"}]}',
        (
            '{"@type": "ItemList", "itemListElement": [{"position": 1, "item": '
            '{"sku": "A", "name": "Tee"}}, {"item": {"sku": "B", "name": "Cap"}}]}'
        ),
    ],
    ids=[
        *("commas", "comments", "comments-around", "lines", "python", "python-lines", "callback"),
        *("variable", "guard", "columns", "columns-of-pandas", "graph", "item-list"),
    ],
)
def test_json_in_an_unusual_form_gives_its_products(tmp_path: Path, text: str) -> None:
    rows, rejects, is_cut = read(tmp_path, text)
    assert named(rows) == [("A", "Tee"), ("B", "Cap")]
    assert (rejects, is_cut) == ([], False)


def test_what_looks_like_a_comment_in_a_text_stays(tmp_path: Path) -> None:
    name = "a // b /* c */ # d, ] , }"
    rows, _, _ = read(tmp_path, f'[{{"sku": "A", "name": "{name}",}}]')
    assert named(rows) == [("A", name)]


def test_a_text_may_hold_line_ends(tmp_path: Path) -> None:
    rows, _, _ = read(tmp_path, '[{"sku": "A", "name": "Tee\n\tblue"}, {"sku": "B"}]')
    assert named(rows) == [("A", "Tee\n\tblue"), ("B", None)]


def test_a_broken_item_costs_no_other_one_and_nothing_may_be_removed(tmp_path: Path) -> None:
    item = '{{"sku": "{}", "name": "Tee {}", "variants": [{{"size": "S"}}, {{"size": "M"}}]}}'
    items = [item.format(at, "x" * 900) for at in range(300)]
    items[150] = items[150].replace("Tee", 'Tee "blue"')
    rows, (reject,), is_cut = read(tmp_path, f"[{', '.join(items)}]")
    assert [row.sku for row in rows] == [str(at) for at in range(300) if at != 150]
    assert (reject.line, "it was left out" in reject.reason) == (151, True)
    assert is_cut


def test_a_part_of_a_broken_item_is_no_item(tmp_path: Path) -> None:
    rows, (reject,), is_cut = read(
        tmp_path,
        '[{"sku": "A", "name": "Tee", "price": 9},'
        ' {"sku": "B" "name": "Cap", "parts": [{"sku": "x"}, {"sku": "y"}]}]',
    )
    assert named(rows) == [("A", "Tee")]
    assert is_cut
    assert "what follows was not read" in reject.reason


def test_a_document_without_a_good_item_says_why(tmp_path: Path) -> None:
    with pytest.raises(UnreadableCatalogue, match="broken in item 1"):
        read(tmp_path, "[{sku: A}]")


def test_an_infinity_is_no_value(tmp_path: Path) -> None:
    rows, rejects, _ = read(
        tmp_path, '[{"sku": "A", "price": NaN}, {"sku": "B", "price": Infinity}]'
    )
    assert [row.fields.get("price") for row in rows] == [None, None]
    assert rejects == []
    assert any("price" in warning for warning in rows[1].warnings)


def test_a_product_of_schema_org_has_the_price_of_its_offer(tmp_path: Path) -> None:
    rows, _, _ = read(
        tmp_path,
        '{"@graph": [{"@type": "Product", "sku": "A", "offers": [{"price": "9.90", '
        '"priceCurrency": "EUR", "availability": "https://schema.org/OutOfStock"}]}]}',
    )
    fields = rows[0].fields
    assert (fields["price"], fields["currency"], fields["in_stock"]) == (9.9, "EUR", False)


def test_a_product_with_a_sku_says_that_its_items_stay_text(tmp_path: Path) -> None:
    item = '{{"sku": "{0}", "items": [{{"sku": "{0}-1"}}, {{"sku": "{0}-2"}}]}}'
    rows, _, _ = read(tmp_path, f"[{item.format('A')}, {item.format('B')}]")
    assert [row.sku for row in rows] == ["A", "B"]
    said = [[text for text in row.warnings if "items" in text] for row in rows]
    assert [len(texts) for texts in said] == [1, 0]
    assert "A-1, A-2" in said[0][0]


def test_a_single_variant_with_the_products_own_sku_needs_no_warning(tmp_path: Path) -> None:
    rows, _, _ = read(tmp_path, '[{"sku": "A", "variants": [{"sku": "A"}]}]')
    assert not any("variants" in text for text in rows[0].warnings)


def test_a_list_may_lie_in_the_result_of_an_answer(tmp_path: Path) -> None:
    rows, rejects, _ = read(tmp_path, '{"status": "ok", "result": {"list": [{"sku": "A"}]}}')
    assert (named(rows), rejects) == ([("A", None)], [])


def test_items_may_spell_a_name_in_another_case(tmp_path: Path) -> None:
    text = '[{"sku": "A", "name": "Tee"}, {"SKU": "B", "Name": "Cap"}, {"Sku": "C", "name": "Hat"}]'
    rows, rejects, _ = read(tmp_path, text)
    assert (named(rows), rejects) == ([("A", "Tee"), ("B", "Cap"), ("C", "Hat")], [])

"""Tables that are quoted, divided or drawn otherwise, and their lines that are no products."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest

from backend.catalogue.sources import open_source
from backend.catalogue.sources.feed import FeedRow, Reject


def read(folder: Path, text: str) -> tuple[list[FeedRow], list[Reject]]:
    path = folder / "feed.csv"
    path.write_bytes(text.encode())
    with closing(open_source(path)) as source:
        each = list(source.read())
    rows = [row for row in each if isinstance(row, FeedRow)]
    return rows, [row for row in each if isinstance(row, Reject)]


def named(rows: list[FeedRow]) -> list[tuple[str, str | None, float | None]]:
    return [(row.sku, row.fields.get("display_name"), row.fields.get("price")) for row in rows]


@pytest.mark.parametrize(
    "text",
    [
        "'sku','name','price'\n'A','Tee, blue','9.90'\n'B','O''Neill cap','5.00'\n",
        "'sku';'name';'price'\n'A';'Tee, blue';'9,90'\n'B';'O''Neill cap';'5,00'\n",
        "sku,name,price\n'A','Tee, blue','9.90'\n'B','O''Neill cap','5.00'\n",
        'sku, name, price\nA, "Tee, blue", 9.90\nB, "O\'Neill cap", 5\n',
        "“sku”,“name”,“price”\n“A”,“Tee, blue”,“9.90”\n“B”,“O'Neill cap”,“5.00”\n",
        "sku~name~price\nA~Tee, blue~9.90\nB~O'Neill cap~5.00\n",
        "sku^name^price\nA^Tee, blue^9.90\nB^O'Neill cap^5.00\n",
        "sku#name#price\nA#Tee, blue#9.90\nB#O'Neill cap#5.00\n",
        "sku~|~name~|~price\nA~|~Tee, blue~|~9.90\nB~|~O'Neill cap~|~5.00\n",
        '"sku"|#|"name"|#|"price"\n"A"|#|"Tee, blue"|#|"9.90"\n"B"|#|"O\'Neill cap"|#|"5"\n',
        (
            "<br />\n<b>Warning</b>: x in <b>/y.php</b><br />\nsku;name;price\n"
            "A;Tee, blue;9.90\nB;O'Neill cap;5.00\n"
        ),
        "| sku | name | price |\n|--|:-:|-:|\n| A | Tee, blue | 9.90 |\n| B | O'Neill cap | 5 |\n",
        "sku | name | price\n--- | --- | ---\nA | Tee, blue | 9.90\nB | O'Neill cap | 5\n",
        " sku | name | price \n-----+------+-------\n A | Tee, blue | 9.90\n B | O'Neill cap | 5\n",
        "+--+\n| sku|name|price |\n+--+\n| A | Tee, blue | 9.90 |\n| B | O'Neill cap | 5 |\n+--+\n",
    ],
    ids=[
        *("single", "single-semicolon", "single-rows", "blanks", "curly", "tilde", "caret"),
        *("hash", "several-signs", "quoted-several-signs", "messages-above"),
        *("markdown", "markdown-bare", "psql", "mysql"),
    ],
)
def test_both_products_are_read_and_nothing_else(tmp_path: Path, text: str) -> None:
    rows, rejects = read(tmp_path, text)
    assert named(rows) == [("A", "Tee, blue", 9.9), ("B", "O'Neill cap", 5.0)]
    assert rejects == []


def test_an_apostrophe_is_no_quote(tmp_path: Path) -> None:
    rows, _ = read(tmp_path, "sku,name,price\nA,'90s tee,9\nB,Rock 'n' roll,8\n'C,cap',7\n")
    assert named(rows) == [("A", "'90s tee", 9), ("B", "Rock 'n' roll", 8), ("'C", "cap'", 7)]


def test_a_quoted_value_may_hold_a_line_end_and_the_other_quote(tmp_path: Path) -> None:
    rows, _ = read(tmp_path, "'sku','name','price'\n'A','5\" disc\nblue','9'\n'B','Cap','8'\n")
    assert named(rows) == [("A", '5" disc\nblue', 9.0), ("B", "Cap", 8.0)]


def test_an_escaped_bar_is_part_of_a_value(tmp_path: Path) -> None:
    rows, _ = read(tmp_path, "| sku | name | price |\n|---|---|---|\n| A | Tee \\| blue | 9 |\n")
    assert named(rows) == [("A", "Tee | blue", 9.0)]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("Total,,14.90,3", "totals"),
        ("Summe,,14.90,", "totals"),
        ("Total: 2 products,,,", "totals"),
        ("合計,,14.90,3", "totals"),
        ("# 2 rows exported", "a remark"),
        ("# exported, 2, rows,", "a comment"),
        ("# C,Shoe,9,1", "a comment"),
        ("EOF", "a remark"),
        ("END,,,", "a remark"),
        ("(2 rows)", "a remark"),
        ("Exportiert am 01.02.2024,,,", "a remark"),
    ],
)
@pytest.mark.parametrize("end", ["\n", ""])
def test_a_line_at_the_end_is_no_product(tmp_path: Path, line: str, said: str, end: str) -> None:
    rows, rejects = read(tmp_path, f"sku,name,price,stock\nA,Tee,9.90,1\nB,Cap,5,2\n{line}{end}")
    assert [row.sku for row in rows] == ["A", "B"]
    (reject,) = rejects
    assert (reject.line, said in reject.reason) == (4, True)


def test_a_remark_without_a_line_end_does_not_mean_that_something_is_missing(
    tmp_path: Path,
) -> None:
    path = tmp_path / "feed.csv"
    path.write_text("sku,name,price\nA,Tee,9.90\n# 1 row exported")
    with closing(open_source(path)) as source:
        assert len(list(source.read())) == 2
        cut = source.cut_off()
    assert cut is None


def test_a_product_may_be_called_total(tmp_path: Path) -> None:
    rows, rejects = read(tmp_path, "sku,name,price\nTotal,Total tee,9\nEND,End cap,8\n#3,Tee,7\n")
    assert [row.sku for row in rows] == ["Total", "END", "#3"]
    assert rejects == []


@pytest.mark.parametrize(
    ("text", "prices"),
    [
        ("sku,name,price,colour\nA,Tee,39,90,red\nB,Cap,5,00,blue\nC,Hat,7,blue\n", [39.9, 5, 7]),
        ("sku,name,price\nA,Tee,39,90 €\nB,Cap,€ 5,00\nC,Hat,7\n", [39.9, 5, 7]),
        ("sku,price,name\nA,39,90,Tee\nB,5,00,Cap\nC,7,Hat\n", [39.9, 5, 7]),
        ("sku,name,price,old price\nA,Tee,39,90,49,90\nB,Cap,5,00,6,50\nC,Hat,7,8\n", [39.9, 5, 7]),
        ("sku,name,price,colour\nA,Tee,1,299.00,red\nB,Cap,5.00,blue\nC,Hat,7,x\n", [1299, 5, 7]),
    ],
    ids=["decimal", "with-currency", "before-the-name", "two-amounts", "thousands"],
)
def test_a_comma_that_divides_an_amount_is_no_wrong_price(
    tmp_path: Path, text: str, prices: list[float]
) -> None:
    rows, rejects = read(tmp_path, text)
    assert named(rows) == [
        (sku, name, price)
        for sku, name, price in zip("ABC", ("Tee", "Cap", "Hat"), prices, strict=True)
    ]
    assert rejects == []
    assert "without quotes" in rows[0].warnings[0]


def test_a_comma_in_a_name_is_none_of_a_price_that_is_written_with_points(tmp_path: Path) -> None:
    rows, _ = read(tmp_path, "sku,name,price,colour\nA,Boot,42,90,red\nB,Cap,5.00,blue\n")
    assert named(rows) == [("A", "Boot,42", 90.0), ("B", "Cap", 5.0)]


def test_a_line_that_another_delimiter_divides_is_read_and_said(tmp_path: Path) -> None:
    rows, rejects = read(tmp_path, "sku,name,price\nA;Tee;9.90\nB,Cap,5\nC\tHat\t3\n")
    assert named(rows) == [("A", "Tee", 9.9), ("B", "Cap", 5), ("C", "Hat", 3)]
    assert rejects == []
    assert rows[0].warnings[0] == "the line is divided by ';', the header by ','"


def test_a_line_that_nothing_divides_into_the_columns_is_a_reject(tmp_path: Path) -> None:
    _, (reject,) = read(tmp_path, "sku,name,price\nA;Tee\nB,Cap,5\n")
    assert reject.reason == "1 value, where the header has 3 columns: the line is cut off"


def test_a_sku_of_signs_alone_is_kept(tmp_path: Path) -> None:
    rows, _ = read(tmp_path, "sku,name\n<b>,Tee\n")
    assert [row.sku for row in rows] == ["<b>"]


def test_backslashes_of_mysql_belong_to_the_values(tmp_path: Path) -> None:
    text = "sku\tname\tsize\nA\tTee\\\nblue\tL\nB\t\\N\tTab\\\there\nC\tHat\tM\nD\tCap\\\n"
    rows, (reject,) = read(tmp_path, text)
    assert [(row.sku, row.fields.get("display_name")) for row in rows] == [
        *(("A", "Tee\nblue"), ("B", None), ("C", "Hat")),
    ]
    assert rows[1].fields["attributes"] == {"size": "Tab\there"}
    assert (reject.line, reject.sku) == (6, "D")


def test_a_comma_behind_a_backslash_is_part_of_its_value(tmp_path: Path) -> None:
    rows, rejects = read(tmp_path, "sku,name,price\nA,Tee\\, blue,9.90\nB,Cap\\\nred,5\n")
    assert (named(rows), rejects) == ([("A", "Tee, blue", 9.9), ("B", "Cap\nred", 5)], [])


@pytest.mark.parametrize(
    "header",
    ["sku*,name*,price", "sku:,name:,price", "sku!,name!,price", "SKU #,Name #,Price"],
)
def test_the_marks_of_required_columns_are_no_delimiter(tmp_path: Path, header: str) -> None:
    table = '\nA,"Tee\nblue",9.90\nB,Cap,5\n'
    plain, _ = read(tmp_path, f"sku,name,price{table}")
    rows, rejects = read(tmp_path, header + table)
    assert [(row.sku, row.fields.get("price")) for row in rows] == [("A", 9.9), ("B", 5.0)]
    assert rejects == []
    assert [row.warnings for row in rows] == [row.warnings for row in plain]


def test_several_signs_that_stand_in_no_row_are_no_delimiter(tmp_path: Path) -> None:
    rows, _ = read(tmp_path, "sku:*name:*price\nA:Tee:9\n")
    assert [(row.sku, row.fields.get("price")) for row in rows] == [("A", 9.0)]

"""Answers that are no feed, and feeds whose lines end or begin in an unusual way."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest

from backend.catalogue.import_memory import LastLines
from backend.catalogue.import_rows import CheckedRow, read_rows
from backend.catalogue.sources import open_source
from backend.errors import UnreadableCatalogue


def read(path: Path, text: str) -> list[tuple[str | None, str | None]]:
    path.write_bytes(text.encode())
    with closing(open_source(path)) as source:
        rows = list(read_rows(source, LastLines(source.skus())))
    assert all(isinstance(row, CheckedRow) for row in rows)
    return [
        (row.sku, row.draft.values["display_name"]) for row in rows if isinstance(row, CheckedRow)
    ]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"errors":[{"message":"Throttled","extensions":{"code":"T"}}]}', "Throttled"),
        ('{"errors":"Invalid API key"}', "Invalid API key"),
        ('{"errors":[{"message":"Throttled"}],"data":null}', "Throttled"),
        ('{\n"message": "Unauthorized",\n"code": 401\n}\n', "Unauthorized"),
        ('{"error":{}}', "error"),
    ],
)
def test_an_error_answer_is_named_with_its_text(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(UnreadableCatalogue, match=f"an error answer.*{said}"):
        read(tmp_path / "feed.json", text)


@pytest.mark.parametrize(
    ("ending", "text"),
    [
        ("csv", "sku,name\rA,Tee\nB,Cap\n"),
        ("csv", 'sku,"name"\rA,Tee\rB,Cap\n'),
        ("csv", "sku,name\rA,Tee\r\nB,Cap\r\n"),
        ("json", '{"sku":"A","name":"Tee"}{"sku":"B","name":"Cap"}'),
        ("json", '{"sku":"A","name":"Tee"} {"sku":"B","name":"Cap"}\n'),
        ("json", '\x1e{"sku":"A","name":"Tee"}\n\x1e{"sku":"B","name":"Cap"}\n'),
    ],
)
def test_objects_are_read_however_their_lines_are_divided(
    tmp_path: Path, ending: str, text: str
) -> None:
    assert read(tmp_path / f"feed.{ending}", text) == [("A", "Tee"), ("B", "Cap")]


def test_braces_within_a_text_divide_nothing(tmp_path: Path) -> None:
    text = '{"sku":"A","name":"x }{ y"}\n{"sku":"B","name":"Cap"}\n'
    assert read(tmp_path / "feed.json", text) == [("A", "x }{ y"), ("B", "Cap")]

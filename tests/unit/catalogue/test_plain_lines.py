"""Plain lines are read many at once: the result must be the same as one by one."""

from __future__ import annotations

import io

import pytest

from backend.catalogue.sources.csv_header import read_header
from backend.catalogue.sources.csv_lines import Lines
from backend.catalogue.sources.csv_records import SpecialColumns, open_csv, read_records
from backend.catalogue.sources.feed import kind_of

PLAIN = 80  # more than the header's look-ahead takes line by line

ODD = {
    "quotes": b'7,"a, b",x\n',
    "doubled-quotes": b'7,"a ""b""",x\n',
    "inch-mark": b'7,Screen 15" wide,x\n',
    "two-lines-in-quotes": b'7,"a\nb",x\n',
    "open-quote": b'7,"a,x\n',
    "quotes-within-quotes": b'7,"Screen 15" wide",x\n',
    "nul": b"7,a\0b,x\n",
    "latin-1": b"7,caf\xe9,x\n",
    "utf-8": "7,café ,x\n".encode(),  # a line separator is no line end
    "vertical-tab": b"7,a\x0bb\x1cc,x\n",
    "mark": b"\xef\xbb\xbf7,a,x\n",
    "lone-return": b"7,a\rb,x\n",
    "crlf": b"7,a,x\r\n",
    "empty": b"\n",
    "blanks": b" , ,\n",
    "no-sku": b",a,x\n",
    "surplus": b"7,a, b,x\n",
    "too-few": b"7,a\n",
    "header-again": b"id,name,n\n",
    "same-key-as-header": b"id,a,b\n",
    "trailing-delimiters": b"7,a,x,,\n",
    "huge-value": b"7," + b"x" * 500_001 + b",y\n",
}


def read(data: bytes, *, free_text: int | None) -> list[object]:
    lines = open_csv(io.BytesIO(data))
    header = read_header(lines)
    found: list[object] = []
    for record in read_records(lines, header, SpecialColumns(free_text=free_text)):
        warnings = [(text, kind_of(text)) for text in getattr(record, "warnings", ())]
        found.append((record, warnings))
    return [*found, lines.number, lines.cut_off(is_broken=False)]


@pytest.mark.parametrize("end", [b"", b"8,last,x"], ids=["whole", "without-line-end"])
@pytest.mark.parametrize("free_text", [1, None], ids=["free-text", "strict"])
@pytest.mark.parametrize("odd", ODD.values(), ids=ODD)
def test_the_same_records_come_out_as_line_by_line(
    odd: bytes, free_text: int | None, end: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = [f"{n},name {n},x\n".encode() for n in range(PLAIN)]
    data = b"".join([b"id,name,n\n", *plain, odd, *plain[:3], odd, odd, *plain, end])
    at_once = read(data, free_text=free_text)
    monkeypatch.setattr(Lines, "take_plain", lambda _: [])
    assert at_once == read(data, free_text=free_text)


def test_plain_lines_are_taken_many_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    taken = []
    take = Lines.take_plain

    def counted(lines: Lines) -> list[str]:
        found = take(lines)
        taken.append(len(found))
        return found

    monkeypatch.setattr(Lines, "take_plain", counted)
    rows = [f'{n},"name, {n}",x\n' for n in range(10_000)]
    read("".join(["id,name,n\n", *rows]).encode(), free_text=None)
    assert sum(taken) > 9_900
    assert len(taken) < 100

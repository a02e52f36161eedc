"""A fault in an XML feed costs the item in which it is; the others are read."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest

from backend.catalogue.sources import open_source
from backend.catalogue.sources.feed import CutOff, FeedRow, Reject
from backend.errors import UnreadableCatalogue


def item(sku: str, name: str = "Tee") -> str:
    return f"<product><sku>{sku}</sku><name>{name}</name></product>\n"


def read(folder: Path, text: str) -> tuple[list[FeedRow], list[Reject], CutOff | None]:
    (folder / "feed.xml").write_text(text, encoding="utf-8")
    with closing(open_source(folder / "feed.xml")) as source:
        found = list(source.read())
        cut_off = source.cut_off()
    rows = [it for it in found if isinstance(it, FeedRow)]
    return rows, [it for it in found if isinstance(it, Reject)], cut_off


@pytest.mark.parametrize(
    "broken",
    [
        pytest.param(item("B", "size < 40"), id="a sign"),
        pytest.param(item("B", "Tee<br>blue"), id="a tag of HTML without its end"),
        pytest.param("<product><sku>B</sku><name>Tee</product>\n", id="an element without its end"),
        pytest.param("<product sku='B' sku='B'/>\n", id="an attribute that stands twice"),
        pytest.param("<product sku='B' name='a<b'/>\n", id="a sign in an attribute"),
    ],
)
def test_a_broken_item_costs_no_other_one(tmp_path: Path, broken: str) -> None:
    rows, (reject,), cut_off = read(
        tmp_path, f"<products>{item('A')}{broken}{item('C')}{item('D')}</products>"
    )
    assert [row.sku for row in rows] == ["A", "C", "D"]
    assert reject.line == 2
    assert reject.reason.startswith("the XML is broken at line 2, column ")
    assert reject.reason.endswith("; the item was left out")
    assert cut_off
    assert cut_off.is_certain


def test_many_broken_items_in_a_large_file_cost_themselves_alone(tmp_path: Path) -> None:
    items = [item(str(at), "<i>Tee" if at % 3 == 0 else "x" * 200) for at in range(3_000)]
    rows, rejects, _ = read(tmp_path, f"<shop><products>{''.join(items)}</products></shop>")
    assert [row.sku for row in rows] == [str(at) for at in range(3_000) if at % 3]
    assert [it.line for it in rejects] == [at + 1 for at in range(3_000) if at % 3 == 0]


def test_a_fault_between_items_costs_none(tmp_path: Path) -> None:
    text = f"<products>{item('A')}</product>{item('B')}</products>"
    rows, rejects, cut_off = read(tmp_path, text)
    assert ([row.sku for row in rows], rejects) == (["A", "B"], [])
    assert "the XML is broken at line 2" in rows[1].warnings[0]
    assert cut_off


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(item("A") + item("B") + item("C"), id="items without a root"),
        pytest.param(
            f'<?xml version="1.0"?>\n<all>{item("A")}</all>\n'
            f'<?xml version="1.0"?>\n<all>{item("B")}{item("C")}</all>',
            id="two documents",
        ),
    ],
)
def test_several_roots_are_read(tmp_path: Path, text: str) -> None:
    rows, rejects, cut_off = read(tmp_path, text)
    assert ([row.sku for row in rows], rejects) == (["A", "B", "C"], [])
    assert cut_off


def test_a_file_that_ends_early_says_so_after_a_fault_too(tmp_path: Path) -> None:
    whole = f"<products>{item('A')}{item('B', 'a<b')}{item('C')}{item('D')}"
    rows, rejects, _ = read(tmp_path, whole[:-20])
    assert [row.sku for row in rows] == ["A", "C"]
    assert rejects[1].reason.endswith("what follows was not read")


def test_a_file_in_which_no_item_begins_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UnreadableCatalogue, match="the XML is broken"):
        read(tmp_path, "<products><a></b></products>")

"""What an import reports can be written down, whatever the feed holds."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from backend.catalogue.report import Remarks, Summary, as_json
from backend.catalogue.sources.feed import WarningKind
from backend.cli.common import print_json

HALF = "A\ud800"  # of a surrogate pair: JSON can write it, UTF-8 cannot


def test_a_text_that_is_no_character_costs_no_report(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rejects, warnings = Remarks(), Remarks()
    rejects.add(1, HALF, f"no sku: {HALF}")
    warnings.add(2, "B", HALF, WarningKind.VALUE)
    summary = Summary(
        read_as="a table",
        added=0,
        changed=0,
        unchanged=0,
        removed=0,
        rejects=rejects,
        warnings=warnings,
    )
    summary.write_report(tmp_path / "report.json")
    report = json.loads((tmp_path / "report.json").read_text("utf-8"))
    assert report["rejects"] == [{"line": 1, "sku": "A\\ud800", "reason": "no sku: A\\ud800"}]
    print_json([as_json(reject) for reject in rejects])
    assert json.loads(capsys.readouterr().out)[0]["sku"] == "A\\ud800"


def test_json_of_a_text_that_is_no_character_is_utf_8(capsys: pytest.CaptureFixture[str]) -> None:
    print_json({"note": HALF})
    out = capsys.readouterr().out
    assert out.encode()
    assert json.loads(out) == {"note": HALF}

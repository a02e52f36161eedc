"""Commands that an operator tries before there is an index name what makes one."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from typer.testing import Result

from backend.cli.indexing import print_drift

Run = Callable[..., Result]


def test_status_names_the_command_that_makes_the_first_generation(run_command: Run) -> None:
    assert "`lookalike index`" in run_command("status").output


def test_verify_says_that_there_is_nothing_to_compare(capsys: pytest.CaptureFixture[str]) -> None:
    """Beside workers, which make the first generation; without them `verify` makes it itself."""
    print_drift({"generations": [], "drift": 0, "fixed": False})
    assert "nothing to compare" in capsys.readouterr().out


def test_a_query_names_the_command_that_makes_the_first_generation(run_command: Run) -> None:
    ran = run_command("similar", "a-shirt", code=1)
    assert "`lookalike index`" in str(ran.exception)

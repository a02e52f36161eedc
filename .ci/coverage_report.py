"""Print coverage.py's report of what SlipCover has seen: `coverage_report.py FILE.json`.

SlipCover measures: it changes bytecode, where a trace function slows every line of every library.
coverage.py counts: statements, branches and percentages are its own.
"""

from __future__ import annotations

import ast
import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from coverage import Coverage, CoverageData

FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)


def arcs(path: Path, seen: Mapping[str, Any]) -> Iterator[tuple[int, int]]:
    """Yield what coverage.py calls arcs: each line that ran, and each branch that was taken.

    A branch that leaves its function leads to line 0 in SlipCover, and in coverage.py to the
    negative first line of the function.
    """
    yield from ((line, line) for line in seen["executed_lines"])
    starts = dict(first_lines(ast.parse(path.read_bytes())))
    for line, to in seen["executed_branches"]:
        yield line, to or -starts.get(line, 1)


def first_lines(tree: ast.Module) -> Iterator[tuple[int, int]]:
    """Yield each line of a function with the function's first one; inner functions come later."""
    for node in ast.walk(tree):
        if isinstance(node, FUNCTIONS):
            decorators = getattr(node, "decorator_list", [])
            first = min([node.lineno, *(decorator.lineno for decorator in decorators)])
            yield from ((line, first) for line in range(first, (node.end_lineno or first) + 1))


def main(measured: str) -> None:
    """Write what SlipCover measured as coverage.py's own data, and print its report."""
    found: Mapping[str, Any] = json.loads(Path(measured).read_text(encoding="utf-8"))["files"]
    coverage = Coverage()
    data = CoverageData(basename=coverage.config.data_file)
    data.erase()
    paths = {Path(name).resolve(): seen for name, seen in found.items()}
    data.add_arcs({str(path): set(arcs(path, seen)) for path, seen in paths.items()})
    data.touch_files(map(str, paths))  # also those of which no line ran
    data.write()
    coverage.load()
    coverage.report()


if __name__ == "__main__":
    main(sys.argv[1])

"""One run of Schemathesis against a server, and an account of it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from support.contract.accepted import CHECKS, CONFIGURATION
from support.places import ROOT

PROGRAM = Path(sys.executable).with_name("schemathesis")
PATIENCE_SECONDS = 120  # for one answer, of a server that shares the machine with the tester


@dataclass
class Account:
    """How many requests were sent in each phase, and what was found, with an example of each."""

    cases: Counter[str] = field(default_factory=Counter)
    findings: Counter[tuple[str, str]] = field(default_factory=Counter)
    examples: dict[tuple[str, str], str] = field(default_factory=dict)
    errors: list[str] = field(default_factory=list)

    @property
    def count(self) -> int:
        return self.cases.total()

    def add(self, other: Account) -> None:
        self.cases += other.cases
        self.findings += other.findings
        self.examples = other.examples | self.examples
        self.errors += other.errors


def fuzz(url: str, folder: Path, *, phases: str, examples: int, seed: int) -> Account:
    """Try each operation with so many examples; return what was seen."""
    report = folder / f"contract-{seed}.ndjson"
    paths = [str(ROOT / "tests"), os.environ.get("PYTHONPATH", "")]
    variables = {
        "PYTHONPATH": os.pathsep.join(filter(None, paths)),
        "SCHEMATHESIS_HOOKS": "support.contract.hooks",
    }
    options = {
        "--phases": phases,
        "--checks": ",".join(CHECKS),
        "--max-examples": examples,
        "--seed": seed,
        "--request-timeout": PATIENCE_SECONDS,
        "--report": "ndjson",
        "--report-ndjson-path": report,
    }
    (folder / "schemathesis.toml").write_text(CONFIGURATION)
    given = [str(part) for pair in options.items() for part in pair]
    ran = subprocess.run(
        [PROGRAM, "run", f"{url}/openapi.json", "--continue-on-failure", *given],
        env={"PATH": os.environ["PATH"], "HOME": str(folder), **variables},
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode in (0, 1), ran.stdout + ran.stderr
    return read_report(report)


def read_report(path: Path) -> Account:
    found = Account()
    for kind, event in _events(path):
        if kind == "NonFatalError":
            found.errors.append(f"{event.get('label')}: {event['value']['message']}")
        if kind == "ScenarioFinished":
            _count(event, found)
    return found


def _events(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    with path.open(encoding="utf-8") as lines:
        for line in lines:
            ((kind, event),) = json.loads(line).items()
            yield kind, event


def _count(scenario: dict[str, Any], found: Account) -> None:
    recorder = scenario["recorder"]
    found.cases[scenario["phase"]] += len(recorder.get("cases") or {})
    for case, checks in (recorder.get("checks") or {}).items():
        for check in checks:
            if check["status"] == "success":
                continue
            failure = check.get("failure_info", {}).get("failure", {})
            # A chain of operations has a label of its own, and its checks name the operation.
            key = (failure.get("operation") or recorder["label"], check["name"])
            found.findings[key] += 1
            seen = {name: recorder.get(name, {}).get(case) for name in ("cases", "interactions")}
            found.examples.setdefault(key, json.dumps(seen | {"check": check})[:3000])

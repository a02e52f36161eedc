"""Runs the commands of a page of the manual, as a reader would, and compares what they print.

A block of the language `console` is a terminal: a line that begins with `$ ` is a command, a line
`> ` continues it, and the others are what it prints. In these, `…` stands for anything, and a line
`…` for any lines. Numbers with a fraction may differ by a hundredth, white space at will.
"""

from __future__ import annotations

import math
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import requests
from typer.testing import CliRunner

from backend import cli

BLOCK = re.compile(r"^( *)```console\n(.*?)^\1```", re.MULTILINE | re.DOTALL)
LOG = re.compile(r'\d{4}-\d\d-\d\d[ T]|\{.*"event":')
FRACTION = re.compile(r"\d+\.\d+")
SHELL = re.compile(r"[|><&;\n*]|\$\(")
SERVERS = ("lookalike serve", "lookalike demo", "make demo")
KEPT = ("HOME", "LANG", "PYTHONPATH")
ADDRESS = "127.0.0.1:8000"
READY_SECONDS = 150  # a busy machine embeds 300 images


@dataclass(frozen=True)
class Step:
    """One command of a page, and the lines that it should print."""

    command: str
    printed: Sequence[str]


def steps(page: Path) -> Iterator[Step]:
    """Yield the commands of a page in their order."""
    for indent, block in BLOCK.findall(page.read_text(encoding="utf-8")):
        text = re.sub(rf"^{indent}", "", block, flags=re.MULTILINE)
        for part in re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]:
            command, *lines = part.rstrip("\n").split("\n")
            while lines and lines[0].startswith(">"):
                command += "\n" + lines.pop(0)[2:]
            yield Step(command, lines)


@dataclass
class Terminal:
    """A folder and an environment in which commands run one after the other."""

    folder: Path
    port: int
    variables: dict[str, str] = field(default_factory=dict)
    servers: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def run(self, command: str) -> str:
        """Run a command to its end, or until its server is ready; return what it prints."""
        command = command.replace(ADDRESS, f"127.0.0.1:{self.port}")
        if command.startswith(SERVERS):
            printed = self._serve(command)
        elif command.startswith("export "):
            name, _, value = command.removeprefix("export ").partition("=")
            self.variables[name] = value
            printed = ""
        elif command.startswith("lookalike ") and not SHELL.search(command):
            printed = self._run_here(shlex.split(command)[1:])
        else:
            printed = self._run_in_a_shell(command)
        lines = [line for line in printed.splitlines() if not LOG.match(line)]
        return "\n".join(lines).replace(f"127.0.0.1:{self.port}", ADDRESS)

    def close(self) -> None:
        """End the servers."""
        for server in self.servers:
            server.send_signal(signal.SIGINT)
            try:
                server.wait(40)
            except subprocess.TimeoutExpired:
                server.kill()
                server.wait()

    def environment(self) -> dict[str, str]:
        kept = {name: os.environ[name] for name in KEPT if name in os.environ}
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        ours = {"PATH": path, "LOOKALIKE_PORT": str(self.port), "COLUMNS": "80"}
        return kept | ours | self.variables

    def _run_here(self, arguments: Sequence[str]) -> str:
        """Run a `lookalike` command in this process, which saves the start of another one."""
        before = Path.cwd()
        os.chdir(self.folder)
        try:
            ran = CliRunner(env=self.environment()).invoke(cli.app, arguments)
        finally:
            os.chdir(before)
        if ran.exception is None or isinstance(ran.exception, SystemExit):
            return ran.output
        return self._run_in_a_shell(shlex.join(["lookalike", *arguments]))  # it ends as there

    def _run_in_a_shell(self, command: str) -> str:
        ran = subprocess.run(
            ["bash", "-c", command],
            cwd=self.folder,
            env=self.environment(),
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        return ran.stdout + ran.stderr

    def _serve(self, command: str) -> str:
        """Start what serves until it is stopped; `make demo` is what the Makefile runs."""
        log = self.folder / f"server-{len(self.servers)}.log"
        words = shlex.split(command.replace("make demo", "lookalike demo"))
        with log.open("wb") as out:
            self.servers.append(
                subprocess.Popen(
                    words, cwd=self.folder, env=self.environment(), stdout=out, stderr=out
                )
            )
        for _ in range(READY_SECONDS * 5):
            assert self.servers[-1].poll() is None, log.read_text()
            try:
                if requests.get(f"http://127.0.0.1:{self.port}/readyz", timeout=5).ok:
                    return log.read_text()
            except requests.ConnectionError:
                pass
            time.sleep(0.2)
        raise AssertionError(log.read_text())


def fits(expected: Sequence[str], printed: str) -> bool:
    """Tell whether a command printed what the page says. No expectation is fulfilled by all."""
    lines = [_plain(line) for line in printed.splitlines() if line.strip()]
    wanted = [_plain(line) for line in expected if line.strip()]
    return not wanted or _fit(wanted, lines)


def _fit(wanted: Sequence[str], lines: Sequence[str]) -> bool:
    if not wanted:
        return not lines
    if wanted[0] == "…":
        return any(_fit(wanted[1:], lines[skipped:]) for skipped in range(len(lines) + 1))
    return bool(lines) and _is_like(wanted[0], lines[0]) and _fit(wanted[1:], lines[1:])


def _is_like(wanted: str, line: str) -> bool:
    pattern = ".*".join(_pattern(part) for part in wanted.split("…"))
    found = re.fullmatch(pattern, line)
    numbers = [float(number) for number in FRACTION.findall(wanted)]
    return found is not None and all(
        math.isclose(number, float(text), abs_tol=0.01)
        for number, text in zip(numbers, found.groups(), strict=True)
    )


def _pattern(part: str) -> str:
    """Return a pattern of a text, whose numbers with a fraction may be any such numbers."""
    texts = [re.escape(text) for text in FRACTION.split(part)]
    return r"(\d+\.\d+)".join(texts)


def _plain(line: str) -> str:
    return " ".join(line.split())
